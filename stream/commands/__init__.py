"""The subcommands of `telebeat`, in the order in which its help lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from stream.commands.score import score

Command = Callable[..., Any]

COMMANDS: Final[tuple[Command, ...]] = (score,)

#: Commands of two words, such as `telebeat topics create`: name -> (help, members).
GROUPS: Final[dict[str, tuple[str, tuple[Command, ...]]]] = {}
