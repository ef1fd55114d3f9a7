"""The subcommands of `telebeat`, in the order in which its help lists them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from stream.commands import bench, topics
from stream.commands.annotate import annotate
from stream.commands.broker import broker
from stream.commands.dashboards import dashboards
from stream.commands.demo import demo
from stream.commands.download import download
from stream.commands.evaluate import evaluate
from stream.commands.heartbeats import heartbeats
from stream.commands.monitor import monitor
from stream.commands.plot import plot
from stream.commands.replay import replay
from stream.commands.score import score
from stream.commands.script import script
from stream.commands.tail import tail
from stream.commands.train import train
from stream.commands.words import words

Command = Callable[..., Any]

COMMANDS: Final[tuple[Command, ...]] = (
    demo,
    monitor,
    annotate,
    replay,
    script,
    tail,
    broker,
    download,
    dashboards,
    plot,
    score,
    train,
    evaluate,
    words,
    heartbeats,
)

#: Commands of two words, such as `telebeat topics create`: name -> (help, members).
GROUPS: Final[dict[str, tuple[str, tuple[Command, ...]]]] = {
    "topics": (topics.HELP, (topics.create, topics.describe)),
    "bench": (bench.HELP, (bench.detector, bench.fiducials)),
}
