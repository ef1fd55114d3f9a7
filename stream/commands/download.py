"""`telebeat download`: fetch PhysioNet databases to play, to test with and to train on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from replay.download import Progress


def download(
    databases: Annotated[
        list[str] | None, typer.Argument(metavar="[DATABASE]...", help="such as mitdb, or NAME/VERSION")
    ] = None,
    *,
    list_known: Annotated[bool, typer.Option("--list", help="show the known databases and their sizes")] = False,
    data_dir: Annotated[
        Path | None, typer.Option(help="folder of databases to put them in; default: the user's cache")
    ] = None,
    mirror: Annotated[str | None, typer.Option("--from", help="address of a mirror with PhysioNet's layout")] = None,
) -> None:
    """Fetch PhysioNet databases, each file checked against its SHA-256 sum.

    Run it again to go on where it stopped.
    """
    import asyncio

    from rich.console import Console

    from replay.download import PHYSIONET, fetch
    from stream.errors import SettingsError
    from stream.settings import user_data_dir

    if list_known:
        _show(Console(highlight=False))
        return
    if not databases:
        raise SettingsError("name a database, such as `telebeat download mitdb`; --list shows the known ones")
    if mirror is not None and not mirror.startswith(("https://", "http://")):
        raise SettingsError(f"--from {mirror}: an address begins with https:// or http://")
    console = Console(stderr=True, markup=False, highlight=False)
    for database in databases:
        with _progress(console, database) as report:
            folder, progress = asyncio.run(
                fetch(database, data_dir or user_data_dir(), base=mirror or PHYSIONET, report=report)
            )
        console.print(
            f"{database}: {progress.files} files in {folder}, {progress.received / 1e6:.1f} MB of them fetched now, "
            f"all sums right; to be cited as https://physionet.org/content/{folder.name}/ says",
            soft_wrap=True,
        )


@contextlib.contextmanager
def _progress(console: Console, database: str) -> Iterator[Callable[[Progress], None]]:
    """A bar of files and bytes; nothing off a terminal."""
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("files, {task.fields[megabytes]:.1f} MB"),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(database, total=None, megabytes=0.0)

        def report(now: Progress) -> None:
            bar.update(task, completed=now.files, total=now.total, megabytes=now.received / 1e6)

        yield report


def _show(console: Console) -> None:
    """The known databases as a table."""
    from rich.table import Table

    from replay.download import KNOWN

    table = Table("database", "records", "about MB", "what", box=None, pad_edge=False)
    for column in table.columns[1:3]:
        column.justify = "right"
    for known in KNOWN.values():
        table.add_row(known.name, str(known.records), str(known.megabytes), known.about)
    console.print(table)
