"""`telebeat script`: render a scripted patient."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def script(
    file: Annotated[
        str | None,
        typer.Argument(help="Script to render, or the name of a built-in patient.", show_default="list them"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for the WFDB record, its annotations (.atr) and the expected alerts (.json)."),
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="Picture of the strips, such as strips.png.")] = None,
) -> None:
    """Render a scripted patient: ECG, annotations, expected alerts. See docs/scripts.md for the language."""
    from rich.console import Console
    from rich.table import Table

    from replay import script as scripts
    from replay import script_files

    console = Console(markup=False)
    if file is None:
        table = Table("patient", "leads", "rate", "episodes")
        for name in scripts.builtin():
            listed = scripts.read(name)
            words = dict.fromkeys(e.word for e in listed.episodes)
            table.add_row(name, " ".join(listed.patient.leads), f"{listed.patient.rate:g} Hz", ", ".join(words))
        console.print(table)
        return
    scripted = scripts.load(Path(file) if file not in scripts.builtin() else file)
    record = scripted.record
    beats = sum(a.symbol not in "+~s[]" for a in scripted.truth)
    rate = record.rate_mHz / 1000
    console.print(f"{record.name}: {record.seconds:.1f} s, {len(record.leads)} leads at {rate:g} Hz, {beats} beats")
    table = Table(
        "alert", "onset s", "raised by s", "cleared by s", "", title="alerts to be expected", title_justify="left"
    )
    for e in scripted.expected:
        table.add_row(
            " ".join((e.rule, *e.leads)),
            f"{e.onset[0]:.1f} to {e.onset[1]:.1f}",
            f"{e.raised_by:.1f}",
            "end" if e.cleared_by is None else f"{e.cleared_by:.1f}",
            "must" if e.required else "may",
        )
    console.print(table)
    if out is not None:
        for path in script_files.write(scripted, out):
            console.print(f"wrote {path}", highlight=False, soft_wrap=True)
    if plot is not None:
        script_files.plot(scripted, plot)
        console.print(f"wrote {plot}", highlight=False, soft_wrap=True)
