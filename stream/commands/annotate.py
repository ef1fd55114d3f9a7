"""`telebeat annotate`: records through the ward, for EC57 tools to judge."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from stream.commands.shared import WIDTH, DataDir, ModelFolder, progress

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.console import Console

    from stream.annotate import Annotated as Result


def annotate(
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for NAME.tb and NAME.alerts.jsonl.")],
    data_dir: DataDir = None,
    records: Annotated[
        list[str] | None, typer.Option(help="Records, such as 208 or mitdb/208; default: all of the folder.")
    ] = None,
    more: Annotated[list[str] | None, typer.Argument(help="Further records.", show_default=False)] = None,
    database: Annotated[str | None, typer.Option(help="Only this database of the folder, such as mitdb.")] = None,
    jobs: Annotated[int, typer.Option(min=1, max=64, help="Processes.")] = 1,
    model: ModelFolder = None,
    shutdown: Annotated[
        bool, typer.Option("--shutdown", help="Tell no beats where they are in doubt: EC57's shutdown.")
    ] = False,
    table: Annotated[
        bool, typer.Option("--beats", help="Also NAME.beats.csv: each beat with both words, probabilities and delays.")
    ] = False,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", help="Write what became of each record here; - for the standard output."),
    ] = None,
) -> None:
    """Run the bedside analysis over WFDB records as fast as it can and write what it found.

    For each record: NAME.tb, a WFDB annotation file (beats N S V F Q at the R peak, `+` rhythm, `~` signal quality,
    `[` `]` fibrillation), and NAME.alerts.jsonl. `telebeat score` compares NAME.tb with a reference. Beats in noise are
    told and declared to be in doubt (`~` with the noise bits of all signals), unless --shutdown leaves them out.
    """
    from rich.console import Console

    from replay.folders import database_of
    from replay.records import find_records, wanted
    from stream import limits, outputs
    from stream.annotate import annotate_all
    from stream.errors import RecordError
    from stream.settings import data_dirs, load
    from stream.warm import announce_compilation

    chosen = limits.load()
    asked = wanted(records, more)
    folders = data_dirs(data_dir)
    paths = list(dict.fromkeys(find_records(folders, asked or None, database)))  # one named twice is one
    model = model or load().model_dir
    outputs.numbers(json_file)
    console = Console(stderr=True, markup=False)  # names and reasons are not ours: a bracket in them is one
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    done: dict[str, Result] = {}
    announce_compilation(console.print)
    with progress(console) as bar:
        task = bar.add_task("annotating", total=len(paths))
        results = annotate_all(paths, out, model, chosen, jobs, shutdown=shutdown, table=table)
        for path, result in zip(paths, results, strict=False):
            name = f"{database_of(path.parent)}/{path.name}"  # 100 is of whichever database has one first
            done[name] = result
            bar.update(task, advance=1, description=name)
    _show(console, done, out)
    if json_file is not None:
        _write(json_file, done)
    failed = [result for result in done.values() if result.error]
    if failed:
        raise RecordError(f"{len(failed)} of {len(done)} records could not be annotated, the first: {failed[0].error}")


def _show(console: Console, done: Mapping[str, Result], out: Path) -> None:
    """A row a record, and how quickly all of them were done."""
    from rich.table import Table
    from rich.text import Text

    table = Table("record", "signal", "× real time", "beats", "alerts raised")
    for name, result in done.items():
        if result.error:
            table.add_row(name, "", "", "", Text(result.error, "red"))
            continue
        raised = ", ".join(f"{rule} {count}" for rule, count in sorted(result.alerts.items()))
        speed = result.seconds / result.took
        table.add_row(name, f"{result.seconds:.0f} s", f"{speed:.0f}", str(result.beats), raised)
    console.print(table)
    good = [result for result in done.values() if not result.error]
    seconds, took = sum(r.seconds for r in good), sum(r.took for r in good)
    if good:
        console.print(
            f"{len(good)} of {len(done)} records, {seconds / 3600:.2f} h of signal, {took:.1f} s of work: "
            f"{seconds / took:.0f} × real time in each process. Written to {out}.",
            soft_wrap=True,
        )


def _write(file: Path, done: Mapping[str, Result]) -> None:
    """What became of each record, as JSON."""
    from stream import outputs

    rows = [
        {
            "record": result.name,
            "database": name.partition("/")[0],
            "seconds": round(result.seconds, 3),
            "took_s": round(result.took, 4),
            "beats": result.beats,
            "alerts": dict(sorted(result.alerts.items())),
            "error": result.error or None,
        }
        for name, result in done.items()
    ]
    outputs.write_numbers(file, {"records": rows})
