"""`telebeat replay`: play records or scripted patients into Kafka as if they were at the bedside."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from stream.commands.shared import DataDir

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from replay.player import BedRecord, Plan, Totals
    from replay.records import Record

FIRST_DATABASE: Final = "mitdb"  # the best known, with every beat and rhythm annotated


def replay(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[RECORD]...", help="records: 208, mitdb/208, or a path")
    ] = None,
    *,
    records: Annotated[
        list[str] | None, typer.Option(help="the same as RECORD...; repeated, or several with commas or blanks")
    ] = None,
    script: Annotated[
        list[str] | None, typer.Option(help="a scripted patient: a file or a built-in name; may be repeated")
    ] = None,
    data_dir: DataDir = None,
    database: Annotated[
        str | None,
        typer.Option(help="only records of this database; default when no records are named: mitdb where there is one"),
    ] = None,
    beds: Annotated[int | None, typer.Option(min=1, help="default: one a record; 8 when no records are named")] = None,
    bed_prefix: Annotated[str, typer.Option(help="put before every bed id")] = "",
    speed: Annotated[str, typer.Option(help="1, 60, ... times real time, or max")] = "1",
    loop: Annotated[bool, typer.Option("--loop/--once", help="begin again at the end of a record, for ever")] = False,
    start: Annotated[str, typer.Option("--from", help="where in the records to begin: seconds, m:ss or h:mm:ss")] = "0",
    frame_ms: Annotated[int, typer.Option(help="length of a frame, 50 to 1000 ms")] = 250,
    clock: Annotated[
        str, typer.Option(help="what the devices' clocks show: wall (now) or record (the header's time, else 1970)")
    ] = "wall",
    fault: Annotated[
        list[str] | None,
        typer.Option(help="gap, duplicate, reorder, corrupt or silence: gap=0.01, gap@30s:2s; may be repeated"),
    ] = None,
    seed: Annotated[int, typer.Option(help="of the faults")] = 0,
) -> None:
    """Play WFDB records or scripted patients into the topic `ecg.frames`.

    Stop it with Ctrl-C: what was sent is flushed.
    """
    from replay import faults, pacing, player
    from replay.framing import held
    from replay.records import wanted
    from stream.errors import SettingsError
    from stream.settings import load_kafka
    from stream.times import seconds

    if clock not in {"wall", "record"}:
        raise SettingsError(f"--clock {clock}: wall or record is allowed")
    begin_s = seconds(start)
    plan = player.Plan(
        speed=pacing.parse_speed(speed),
        loop=loop,
        frame_ms=frame_ms,
        clock="wall" if clock == "wall" else "record",
        faults=tuple(faults.parse(text) for text in fault or ()),
        seed=seed,
    )
    chosen = wanted(records, names)
    settings = load_kafka()
    some = beds or (None if chosen or script else player.BEDS)
    loaded = _load(chosen, script or [], data_dir, database, some)
    if not loop:
        loaded = [held(record) for record in loaded]
    patients = player.assign(loaded, some, bed_prefix, begin_s)
    _run(lambda report: player.play(patients, plan, settings, report), patients, plan)


def _load(
    names: list[str], scripts: list[str], data_dir: Path | None, database: str | None, most: int | None
) -> list[Record]:
    """The records named and the scripted ones; without either, the first `most` of a database."""
    from replay.records import find_records, read_record
    from stream.errors import RecordError
    from stream.settings import data_dirs

    loaded: list[Record] = []
    if names or not scripts:
        folders = data_dirs(data_dir)
        try:
            paths = find_records(folders, names, database or (None if names else FIRST_DATABASE))
        except RecordError:
            if names or database:
                raise
            paths = find_records(folders)
        loaded += [read_record(path) for path in paths[:most]]
    if scripts:
        from replay.script import builtin, load

        loaded += [load(text if text in builtin() else Path(text)).record for text in scripts]
    return loaded


def _run(
    play: Callable[[Callable[[Totals], None]], Coroutine[Any, Any, Totals]], patients: list[BedRecord], plan: Plan
) -> None:
    """Play with a line of progress on a terminal; SIGINT and SIGTERM end it cleanly."""
    import asyncio
    import signal

    from rich.console import Console

    from replay.player import LAG_WARNING_S, Totals, is_late

    console = Console(stderr=True, highlight=False)
    totals = Totals()

    async def until_stopped(report: Callable[[Totals], None]) -> None:
        task = asyncio.ensure_future(play(report))
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, task.cancel)
        await asyncio.wait([task])
        if not task.cancelled():
            task.result()

    with _progress(console, patients, plan) as show:

        def report(now: Totals) -> None:
            nonlocal totals
            totals = now
            show(now)

        asyncio.run(until_stopped(report))
    console.print(f"replay: {_summary(totals)}")
    if is_late(totals, plan):
        console.print(
            f"replay: up to {totals.worst_lag_s:.1f} s late, more than {LAG_WARNING_S:g} s: this machine or the "
            "cluster is too slow for so many beds; play fewer or slower",
            style="yellow",
        )


def _progress(console: Any, patients: list[BedRecord], plan: Plan) -> Any:
    """A context that gives a function to show totals; off a terminal it shows nothing."""
    import contextlib

    from rich.progress import BarColumn, Progress, TextColumn

    @contextlib.contextmanager
    def shown() -> Any:
        seconds = max((len(p.record.samples) - p.first) * 1000 / p.record.rate_mHz for p in patients)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=30), TextColumn("{task.fields[text]}"))
        with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
            task = bar.add_task(f"{len(patients)} beds", total=None if plan.loop else seconds, text="")

            def show(totals: Totals) -> None:
                bar.update(task, completed=totals.signal_s, text=_summary(totals))

            yield show

    return shown()


def _summary(totals: Totals) -> str:
    minutes, seconds = divmod(int(totals.signal_s), 60)
    text = (
        f"{minutes}:{seconds:02d} of signal on {totals.beds} beds, {totals.frames} frames "
        f"({totals.acknowledged} confirmed), {totals.lag_s * 1000:.0f} ms late"
    )
    if totals.faults:
        text += "; faults: " + ", ".join(f"{kind} {count}" for kind, count in sorted(totals.faults.items()))
    return text
