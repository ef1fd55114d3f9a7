"""The command `telebeat`.

Each subcommand is a module of `stream.commands` with one function of the same name; what it needs beyond the standard
library and typer it imports when it runs, so that `telebeat --help` is quick and the monitor never loads torch.
"""

from __future__ import annotations

import sys

import typer
from rich.console import Console
from rich.markup import escape

from stream.commands import COMMANDS, GROUPS
from stream.errors import TelebeatError

app = typer.Typer(
    name="telebeat",
    help="Real-time ECG telemetry: records or bedside feeds, R peaks, beats as language, rhythm, alarms.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


@app.callback()
def _telebeat() -> None:
    """Keep subcommands even when there is only one: without this typer would run it without its name."""


for _command in COMMANDS:
    app.command()(_command)
for _name, (_help, _members) in GROUPS.items():
    _group = typer.Typer(help=_help, no_args_is_help=True)
    for _command in _members:
        _group.command()(_command)
    app.add_typer(_group, name=_name)


def main() -> None:
    """Run the command line; an error that is the input's fault is one line on stderr and exit status 2."""
    try:
        app()
    except TelebeatError as error:
        Console(stderr=True).print(
            f"[bold red]telebeat:[/] {escape(str(error))}", highlight=False, markup=True, soft_wrap=True
        )
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
