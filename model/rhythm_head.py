"""The rhythm head: what rhythm the sentence of beats is in, read from the networks' memories as each beat is read.

Beside the class of a beat the networks know what went before it: in their LSTM's state, and in the words of a rhythm's
order and of P waves that come again. Two dense layers make of that the log odds of each rhythm of
`model.codes.RHYTHMS`. They are fitted when the networks have been trained, and change nothing in what these say of a
beat (`model.rhythm_training`).

Which rhythms it tells was decided by measurement (`benchmarks.rhythm_head`): it reads atrial fibrillation better than
a rule of RR intervals does, while bigeminy, trigeminy and runs are told better by what they are, an order of classes
(`stream.rhythm`). A pacemaker's it would read in the hearts whose beats the networks have learned, and not in another.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detector.arrays import copy
from detector.jit import kernel
from model.codes import RHYTHMS
from model.lstm import Layers, add_columns, initial_state, softmax, step

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]

SUREST: Final = 6.0  # log odds of a rhythm at most, either way: one beat is not to outweigh many
SILENT: Final = -30.0  # score of each rhythm beside that of any other, where no head has been fitted


class RhythmHead(NamedTuple):
    """The weights of the rhythm head, transposed for column-wise addition.

    Attributes
    ----------
    dense : float32 (M, H + E, D)
        From each member's LSTM state, then from the beat as it embeds it.
    dense_bias : float32 (D,)
    out : float32 (D, R)
    out_bias : float32 (R,)
    """

    dense: F32
    dense_bias: F32
    out: F32
    out_bias: F32

    @classmethod
    def silent(cls, layers: Layers, rhythms: int = len(RHYTHMS)) -> RhythmHead:
        """A head for these networks that has not been fitted: it tells no rhythm."""
        members, embedding = layers.bias.shape
        bias = np.full(rhythms, SILENT, np.float32)
        bias[0] = 0.0
        return cls(
            np.zeros((members, layers.recurrent.shape[1] + embedding, 1), np.float32),
            np.zeros(1, np.float32),
            np.zeros((1, rhythms), np.float32),
            bias,
        )


@kernel
def say_rhythm(head: RhythmHead, h: F32, before: F32, hidden: int, embedding: int, log_odds: F32) -> None:
    """What rhythm it is, once a beat has been read (`model.lstm.step`).

    Parameters
    ----------
    head : RhythmHead
    h : float32 (M, at least H)
        State of each member's LSTM.
    before : float32 (M, at least E)
        The beat, as each member embeds it.
    hidden, embedding : int
        H and E.
    log_odds : float32 (R,), out
        Of each rhythm against all others, within `SUREST`.
    """
    dense, scores = np.empty_like(head.dense_bias), np.empty_like(head.out_bias)
    copy(head.dense_bias, dense)
    copy(head.out_bias, scores)
    units, inputs = np.arange(hidden), np.arange(embedding)
    for m in range(head.dense.shape[0]):
        add_columns(head.dense[m], 0, units, h[m], dense)
        add_columns(head.dense[m], hidden, inputs, before[m], dense)
    for k in range(dense.shape[0]):
        dense[k] = max(dense[k], np.float32(0.0))
    add_columns(head.out, 0, np.arange(dense.shape[0]), dense, scores)
    softmax(scores, log_odds)
    for k in range(log_odds.shape[0]):
        p = np.float64(log_odds[k])
        told = np.log(max(p, 1e-12)) - np.log(max(1.0 - p, 1e-12))
        log_odds[k] = min(max(told, -SUREST), SUREST) if np.isfinite(p) else 0.0  # weights may be absurdly large


def rhythm_log_odds(layers: Layers, head: RhythmHead, words: I64) -> F32:
    """Log odds (T, R) of the rhythms at the beats of one bed, int64 (T, W), read from its begin as at the bedside."""
    log_odds = np.empty((len(words), len(head.out_bias)), np.float32)
    _read_rhythms(layers, head, words, log_odds)
    return log_odds


@kernel
def _read_rhythms(layers: Layers, head: RhythmHead, words: I64, log_odds: F32) -> None:
    h, c, before, scores = initial_state(layers)
    first, last = np.empty_like(scores), np.empty_like(scores)
    for t in range(words.shape[0]):
        step(layers, words[t], h, c, before, scores, first, last)
        say_rhythm(head, h, before, h.shape[1], before.shape[1], log_odds[t])


def memories(layers: Layers, words: I64) -> F32:
    """What the head is given at the beats of one bed, float32 (T, M, H + E): states and embedded beats."""
    members, embedding = layers.bias.shape
    out = np.empty((len(words), members, layers.recurrent.shape[1] + embedding), np.float32)
    _remember(layers, words, out)
    return out


@kernel
def _remember(layers: Layers, words: I64, out: F32) -> None:
    h, c, before, scores = initial_state(layers)
    first, last = np.empty_like(scores), np.empty_like(scores)
    hidden = h.shape[1]
    for t in range(words.shape[0]):
        step(layers, words[t], h, c, before, scores, first, last)
        for m in range(h.shape[0]):
            for k in range(hidden):
                out[t, m, k] = h[m, k]
            for k in range(before.shape[1]):
                out[t, m, hidden + k] = before[m, k]
