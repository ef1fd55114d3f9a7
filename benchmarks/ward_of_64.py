"""A ward of 64 beds at real time, watched by a real Prometheus: `python -m benchmarks.ward_of_64`.

Each run is `telebeat demo --beds 64 --seconds 60`: Kafka, replay and monitor as processes of their own on this machine,
the latencies from the monitor's `/latency`, processor time from the operating system. Where the program prometheus is
installed it scrapes the monitor all the while, evaluates the rules of `deploy/`, and every query of every panel of both
dashboards is put to it before the run ends; status 1 when one has no data.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Any, Final

from benchmarks import parts
from stream.board import STAGES
from stream.broker import free_port
from stream.errors import ProcessError, TelebeatError
from stream.processes import TELEBEAT
from tests.deploy.panels import check_panels, queries
from tests.deploy.server import prometheus

SCRAPE_S: Final = 1.0  # the rate interval of a panel is four of it and more
LOOK_S: Final = 2.0  # between two rounds of all panels
LIMIT_S: Final = 600.0  # beyond the run itself: a first start compiles the kernels
QUANTILES: Final = ("p50", "p90", "p99", "max")


def run(beds: int, seconds: float, data_dir: Path | None, folder: Path, watched: bool) -> dict[str, Any]:
    """One demonstration with its totals; `panels_without_data` is None when there is no Prometheus."""
    totals = folder / "totals.json"
    totals.unlink(missing_ok=True)
    port = free_port()
    command = [*TELEBEAT, "demo", "--beds", str(beds), "--seconds", str(seconds), "--json", str(totals)]
    command += ["--http-port", str(port)]
    command += [] if data_dir is None else ["--data-dir", str(data_dir)]
    missing: list[str] | None = None
    with (folder / "log").open("wb") as log, parts.process(command, log) as demo:
        if watched:
            data = Path(tempfile.mkdtemp(dir=folder))
            with prometheus([f"127.0.0.1:{port}"], data, SCRAPE_S) as url:
                missing = [str(query) for query in queries()]
                while missing and demo.poll() is None:
                    time.sleep(LOOK_S)
                    missing = check_panels(url)
                demo.wait(LIMIT_S + seconds)
        else:
            demo.wait(LIMIT_S + seconds)
    if demo.returncode or not totals.exists():
        raise ProcessError(f"telebeat demo ended with {demo.returncode}:\n{(folder / 'log').read_text()}")
    return {**json.loads(totals.read_text()), "panels_without_data": missing}


def measure(runs: int, beds: int, seconds: float, data_dir: Path | None, folder: Path) -> dict[str, Any]:
    """All runs, and how far they spread."""
    watched = shutil.which("prometheus") is not None
    figures: dict[str, Any] = {"machine": parts.machine(), "beds": beds, "seconds": seconds, "queries": 0}
    done = [run(beds, seconds, data_dir, folder, watched) for _ in range(runs)]
    if watched:
        figures["queries"] = sum(1 for _ in queries())
        figures["panels_without_data"] = sorted({query for one in done for query in one["panels_without_data"]})
    figures["latency_ms"] = {
        stage: {
            quantile: parts.spread(values, 2)
            for quantile in QUANTILES
            if (values := [v for one in done if (v := one["latency_ms"][stage][quantile]) is not None])
        }
        for stage in STAGES
    }
    figures["cpu_percent_of_a_core"] = {
        name: parts.spread([100 * one["cpu"][name] for one in done])
        for name in ("monitor", "broker", "replay")
        if done[0]["cpu"][name] is not None
    }
    figures["runs"] = done
    return figures


def show(figures: dict[str, Any]) -> None:
    """Print what came out."""
    done = figures["runs"]
    for one in done:
        alerts = ", ".join(f"{rule} {count}" for rule, count in one["alerts"].items()) or "none"
        print(
            f"{one['source']}, {one['beds']} beds, {one['seconds']:.0f} s: {one['frames']} frames ({one['rejected']} "
            f"rejected, {one['lag']} not read), {one['beats']} beats; alerts: {alerts}"
        )
    print(f"latency in ms, median (min to max) of {len(done)} runs")
    print("  " + "".join(f"{heading:<28}" for heading in ("stage", *QUANTILES)))
    for stage, named in figures["latency_ms"].items():
        cells = (parts.spread_text(named[q]) if q in named else "–" for q in QUANTILES)
        print("  " + "".join(f"{cell:<28}" for cell in (stage.replace("_", " "), *cells)))
    for name, share in figures["cpu_percent_of_a_core"].items():
        print(f"  {name}: {parts.spread_text(share)} % of one core")
    missing = figures.get("panels_without_data")
    if missing is None:
        print("panels: not looked at, prometheus is not installed (tests/bring_prometheus.sh brings it)")
    elif missing:
        print("panels without data:", *missing, sep="\n  ")
    else:
        print(f"panels: all {figures['queries']} queries of both dashboards have data in every run")


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure a ward of beds at real time through a real Kafka.")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--beds", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each run")
    parser.add_argument("--data-dir", type=Path, help="folder of WFDB databases")
    parser.add_argument("--json", type=parts.numbers_file, help="file for the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = measure(arguments.runs, arguments.beds, arguments.seconds, arguments.data_dir, Path(folder))
        except TelebeatError as error:
            sys.exit(f"error: {error}")
    show(figures)
    parts.write(arguments.json, figures)
    sys.exit(1 if figures.get("panels_without_data") else 0)


if __name__ == "__main__":
    main()
