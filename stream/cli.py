"""The command `telebeat`.

Each subcommand is a module of `stream.commands` with one function of the same name; what it needs beyond the standard
library and typer it imports when it runs, so that `telebeat --help` is quick and the monitor never loads torch.
"""

from __future__ import annotations

import errno
import logging
import sys
from typing import Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from stream import plain
from stream.commands import COMMANDS, GROUPS
from stream.ending import answered, as_program, status_of
from stream.errors import TelebeatError


class _Commands(TyperGroup):
    """The subcommands; a signal ends them with a line and the status that a shell expects, whatever typer's version."""

    def invoke(self, ctx: Any) -> Any:
        """Run the one that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            answered()
            _end("interrupted", status_of(error) or 1)


app = typer.Typer(
    name="telebeat",
    cls=_Commands,
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


#: What comes as late as the last byte of a result, wherever it is written.
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)


def _end(reason: str, status: int = 2) -> NoReturn:
    answered()  # a second signal only says what is being done
    line = f"[bold red]telebeat:[/] {escape(reason)}"
    Console(stderr=True).print(line, highlight=False, markup=True, soft_wrap=True)
    sys.exit(status)


def main() -> None:
    """Run the command line; an error that is the input's fault is one line on stderr and exit status 2."""
    as_program()
    plain.show_all()
    logging.getLogger("aiokafka").addHandler(logging.NullHandler())  # its errors are told in our words; logs have them
    try:
        app()
    except TelebeatError as error:
        _end(str(error))
    except OSError as error:
        if error.errno not in _FULL:
            raise
        _end(f"nothing more can be written ({(error.strerror or str(error)).lower()}); make room and run it again")
    except (Exception, KeyboardInterrupt) as error:
        if (status := status_of(error)) is None:
            raise
        _end("interrupted", status)
