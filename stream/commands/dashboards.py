"""`telebeat dashboards`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def dashboards(
    out: Annotated[Path, typer.Option(help="Folder to write pipeline.json and ward-alarms.json into.")] = Path(
        "deploy/grafana/dashboards"
    ),
) -> None:
    """Write the Grafana dashboards *Pipeline* and *Ward alarms* as JSON."""
    from rich.console import Console

    from stream import outputs
    from stream.errors import ExtraError

    try:
        from stream.dashboards import write
    except ModuleNotFoundError as error:
        raise ExtraError(
            f"{error.name} is not installed, and dashboards are made with it: pip install grafana-foundation-sdk"
        ) from None
    for file in write(outputs.folder(out)):
        Console(markup=False).print(f"wrote {file}", highlight=False, soft_wrap=True)
