"""`telebeat bench`: measurements of telebeat beside named peers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from stream.commands.shared import DataDir, JsonFile, progress, wide_console
from stream.figures import NOTHING, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from model.bench import Case, Result, Speed
    from model.bench_cores import Scaling
    from model.peers import Absent, Peer

HELP = "Measure telebeat beside other projects, on the same records."

QUICK_RECORDS = 4  # of each database: enough to see a difference, minutes instead of an hour
QUICK_BUDGET_S = 5.0
BEDS = 64
SPEED_S = 600.0  # of signal a bed when speed is measured: far more than any filter needs to settle
QUICK_SPEED_S = 120.0
SPEED_BUDGET_S = 5.0  # processor seconds of one measurement of speed: all but the slow peers get through 64 beds
QUICK_SPEED_BUDGET_S = 1.0


def detector(
    *,
    data_dir: DataDir = None,
    databases: Annotated[
        list[str] | None,
        typer.Option(
            help="Databases, and mixes: noise, noise-em, noise-em-12, noise-em_6 for -6 dB; kinds bw, em, ma. "
            "Default: mitdb,svdb,noise-em."
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
    json_file: JsonFile = None,
    quick: Annotated[bool, typer.Option("--quick", help="Few records, short signals.")] = False,
) -> None:
    """Measure the R-peak detector beside the other Python detectors: Se, +P, F1, delay, speed.

    All see lead 0 of the same records, in this process, and are judged by EC57 with a window of 150 ms; a row of its
    own has ours with both leads. A peer that is slow is judged on the first records only, and the tables say so.
    """
    from rich.console import Console

    from model import bench
    from model.cases import DATABASES, expand
    from model.peers import PEERS, SLEEPECG_C
    from replay.records import wanted
    from stream import bench_report, outputs
    from stream.settings import data_dirs

    folders = data_dirs(data_dir)
    most = QUICK_RECORDS if quick else None
    budget_s = (min(budget, QUICK_BUDGET_S) if budget else QUICK_BUDGET_S) if quick else budget or None
    names = expand(wanted(databases) or DATABASES)
    chosen = choose(PEERS, peers)
    outputs.folder(out)
    to_stdout = outputs.numbers(json_file)
    loud = Console(stderr=True, markup=False)
    measured = _measure(loud, folders, names, wanted(records) or None, most, chosen, budget_s, rounds, quick=quick)
    rows = bench.summarise(measured.results, measured.counts)
    delays = next(row for row in rows if row["detector"] == bench.OURS)
    summary = {
        "speedup_vs_sleepecg_c_64beds": bench.speedup(measured.speeds, BEDS, SLEEPECG_C),
        "speedup_vs_sleepecg_c_1bed": bench.speedup(measured.speeds, 1, SLEEPECG_C),
        "delay_ms_median": delays["delay_median_ms"],
        "delay_ms_p99": delays["delay_p99_ms"],
    }
    tables = {
        "accuracy": rows,
        "records": bench.by_record(measured.results),
        "speed": [speed.as_dict() for speed in measured.speeds],
        "absent": [{"detector": p.name, "package": p.package, "reason": p.reason} for p in measured.absent],
    }
    for name, table in tables.items():
        bench_report.write_csv(out / f"{name}.csv", table)
    bench_report.draw(out / "detector.png", rows, tables["speed"])
    if json_file is not None:
        absent = {peer.name: peer.reason for peer in measured.absent}
        figures = {
            "summary": summary,
            "machine": bench_report.machine(),
            "quick": quick,
            "window_ms": 150,
            "lead": 0,
            "speed_signal": {"database": names[0], "seconds_a_bed": measured.seconds, "records": measured.timed},
            "versions": {p.name: f"{p.package} {p.version}" for p in chosen if p.name not in absent},
            "absent": absent,
            "rows": rows,
            "speed": tables["speed"],
            "cores": measured.scaling.as_dict(),
            "records": tables["records"],
        }
        outputs.write_numbers(json_file, figures)
    console = wide_console(stderr=to_stdout)
    show(console, rows, measured, summary)
    console.print(f"Tables and chart: {out}", highlight=False, soft_wrap=True)


class Measured(NamedTuple):
    """What was measured.

    Attributes
    ----------
    results : list of Result
    counts : dict of int
        Records of each database.
    speeds : list of Speed
    scaling : Scaling
        Over the cores of this machine.
    absent : list of Absent
        Peers that could not be run.
    seconds : float
        Of signal a bed when speed was measured ...
    timed : list of str
        ... and the records it is of.
    """

    results: list[Result]
    counts: dict[str, int]
    speeds: list[Speed]
    scaling: Scaling
    absent: list[Absent]
    seconds: float
    timed: list[str]


def _measure(
    loud: Console,
    folders: Sequence[Path],
    names: Sequence[str],
    records: Sequence[str] | None,
    most: int | None,
    chosen: Sequence[Peer],
    budget_s: float | None,
    rounds: int,
    *,
    quick: bool,
) -> Measured:
    """All detectors on all records, then their speed, with a progress bar."""
    from functools import partial

    from model import bench, bench_cores
    from model.cases import cases as cases_of
    from model.peers import ready
    from stream.errors import RecordError

    seconds, speed_budget_s = (QUICK_SPEED_S, QUICK_SPEED_BUDGET_S) if quick else (SPEED_S, SPEED_BUDGET_S)
    with progress(loud) as bar:
        task = bar.add_task("reading")
        told = partial(bar.console.print, style="yellow", highlight=False)
        cases = {name: cases_of(folders, name, records, most, told) for name in names}
        have = {case.record for some in cases.values() for case in some}
        if most is None and (lacking := [name for name in records or () if name.rsplit("/", 1)[-1] not in have]):
            raise RecordError(
                f"not among the records to measure on: {', '.join(lacking)}; correct or leave out the name"
            )
        first = next(iter(cases.values()))
        bar.update(task, description="loading the peers")
        there, absent = ready(chosen, bench.lead_of(first[0].strip))
        bar.update(task, total=sum(map(len, cases.values())) * (len(there) + 2))
        found: list[Result] = []
        for name, some in cases.items():
            done = len(found)

            def begun(who: str, name: str = name) -> None:
                bar.update(task, description=f"{name}: {who}")

            for result in bench.results(some, there, budget_s, begun):
                found.append(result)
                bar.advance(task)
            bar.advance(task, len(some) * (len(there) + 2) - (len(found) - done))
        bar.reset(task, total=rounds * (2 * (len(there) + 2) + 1), description="speed")

        def timed(who: str) -> None:
            bar.update(task, advance=1, description=f"speed: {who}")

        strips = beds_of(first, seconds)
        speeds = bench.speeds(strips, there, rounds, speed_budget_s, timed)
        bar.update(task, description="speed on all cores")
        scaling = bench_cores.scaling(strips, rounds, lambda: bar.advance(task))
    counts = {name: len(some) for name, some in cases.items()}
    return Measured(found, counts, speeds, scaling, list(absent), seconds, [case.record for case in first])


def fiducials(
    *,
    data_dir: DataDir = None,
    database: Annotated[str, typer.Option(help="Whose marks: ludb, or qtdb, on which nothing was chosen.")] = "ludb",
    records: Annotated[list[str] | None, typer.Option(help="Only these, such as 17 or ludb/17.")] = None,
    peer: Annotated[bool, typer.Option(help="Have neurokit2 delineate the same leads, where it is installed.")] = True,
    json_file: JsonFile = None,
) -> None:
    """Measure QRS onset and end, T end and P presence beside the marks of readers, on the online path.

    Each lead is played alone and in a pair of leads. Errors stand beside the CSE tolerances, by lead and over all; the
    detector's constants are judged as they are and, on ludb, as chosen on other subjects.
    """
    from rich.console import Console

    from model import delineation_peer
    from replay.records import wanted
    from stream import bench_fiducials as bench
    from stream import outputs
    from stream.settings import data_dirs

    to_stdout = outputs.numbers(json_file)
    loud = Console(stderr=True, markup=False)
    source = bench.database(database)
    paths = bench.records(data_dirs(data_dir), wanted(records) or None, source)
    delineate = None
    if peer:
        try:
            delineate = delineation_peer.load()
        except ImportError as error:
            loud.print(
                f"without neurokit2 ({error}): pip install '.[bench]' in the checkout", style="yellow", highlight=False
            )
    with progress(loud) as bar:
        task = bar.add_task("records", total=len(paths))
        figures = bench.measure(source, paths, delineate, lambda: bar.advance(task))
    if json_file is not None:
        outputs.write_numbers(json_file, figures)
    bench.show(wide_console(stderr=to_stdout), figures)


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
    measured: Measured,
    summary: dict[str, Any],
) -> None:
    """Print the tables."""
    from rich.table import Table

    from model.bench import OURS, OURS_ALL

    by_speed: dict[str, list[str]] = {}
    for speed in measured.speeds:
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
                delay = " / ".join(NOTHING if part is None else f"{part:.0f}" for part in parts)
            names = str(len(late["records"]))
            if late["subset"]:
                names += f": {late['records'][0]} … {late['records'][-1]}"
                names += f"; ours on these {percent(late['f1_of_ours_on_these'])}"
            if late["failed"]:
                names += f"; failed on {', '.join(late['failed'])}"
            ratios = [percent(row[name]) for row in (late, full) for name in ("se", "ppv", "f1")]
            offset = NOTHING if late["offset_median_ms"] is None else f"{late['offset_median_ms']:+.0f}"
            bold = "bold" if late["detector"] in (OURS, OURS_ALL) else ""
            table.add_row(late["detector"], *ratios, offset, delay, names, style=bold)
        console.print(table)
    table = Table("detector", "1 bed", f"{BEDS} beds", title="Million samples per processor second: median (range)")
    for name, cells in by_speed.items():
        table.add_row(name, *cells, style="bold" if name in (OURS, OURS_ALL) else "")
    console.print(table)
    gain = measured.scaling.as_dict()
    low, middle, high = (percent(gain[f"gain_{part}"]) for part in ("min", "median", "max"))
    console.print(
        f"{gain['beds']} beds on {gain['cores']} cores, a thread each: {middle} ({low} to {high}) times as fast as on 1"
    )
    for peer in measured.absent:
        console.print(f"absent: {peer.name}: {peer.reason}", style="yellow", highlight=False)
    for name, value in summary.items():
        console.print(f"{name}: {percent(value)}", highlight=False)
