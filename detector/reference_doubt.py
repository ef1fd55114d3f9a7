"""`detector.doubt` once more, in plain Python, as the kernel's oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass

from detector import doubt
from detector.types import EPOCH


@dataclass(frozen=True)
class Decision:
    """What was decided of one peak: the tick at which it fell, its score, what became of it.

    Attributes
    ----------
    tick : int
    score : float
        Log odds of a beat.
    told : bool
    before : bool
        Whether it was refused before.
    """

    tick: int
    score: float
    told: bool
    before: bool = False


def doubtful(decisions: list[Decision], epochs: int) -> list[bool]:
    """Whether the beats are in doubt at the end of each of so many epochs."""
    return [doubted for doubted, _ in follow(decisions, epochs)]


def follow(decisions: list[Decision], epochs: int) -> list[tuple[bool, float]]:
    """The same, and how much the beats speak for a rhythm."""
    told = wrong = scores = 0.0
    said: list[tuple[bool, float]] = []
    later = list(decisions)
    for number in range(epochs):
        while later and later[0].tick < (number + 1) * EPOCH:
            one = later.pop(0)
            likely = 1.0 / (1.0 + math.exp(-one.score))
            told += one.told
            wrong += 1.0 - 2.0 * likely if one.before else 1.0 - likely if one.told else likely
            scores += min(max(one.score, doubt.LEAST_SCORE), doubt.MOST_SCORE) if one.told else 0.0
        bound = doubt.ENDS if said and said[-1][0] else doubt.BEGINS
        pace = min(max((doubt.FAST - told) / (doubt.FAST - doubt.SLOW), 0.0), 1.0)
        said.append((wrong > bound * max(told, doubt.LEAST), scores / max(told, doubt.ENOUGH) * pace))
        told *= doubt.KEEP
        wrong *= doubt.KEEP
        scores *= doubt.KEEP
    return said
