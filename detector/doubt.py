"""When the detector doubts its own beats: the share of them that is likely wrong, by its own odds.

Every peak that is decided has a score, the log odds of its being a beat (`detector.score`). So each beat told is likely
wrong by one minus its probability, and each peak refused is likely a beat missed by its probability. The sum of both
over the last seconds, against the beats told, is the share of wrong beats to be expected. Where it is large the beats
cannot be read, whatever the reason: an electrode that is being moved has neither hum nor a flat line, and its swings
look like beats each for itself. What is said then still stands, but it is declared to be in doubt.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector.envelope import STRIDE
from detector.jit import kernel
from detector.types import EPOCH, RATE, Array, Row

SPAN_S: Final = 5.0  # s in which what was decided fades to 1/e: a few beats, as a nurse would look at a strip
KEEP: Final = math.exp(-EPOCH / (SPAN_S * RATE))  # share that an epoch leaves of it
LEAST: Final = 2.0  # beats the share is taken of at least: one doubtful peak after a pause is no doubt yet
BEGINS: Final = 0.25  # share likely wrong from which on the beats are in doubt ...
ENDS: Final = 0.15  # ... and down to which they stay so

#: What was decided lately, fading.
DOUBT = np.dtype(
    [
        ("told", "f8"),  # beats
        ("wrong", "f8"),  # beats likely wrong, and peaks refused likely to be one
        ("doubtful", "i1"),
    ],
    align=True,
)

#: One decision of a call: the step at which it fell, and what it adds to both sums.
DECIDED = np.dtype([("step", "i8"), ("told", "f8"), ("wrong", "f8")], align=True)


@kernel
def begin(doubt: Row) -> None:
    """Nothing has been decided."""
    doubt.told = 0.0
    doubt.wrong = 0.0
    doubt.doubtful = 0


@kernel
def _odds(score: float) -> float:
    """Probability of a beat."""
    return 1.0 / (1.0 + math.exp(-score))


@kernel
def tell(desk: Row, step: int, score: float) -> None:
    """A peak of this score is told as a beat."""
    _note(desk, step, 1.0, 1.0 - _odds(score))


@kernel
def refuse(desk: Row, step: int, score: float) -> None:
    """A peak of this score is no beat."""
    _note(desk, step, 0.0, _odds(score))


@kernel
def take_back(desk: Row, step: int, score: float) -> None:
    """A peak of this score, refused before, is told as a beat all the same."""
    _note(desk, step, 1.0, 1.0 - 2.0 * _odds(score))


@kernel
def _note(desk: Row, step: int, told: float, wrong: float) -> None:
    decided = desk.decided[desk.n_decided]
    decided.step = step
    decided.told = told
    decided.wrong = wrong
    desk.n_decided += 1


@kernel
def follow(doubt: Row, desk: Row, epochs: Array, first: int, end: int) -> None:
    """Take what a call has decided, and judge the epochs [first, end) of the queue, which ended in it.

    Parameters
    ----------
    doubt : DOUBT
    desk : detector.desk.DESK
        `decided` holds the call's decisions in order.
    epochs : EPOCH_STATE, shape (n,)
        `doubtful` is set to 1 where the beats are in doubt.
    first, end : int
    """
    taken = 0
    for number in range(first, end):
        epoch = epochs[number]
        while taken < desk.n_decided and STRIDE * desk.decided[taken].step + STRIDE - 1 <= epoch.tick:
            _take(doubt, desk.decided[taken])
            taken += 1
        bound = ENDS if doubt.doubtful else BEGINS
        doubt.doubtful = doubt.wrong > bound * max(doubt.told, LEAST)
        epoch.doubtful = doubt.doubtful
        doubt.told *= KEEP
        doubt.wrong *= KEEP
    for number in range(taken, desk.n_decided):
        _take(doubt, desk.decided[number])


@kernel
def _take(doubt: Row, decided: Row) -> None:
    doubt.told += decided.told
    doubt.wrong += decided.wrong
