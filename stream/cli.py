"""The command `telebeat`.

Each subcommand is a module of `stream.commands` with one function of the same name; what it needs beyond the standard
library and typer it imports when it runs, so that `telebeat --help` is quick and the monitor never loads torch.
"""

from __future__ import annotations

import errno
import logging
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NoReturn, get_type_hints

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from stream import plain
from stream.commands import COMMANDS, GROUPS
from stream.ending import answered, as_program, status_of
from stream.errors import SettingsError, TelebeatError

PATHS: Final = (Path, Path | None)  # kinds of options that name a file or folder


class _Commands(TyperGroup):
    """The subcommands; a signal ends them with a line and the status that a shell expects, whatever typer's version."""

    def invoke(self, ctx: Any) -> Any:
        """Run the one that was asked for."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            answered()
            _end("interrupted", status_of(error) or 1)


class _Command(TyperCommand):
    """A subcommand; an empty path, as a script makes it of a variable that it does not have, is refused."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words behind its name; `SettingsError` where a path is empty: it would be the current folder."""
        kinds = get_type_hints(self.callback)
        paths = {word for option in self.params if kinds.get(str(option.name)) in PATHS for word in option.opts}
        for before, word in pairwise(["", *args]):
            name = word.strip().removesuffix("=") or before
            if name in paths and name != word:
                raise SettingsError(f"{name} is empty, which would be the current folder; name one or leave it out")
        return super().parse_args(ctx, args)


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
    app.command(cls=_Command)(_command)
for _name, (_help, _members) in GROUPS.items():
    _group = typer.Typer(help=_help, no_args_is_help=True)
    for _command in _members:
        _group.command(cls=_Command)(_command)
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
