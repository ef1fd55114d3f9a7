"""A count of a count: what every EC57 statistic is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Ratio(NamedTuple):
    """`hits` of `total`, in beats, runs, episodes or samples."""

    hits: float
    total: float

    @property
    def percent(self) -> float | None:
        """The quotient in per cent; None if there was nothing to count."""
        return 100.0 * self.hits / self.total if self.total > 0 else None


def average(ratios: Iterable[Ratio]) -> float | None:
    """Mean over the records in which the quotient is defined: each record counts the same. None if it never is."""
    defined = [p for p in (r.percent for r in ratios) if p is not None]
    return sum(defined) / len(defined) if defined else None


def pooled(ratios: Iterable[Ratio]) -> Ratio:
    """Hits of all of the total of all: each beat, run or sample counts the same."""
    counted = list(ratios)
    return Ratio(sum(r.hits for r in counted), sum(r.total for r in counted))
