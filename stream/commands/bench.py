"""`telebeat bench`: measurements of telebeat beside named peers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from model.bench import Case, Speed
    from model.peers import Absent, Peer

HELP = "Measure telebeat beside other projects, on the same records."

QUICK_RECORDS = 4  # of each database: enough to see a difference, minutes instead of an hour
QUICK_BUDGET_S = 5.0
BEDS = 64
SPEED_S = 600.0  # of signal a bed when speed is measured: far more than any filter needs to settle
QUICK_SPEED_S = 120.0
SPEED_BUDGET_S = 5.0  # processor seconds of one measurement of speed: all but the slow peers get through 64 beds
QUICK_SPEED_BUDGET_S = 1.0
WIDTH = 150  # columns of a file or pipe that the tables are written to


def detector(
    *,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of WFDB databases; default: TELEBEAT_DATA_DIR and the usual places.")
    ] = None,
    databases: Annotated[
        list[str] | None,
        typer.Option(
            help="Databases, and mixes: noise, noise-em, noise-em-12, noise-em_6 for -6 dB; kinds bw, em, ma. "
            "Default: mitdb svdb noise-em."
        ),
    ] = None,
    records: Annotated[list[str] | None, typer.Option(help="Only these, such as 208 or mitdb/208.")] = None,
    peers: Annotated[
        list[str] | None, typer.Option(help="Only these peers, by a part of their name, or none. Default: all.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=3, help="Rounds of the measurement of speed.")] = 3,
    budget: Annotated[
        float, typer.Option(min=0, help="Processor seconds a peer may take for a database; 0: no limit.")
    ] = 60.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the tables and the chart.")] = Path("bench"),
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything here as one JSON object.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few records, short signals.")] = False,
) -> None:
    """Measure the R-peak detector beside the other Python detectors: Se, +P, F1, delay, speed.

    All see lead 0 of the same records, in this process, and are judged by EC57 with a window of 150 ms; a row of its
    own has ours with both leads. A peer that is slow is judged on the first records only, and the tables say so.
    """
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from model import bench
    from model.peers import PEERS, SLEEPECG_C, ready
    from replay.records import wanted
    from stream import bench as files
    from stream import outputs
    from stream.settings import data_dirs

    folders = data_dirs(data_dir)
    most = QUICK_RECORDS if quick else None
    seconds, speed_budget_s = (QUICK_SPEED_S, QUICK_SPEED_BUDGET_S) if quick else (SPEED_S, SPEED_BUDGET_S)
    budget_s = (min(budget, QUICK_BUDGET_S) if budget else QUICK_BUDGET_S) if quick else budget or None
    names = files.expand(wanted(databases) or files.DATABASES)
    chosen = choose(PEERS, peers)
    outputs.folder(out)
    if json_file is not None:
        outputs.file(json_file)
    loud = Console(stderr=True, markup=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=loud, transient=True) as progress:
        task = progress.add_task("reading")
        cases = {name: files.cases(folders, name, wanted(records) or None, most) for name in names}
        first = next(iter(cases.values()))
        progress.update(task, description="loading the peers")
        there, absent = ready(chosen, bench.lead_of(first[0].strip))
        progress.update(task, total=sum(map(len, cases.values())) * (len(there) + 2))
        found: list[bench.Result] = []
        for name, some in cases.items():
            done = len(found)
            for result in bench.results(
                some,
                there,
                budget_s,
                lambda who, name=name: progress.update(task, description=f"{name}: {who}"),  # type: ignore[misc]
            ):
                found.append(result)
                progress.advance(task)
            progress.advance(task, len(some) * (len(there) + 2) - (len(found) - done))
        progress.reset(task, total=rounds * 2 * (len(there) + 2), description="speed")

        def measured(who: str) -> None:
            progress.update(task, advance=1, description=f"speed: {who}")

        speeds = bench.speeds(beds_of(first, seconds), there, rounds, speed_budget_s, measured)
    rows = bench.summarise(found, {name: len(some) for name, some in cases.items()})
    versions = {peer.name: f"{peer.package} {peer.version}" for peer in chosen if peer.name in there}
    delays = next(row for row in rows if row["detector"] == bench.OURS)
    summary = {
        "speedup_vs_sleepecg_c_64beds": bench.speedup(speeds, BEDS, SLEEPECG_C),
        "speedup_vs_sleepecg_c_1bed": bench.speedup(speeds, 1, SLEEPECG_C),
        "delay_ms_median": delays["delay_median_ms"],
        "delay_ms_p99": delays["delay_p99_ms"],
    }
    speed_rows = [speed.as_dict() for speed in speeds]
    record_rows = bench.by_record(found)
    figures = {
        "summary": summary,
        "machine": files.machine(),
        "quick": quick,
        "window_ms": 150,
        "lead": 0,
        "speed_signal": {"database": names[0], "seconds_a_bed": seconds, "records": [case.record for case in first]},
        "versions": versions,
        "absent": {peer.name: peer.reason for peer in absent},
        "rows": rows,
        "speed": speed_rows,
        "records": record_rows,
    }
    files.write_csv(out / "accuracy.csv", rows)
    files.write_csv(out / "records.csv", record_rows)
    files.write_csv(out / "speed.csv", speed_rows)
    files.write_csv(
        out / "absent.csv", [{"detector": p.name, "package": p.package, "reason": p.reason} for p in absent]
    )
    files.draw(out / "detector.png", rows, speed_rows)
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    console = Console(markup=False)
    show(console if console.is_terminal else Console(width=WIDTH, markup=False), rows, speeds, absent, summary)
    console.print(f"Tables and chart: {out}", highlight=False, soft_wrap=True)


def fiducials(
    *,
    data_dir: Annotated[
        Path | None, typer.Option(help="Folder of WFDB databases; default: TELEBEAT_DATA_DIR and the usual places.")
    ] = None,
    records: Annotated[list[str] | None, typer.Option(help="Only these, such as 17 or ludb/17.")] = None,
    peer: Annotated[bool, typer.Option(help="Have neurokit2 delineate the same leads, where it is installed.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write everything here as one JSON object.")] = None,
) -> None:
    """Measure QRS onset and end, T end and P presence beside the marks of ludb, on the online path.

    Each lead is played alone and in a pair of leads. Errors stand beside the CSE tolerances, by lead and over all; the
    detector's constants are judged as they are and as chosen on other subjects.
    """
    import json

    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from model import delineation_peer
    from replay.records import wanted
    from stream import bench_fiducials as bench
    from stream import outputs
    from stream.settings import data_dirs

    if json_file is not None:
        outputs.file(json_file)
    loud = Console(stderr=True, markup=False)
    paths = bench.records(data_dirs(data_dir), wanted(records) or None)
    delineate = None
    if peer:
        try:
            delineate = delineation_peer.load()
        except ImportError as error:
            loud.print(f"without neurokit2 ({error}): pip install 'telebeat[bench]'", style="yellow", highlight=False)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=loud, transient=True) as progress:
        task = progress.add_task("records", total=len(paths))
        figures = bench.measure(paths, delineate, lambda: progress.advance(task))
    if json_file is not None:
        json_file.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    console = Console(markup=False)
    bench.show(console if console.is_terminal else Console(width=WIDTH, markup=False), figures)


def choose(peers: Sequence[Peer], parts: list[str] | None) -> list[Peer]:
    """The peers whose name or package has one of these parts in it; all without, none for ``none``."""
    from stream.errors import SettingsError

    asked = [part.strip().lower() for text in parts or () for part in text.split(",") if part.strip()]
    if not asked:
        return list(peers)
    chosen = [peer for peer in peers if any(part in f"{peer.name} {peer.package}".lower() for part in asked)]
    if not chosen and asked != ["none"]:
        raise SettingsError(f"no peer is called {', '.join(asked)}: there are {', '.join(p.name for p in peers)}")
    return chosen


def beds_of(cases: Sequence[Case], seconds: float) -> list[Any]:
    """As many strips as there are beds, the records of a database in turn."""
    strips = [case.strip.start(seconds) for case in cases[:BEDS]]
    return [strips[bed % len(strips)] for bed in range(BEDS)]


def show(
    console: Console,
    rows: Sequence[dict[str, Any]],
    speeds: Sequence[Speed],
    absent: Sequence[Absent],
    summary: dict[str, Any],
) -> None:
    """Print the tables."""
    from rich.table import Table

    from model.bench import OURS, OURS_ALL

    by_speed: dict[str, list[str]] = {}
    for speed in speeds:
        told = speed.as_dict()
        low, middle, high = (told[f"samples_per_cpu_s_{part}"] / 1e6 for part in ("min", "median", "max"))
        note = f" on {speed.timed} beds" if speed.timed < speed.beds else ""
        by_speed.setdefault(speed.detector, []).append(f"{middle:.3g} ({low:.3g} to {high:.3g}){note}")
    for database in dict.fromkeys(row["database"] for row in rows):
        table = Table(title=f"{database}: per cent, gross; window 150 ms")
        for heading in (
            "detector",
            "Se",
            "+P",
            "F1",
            "full Se",
            "full +P",
            "full F1",
            "offset ms",
            "delay ms",
            "records",
        ):
            table.add_column(heading, justify="left" if heading in ("detector", "records") else "right")
        some = [row for row in rows if row["database"] == database]
        for late, full in zip(some[::2], some[1::2], strict=True):
            delay = "offline"
            if late["online"]:
                parts = (late["delay_median_ms"], late["delay_p95_ms"], late["delay_p99_ms"])
                delay = " / ".join("–" if part is None else f"{part:.0f}" for part in parts)
            names = str(len(late["records"]))
            if late["subset"]:
                names += f": {late['records'][0]} … {late['records'][-1]}"
                names += f"; ours on these {_percent(late['f1_of_ours_on_these'])}"
            if late["failed"]:
                names += f"; failed on {', '.join(late['failed'])}"
            ratios = [_percent(row[name]) for row in (late, full) for name in ("se", "ppv", "f1")]
            offset = "–" if late["offset_median_ms"] is None else f"{late['offset_median_ms']:+.0f}"
            bold = "bold" if late["detector"] in (OURS, OURS_ALL) else ""
            table.add_row(late["detector"], *ratios, offset, delay, names, style=bold)
        console.print(table)
    table = Table("detector", "1 bed", f"{BEDS} beds", title="Million samples per processor second: median (range)")
    for name, cells in by_speed.items():
        table.add_row(name, *cells, style="bold" if name in (OURS, OURS_ALL) else "")
    console.print(table)
    for peer in absent:
        console.print(f"absent: {peer.name}: {peer.reason}", style="yellow", highlight=False)
    for name, value in summary.items():
        console.print(f"{name}: {'–' if value is None else f'{value:.2f}'}", highlight=False)


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
