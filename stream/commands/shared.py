"""What several commands have in common: options, a bar of progress, a console that leaves tables whole in a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, ProgressColumn

WIDTH: Final = 150  # columns of a file or pipe that tables are written to: the widest fits

#: Where records are looked for; see `stream.settings.data_dirs`.
DataDir = Annotated[
    Path | None,
    typer.Option(
        help="Folder of WFDB databases, or one of them where one is enough; default: TELEBEAT_DATA_DIR, shared/data "
        "beside a checkout, then the user's cache."
    ),
]

#: What beats are read with.
ModelFolder = Annotated[
    Path | None,
    typer.Option(help="Folder of a trained model, or its file; default: TELEBEAT_MODEL_DIR, else the one that ships."),
]


def progress(console: Console, *more: ProgressColumn, transient: bool = True) -> Progress:
    """A bar with what is done now, how much is done, and for how long; then whatever more is to be shown."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    plain = TextColumn("{task.description}", markup=False)  # names are not ours: a bracket in them is one
    return Progress(
        plain, BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), *more, console=console, transient=transient
    )


#: Where a command's numbers go; see `stream.outputs.numbers`.
JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write all numbers here as one JSON object; - for the standard output.")
]


def wide_console(*, highlight: bool = True, stderr: bool = False) -> Console:
    """The standard output, or the standard error; where it is no terminal, `WIDTH` columns at least."""
    from rich.console import Console

    console = Console(markup=False, highlight=highlight, stderr=stderr)
    if not console.is_terminal:
        console.width = max(console.width, WIDTH)
    return console
