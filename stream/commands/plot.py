"""`telebeat plot`: a stretch of a record on ECG paper, with what the ward says of it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from stream.commands.shared import DataDir, ModelFolder


def plot(
    record: Annotated[str, typer.Argument(help="such as 208, mitdb/208, or a path", show_default=False)],
    *,
    start: Annotated[str, typer.Option("--from", help="seconds, m:ss or h:mm:ss")] = "0",
    seconds: Annotated[float, typer.Option(help="how long, up to 120")] = 20.0,
    out: Annotated[Path, typer.Option("--out", "-o", help="picture to write: .png, .svg or .pdf")],
    reference: Annotated[
        str | None, typer.Option(help="annotations to show above ours: their suffix, such as atr", show_default="none")
    ] = None,
    data_dir: DataDir = None,
    model: ModelFolder = None,
) -> None:
    """Draw a stretch of a record as an ECG strip, with R peaks, beat classes, rhythm and alerts.

    The record is analysed from its begin, as at the bedside; an alert is drawn pale until it was told, then full.
    """
    from rich.console import Console

    from model.reader import Reader
    from replay.records import find_records
    from stream import limits, outputs, times
    from stream import plot as strips
    from stream.settings import data_dirs, load
    from stream.ward import Ward
    from stream.warm import announce_compilation

    alarms = limits.load()
    begin_s = times.seconds(start)
    (path,) = find_records(data_dirs(data_dir), [record])
    outputs.picture(out)
    announce_compilation(Console(stderr=True).print)
    ward = Ward(Reader.load(model or load().model_dir), alarms)
    strips.save(strips.prepare(path, ward, begin_s, seconds, reference), out)
    Console(markup=False, highlight=False, soft_wrap=True).print(f"wrote {out}")
