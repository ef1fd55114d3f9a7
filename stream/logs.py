"""Logs of the long-running commands: one structured line an event, JSON or for a console, never a flood.

A log line may name a bed, a partition and an offset, and nothing else that belongs to a patient: no samples, no beats,
no alerts' evidence.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from typing import Any, Final

import structlog

#: Lines of one kind that pass in each window; the rest is counted and reported with the next that passes.
BURST: Final = 5
WINDOW_S: Final = 10.0
MOST_KINDS: Final = 1000  # kept before those that are over are forgotten: some libraries put numbers into their texts


class RateLimit:
    """A structlog processor that lets `burst` lines of one kind pass in each window of time.

    A kind is the event's text with its level and, where it has one, its `reason`. The first line of a later window says
    in `suppressed` how many were held back. Errors of our own always pass; a library's are limited like warnings.

    Parameters
    ----------
    burst : int
        Lines of one kind that pass in a window.
    window_s : float
        Length of the window, seconds.
    clock : callable
        Seconds, monotonic.
    """

    def __init__(
        self, burst: int = BURST, window_s: float = WINDOW_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._burst = burst
        self._window_s = window_s
        self._clock = clock
        self._kinds: dict[tuple[Any, ...], list[float]] = {}  # kind -> [start of its window, lines in it]

    def __call__(self, _: Any, level: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        """Pass the line on, or drop it by `structlog.DropEvent`."""
        if level in ("error", "critical", "exception"):
            return event
        now = self._clock()
        kind = (level, event.get("event"), event.get("reason"))
        if len(self._kinds) >= MOST_KINDS and kind not in self._kinds:
            self._forget(now)
        window = self._kinds.setdefault(kind, [now, 0])
        if now - window[0] >= self._window_s:
            held_back = int(window[1]) - self._burst
            window[:] = now, 0
            if held_back > 0:
                event["suppressed"] = held_back
        window[1] += 1
        if window[1] > self._burst:
            raise structlog.DropEvent
        return event

    def _forget(self, now: float) -> None:
        """Forget kinds that are over and of which nothing is left to be reported."""
        self._kinds = {
            kind: [began, lines]
            for kind, (began, lines) in self._kinds.items()
            if now - began < self._window_s or lines > self._burst
        }


def configure(form: str, level: str) -> None:
    """Send structlog's and the standard library's lines to stderr.

    Parameters
    ----------
    form : {'json', 'console'}
        One JSON object a line for machines, or aligned text for people.
    level : {'debug', 'info', 'warning', 'error'}
        The least that is written.
    """
    threshold = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    render: structlog.typing.Processor
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
        render = structlog.processors.JSONRenderer()
    else:
        render = structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    structlog.configure(
        processors=[RateLimit(), *shared, render],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(["suppressed"]), *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    handler.setFormatter(formatter)
    handler.addFilter(_limited)
    logging.basicConfig(handlers=[handler], level=max(threshold, logging.WARNING), force=True)
    # aiokafka reports every rebalance and reconnect as an error of its own; ours says what it means for the beds
    logging.getLogger("aiokafka").setLevel(max(threshold, logging.ERROR))


_limit = RateLimit()


def _limited(record: logging.LogRecord) -> bool:
    """The same limit for lines of libraries; a library's errors repeat too, so they count as warnings."""
    try:
        passed = _limit(
            None, "warning", {"event": str(record.msg)}
        )  # a message may be any object, even one without hash
    except structlog.DropEvent:
        return False
    record.__dict__.update({"suppressed": passed["suppressed"]} if "suppressed" in passed else {})
    return True
