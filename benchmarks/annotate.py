"""How right and how quick `telebeat annotate` is over the 22 DS1 records of mitdb: `python -m benchmarks.annotate`.

Each run is the command as a user gives it, one process. Its speed is stated twice: of the work (reading, analysing and
writing the records, as the command itself says) and of the whole command, start of Python included. The annotations
are then judged by `telebeat score`, over the full records and from 5:00 on, where EC57 begins.

These are development scores: the shipped model and every limit were chosen on these records, among others.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks import parts
from model.dataset import DS1
from model.reader import Reader
from replay.records import find_records
from stream.errors import ProcessError, TelebeatError
from stream.processes import TELEBEAT
from stream.settings import data_dirs, load

STATISTICS: Final = ("qrs_se", "qrs_ppv", "veb_se", "veb_ppv", "sveb_se", "sveb_ppv")
PERIODS: Final = {"full": "0", "from 5:00": "5:00"}


def run(paths: Sequence[Path], out: Path) -> dict[str, float]:
    """One `telebeat annotate` over the records.

    Returns
    -------
    dict
        Hours of signal, seconds of work, of the whole command and of processor time, peak memory in MB.
    """
    figures = out / "run.json"
    folder, database = paths[0].parent.parent, paths[0].parent.name
    names = [word for path in paths for word in ("--records", f"{database}/{path.name}")]
    command = [*TELEBEAT, "annotate", "--data-dir", str(folder), *names, "--out", str(out), "--json", str(figures)]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        took = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise ProcessError(f"telebeat annotate ended with {process.returncode}:\n{(out / 'log').read_text()}")
    records = json.loads(figures.read_text())["records"]
    return {
        "records": len(records),
        "signal_h": sum(record["seconds"] for record in records) / 3600,
        "work_s": sum(record["took_s"] for record in records),
        "whole_s": took,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mb": used.ru_maxrss / 1000,
    }


def score(reference: Path, out: Path) -> dict[str, dict[str, dict[str, float | None]]]:
    """Gross and average percentages over each of `PERIODS`, by `telebeat score`."""
    scores = {}
    for period, start in PERIODS.items():
        file = out / "score.json"
        parts.telebeat("score", str(reference), str(out), "--from", start, "--json", str(file))
        judged = json.loads(file.read_text())
        scores[period] = {
            "gross": {name: judged["gross"][name]["percent"] for name in STATISTICS},
            "average": {name: judged["average"][name] for name in STATISTICS},
        }
    return scores


def measure(runs: int, data_dir: Path | None, folder: Path) -> dict[str, Any]:
    """A run to warm up, `runs` that count, and the score of the last."""
    paths = find_records(data_dirs(data_dir), list(DS1), "mitdb")
    weights = Reader.load(load().model_dir).card["weights_blake2b"]
    figures: dict[str, Any] = {"machine": parts.machine(), "weights_blake2b": weights, "runs": runs}
    run(paths, folder)
    done = [run(paths, folder) for _ in range(runs)]
    signal_s = done[0]["signal_h"] * 3600
    figures |= {"records": round(done[0]["records"]), "signal_h": round(done[0]["signal_h"], 3)}
    for name in ("work", "whole", "cpu"):
        figures[f"x_real_time_{name}"] = parts.spread([signal_s / one[f"{name}_s"] for one in done], 0)
        figures[f"{name}_s"] = parts.spread([one[f"{name}_s"] for one in done], 2)
    figures["peak_mb"] = parts.spread([one["peak_mb"] for one in done], 0)
    figures["scores"] = score(paths[0].parent, folder)
    return figures


def show(figures: dict[str, Any]) -> None:
    """Print what came out."""
    print(f"{figures['records']} records, {figures['signal_h']} h of signal, {figures['runs']} runs after a warm-up")
    print("                     median (min to max)")
    for name, text in (("work", "work"), ("whole", "whole command"), ("cpu", "processor time")):
        x, took = parts.spread_text(figures[f"x_real_time_{name}"]), parts.spread_text(figures[f"{name}_s"])
        print(f"  {text:<18} {x} x real time, {took} s")
    print(f"  {'peak memory':<18} {parts.spread_text(figures['peak_mb'])} MB")
    print(f"  {'':<20}" + "".join(f"{name.replace('_', ' '):>10}" for name in STATISTICS))
    for period, kinds in figures["scores"].items():
        for kind, values in kinds.items():
            cells = "".join("         –" if values[n] is None else f"{values[n]:10.2f}" for n in STATISTICS)
            print(f"  {period + ', ' + kind:<20}{cells}")


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Measure telebeat annotate over the DS1 records of mitdb.")
    parser.add_argument("--runs", type=int, default=3, help="after one to warm up")
    parser.add_argument("--data-dir", type=Path, help="folder of WFDB databases")
    parser.add_argument("--json", type=parts.numbers_file, help="file for the figures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = measure(arguments.runs, arguments.data_dir, Path(folder))
        except TelebeatError as error:
            sys.exit(f"error: {error}")
    show(figures)
    parts.write(arguments.json, figures)


if __name__ == "__main__":
    main()
