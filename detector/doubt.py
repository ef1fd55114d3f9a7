"""When the detector doubts its own beats: the share of them that is likely wrong, by its own odds.

Every peak that is decided has a score, the log odds of its being a beat (`detector.score`). So each beat told is likely
wrong by one minus its probability, and each peak refused is likely a beat missed by its probability. The sum of both
over the last seconds, against the beats told, is the share of wrong beats to be expected. Where it is large the beats
cannot be read, whatever the reason: an electrode that is being moved shows neither hum nor a flat line, and each of its
swings looks like a beat. Such beats are still reported, but declared to be in doubt.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector import fibrillation
from detector.envelope import STRIDE
from detector.jit import hot
from detector.types import EPOCH, GOOD, NOISY, RATE, Array, Row

SPAN_S: Final = 5.0  # s in which what was decided fades to 1/e: a few beats, as a nurse would look at a strip
KEEP: Final = math.exp(-EPOCH / (SPAN_S * RATE))  # share that an epoch leaves of it
ENOUGH: Final = 5.0  # beats told lately (60 a minute) below which they speak for a rhythm the less, the fewer they are
LEAST: Final = 2.0  # beats the share is taken of at least: one doubtful peak after a pause is no doubt yet
BEGINS: Final = 0.25  # share likely wrong from which on the beats are in doubt ...
ENDS: Final = 0.15  # ... and down to which they stay so

LEAST_SCORE, MOST_SCORE = -2.0, 8.0  # of a beat, as it counts for a rhythm: one beat of 12 is not two of 6
SLOW, FAST = 8.0, 14.0  # beats told lately (96 and 168 a minute): waves of fibrillation are told faster than beats

#: What was decided lately, fading.
DOUBT = np.dtype(
    [
        ("told", "f8"),  # beats
        ("wrong", "f8"),  # beats likely wrong, and peaks refused likely to be one
        ("scores", "f8"),  # of the beats told, within bounds
        ("doubtful", "i1"),
    ],
    align=True,
)


@hot
def begin(doubt: Row) -> None:
    """Nothing has been decided."""
    doubt.told = 0.0
    doubt.wrong = 0.0
    doubt.scores = 0.0
    doubt.doubtful = 0


@hot
def _probability(score: float) -> float:
    """Probability of a beat."""
    return 1.0 / (1.0 + math.exp(-score))


@hot
def note_accepted(scratch: Row, step: int, score: float) -> None:
    """A peak of this score is told as a beat."""
    _note(scratch, step, 1.0, 1.0 - _probability(score), _bounded(score))


@hot
def note_rejected(scratch: Row, step: int, score: float) -> None:
    """A peak of this score is no beat."""
    _note(scratch, step, 0.0, _probability(score), 0.0)


@hot
def note_recovered(scratch: Row, step: int, score: float) -> None:
    """A peak of this score, refused before, is told as a beat all the same."""
    _note(scratch, step, 1.0, 1.0 - 2.0 * _probability(score), _bounded(score))


@hot
def _bounded(score: float) -> float:
    return min(max(score, LEAST_SCORE), MOST_SCORE)


@hot
def _note(scratch: Row, step: int, told: float, wrong: float, score: float) -> None:
    if math.isnan(score) or math.isnan(wrong):  # sums that fade would never recover
        return
    decided = scratch.decided[scratch.n_decided]
    decided.step = step
    decided.told = told
    decided.wrong = wrong
    decided.score = score
    scratch.n_decided += 1


@hot
def follow(doubt: Row, scratch: Row, epochs: Array, first: int, end: int) -> None:
    """Take what a call has decided, and judge the epochs [first, end) of the queue, which ended in it.

    Parameters
    ----------
    doubt : DOUBT
    scratch : detector.scratch.SCRATCH
        `decided` holds the call's decisions in order.
    epochs : EPOCH_STATE, shape (n,)
        `doubtful` is set to 1 where the beats are in doubt, and `vf`, the log odds by the signal alone, becomes the
        probability by signal and beats, beside `vf_alone`.
    first, end : int
    """
    taken = 0
    told, wrong, scores, doubtful = doubt.told, doubt.wrong, doubt.scores, doubt.doubtful != 0
    for number in range(first, end):
        epoch = epochs[number]
        while taken < scratch.n_decided and STRIDE * scratch.decided[taken].step + STRIDE - 1 <= epoch.tick:
            decided = scratch.decided[taken]
            told, wrong, scores = told + decided.told, wrong + decided.wrong, scores + decided.score
            taken += 1
        doubtful = wrong > (ENDS if doubtful else BEGINS) * max(told, LEAST)
        epoch.doubtful = doubtful
        odds = epoch.vf
        if odds == fibrillation.LOG_ODDS_MIN:  # nearly always
            epoch.vf_alone = epoch.vf = fibrillation.UNLIKELY
        else:
            epoch.vf_alone = fibrillation.probability(odds, 0.0)
            epoch.vf = fibrillation.probability(odds, regular(told, scores))
        told, wrong, scores = told * KEEP, wrong * KEEP, scores * KEEP
    for number in range(taken, scratch.n_decided):
        decided = scratch.decided[number]
        told, wrong, scores = told + decided.told, wrong + decided.wrong, scores + decided.score
    doubt.told, doubt.wrong, doubt.scores, doubt.doubtful = told, wrong, scores, doubtful


@hot
def regular(told: float, scores: float) -> float:
    """How much the beats told lately speak for a rhythm: their mean score; less, and at last nothing, if they are fast.

    A lead that is being moved moves like fibrillation, but the beats of before are found in it. Waves of fibrillation
    may be told as beats too, and some score high: those are faster than nearly every rhythm. Where no more beats come,
    those of before say less and less.
    """
    pace = min(max((FAST - told) / (FAST - SLOW), 0.0), 1.0)
    return float(scores / max(told, ENOUGH) * pace)


@hot
def condition(epoch: Row, lead: int) -> int:
    """State of a lead: one that is good by itself is noisy while the beats are in doubt."""
    return int(NOISY if epoch.doubtful and epoch.lead[lead] == GOOD else epoch.lead[lead])
