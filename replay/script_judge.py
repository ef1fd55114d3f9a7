"""Holding the alerts of a monitor against those a script calls for."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence

from replay.script_expect import Expected


@dataclasses.dataclass(frozen=True)
class Raised:
    """An alert as a monitor raised it; times in seconds since the start of the record, None for one never cleared."""

    rule: str
    onset: float
    decided: float
    cleared: float | None = None


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What was wrong; all three are empty for a perfect monitor.

    Attributes
    ----------
    missed : tuple of Expected
        Required, and not raised in time.
    uncleared : tuple of Raised
        Matched, but cleared too late.
    false : tuple of Raised
        Called for by nothing.
    """

    missed: tuple[Expected, ...]
    uncleared: tuple[Raised, ...]
    false: tuple[Raised, ...]

    @property
    def passed(self) -> bool:
        """Whether nothing was wrong."""
        return not (self.missed or self.uncleared or self.false)


def judge(expected: Sequence[Expected], raised: Iterable[Raised]) -> Verdict:
    """Compare alerts with expectations.

    An expectation is met by an alert of its rule that names an onset in its window and was decided in time, or by an
    earlier one that is still active: a monitor need not announce again what it already announces.
    """
    alerts = list(raised)
    missed = tuple(e for e in expected if e.required and not any(_meets(a, e) for a in alerts))
    false, uncleared = [], []
    for alert in alerts:
        causes = [e for e in expected if e.rule == alert.rule and e.onset[0] <= alert.onset <= e.onset[1]]
        # A condition that comes again while its alert is active prolongs it.
        ends = [_end(e) for e in expected if e.rule == alert.rule and e.onset[0] <= (alert.cleared or math.inf)]
        if not causes:
            false.append(alert)
        elif (math.inf if alert.cleared is None else alert.cleared) > max(ends):
            uncleared.append(alert)
    return Verdict(missed, tuple(uncleared), tuple(false))


def _end(expected: Expected) -> float:
    return math.inf if expected.cleared_by is None else expected.cleared_by


def _meets(alert: Raised, expected: Expected) -> bool:
    if alert.rule != expected.rule:
        return False
    if alert.decided <= expected.raised_by and expected.onset[0] <= alert.onset <= expected.onset[1]:
        return True
    active = alert.cleared is None or alert.cleared > expected.onset[0]
    return active and alert.onset < expected.onset[0]
