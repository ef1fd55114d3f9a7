"""One step of the network at the bedside: a beat's words in, class probabilities out, state kept in the bed's row.

Out come the first word on the beat and the last word on the beat before it (`model.network`).

The loops run over the outputs innermost (add a scaled column), so the compiler can use vector instructions without
changing the order of any sum: a beat's result does not depend on how many beds are read together.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from detector.jit import kernel

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
B1 = npt.NDArray[np.bool_]


class Layers(NamedTuple):
    """The network's weights, transposed for column-wise addition.

    Attributes
    ----------
    offsets : int64 (W,)
        First row of each field in `embed`.
    embed : float32 (words, E)
    bias : float32 (E,)
    inputs : float32 (E, 4 H)
        Gates in torch's order: input, forget, cell, output.
    recurrent : float32 (H, 4 H)
    gates : float32 (4 H,)
        Both biases of the LSTM added.
    dense : float32 (H + E, D)
    dense_bias : float32 (D,)
    head : float32 (D, C)
    head_bias : float32 (C,)
    again : float32 (H + 2 E, A)
        Dense layer behind the last word: the state, this beat, the beat before; A is 0 where nothing is named twice.
    again_bias : float32 (A,)
    last : float32 (A, C)
    last_bias : float32 (C,)
    """

    offsets: I64
    embed: F32
    bias: F32
    inputs: F32
    recurrent: F32
    gates: F32
    dense: F32
    dense_bias: F32
    head: F32
    head_bias: F32
    again: F32
    again_bias: F32
    last: F32
    last_bias: F32


@kernel
def _add(columns: F32, x: np.float32, row: int, out: F32) -> None:
    for k in range(out.shape[0]):
        out[k] += x * columns[row, k]


@kernel
def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


@kernel
def _softmax(scores: F32, out: F32) -> None:
    top = scores.max()
    total = 0.0
    for k in range(scores.shape[0]):
        total += np.exp(np.float64(scores[k] - top))
    for k in range(scores.shape[0]):
        out[k] = np.exp(np.float64(scores[k] - top)) / total


@kernel
def step(layers: Layers, words: I64, h: F32, c: F32, before: F32, scores: F32, first: F32, last: F32) -> None:
    """Read one beat.

    Parameters
    ----------
    layers : Layers
    words : int64 (W,)
        Level of each field.
    h, c : float32 (at least H,), changed
        State of the LSTM.
    before : float32 (at least E,), changed
        The beat before, embedded; afterwards this one.
    scores : float32 (at least C,), changed
        The first word on the beat before, as scores; afterwards that on this one.
    first : float32 (C,), out
        Probabilities: the first word on this beat.
    last : float32 (C,), out
        The last word on the beat before; of no meaning where there is none.
    """
    hidden = layers.recurrent.shape[0]
    embedding = layers.bias.shape[0]
    x = layers.bias.copy()
    for f in range(layers.offsets.shape[0]):
        row = layers.offsets[f] + words[f]
        for k in range(embedding):
            x[k] += layers.embed[row, k]
    gates = layers.gates.copy()
    dense = layers.dense_bias.copy()
    again = layers.again_bias.copy()
    for j in range(embedding):
        x[j] = max(x[j], np.float32(0.0))
        if x[j] > 0.0:
            _add(layers.inputs, x[j], j, gates)
            _add(layers.dense, x[j], hidden + j, dense)
            _add(layers.again, x[j], hidden + j, again)
        if before[j] > 0.0:
            _add(layers.again, before[j], hidden + embedding + j, again)
        before[j] = x[j]
    for j in range(hidden):
        _add(layers.recurrent, h[j], j, gates)
    for j in range(hidden):
        keep = _sigmoid(np.float64(gates[hidden + j]))
        take = _sigmoid(np.float64(gates[j]))
        c[j] = keep * c[j] + take * np.tanh(np.float64(gates[2 * hidden + j]))
        h[j] = _sigmoid(np.float64(gates[3 * hidden + j])) * np.tanh(np.float64(c[j]))
    for j in range(hidden):
        _add(layers.dense, h[j], j, dense)
        _add(layers.again, h[j], j, again)
    corrected = layers.last_bias.copy()
    for k in range(corrected.shape[0]):
        corrected[k] += scores[k]
    for j in range(again.shape[0]):
        if again[j] > 0.0:
            _add(layers.last, again[j], j, corrected)
    said = layers.head_bias.copy()
    for j in range(dense.shape[0]):
        if dense[j] > 0.0:
            _add(layers.head, dense[j], j, said)
    for k in range(said.shape[0]):
        scores[k] = said[k]
    _softmax(corrected, last)
    _softmax(said, first)


class BothWords(NamedTuple):
    """What is said of beats, float32 (T, C) each: probabilities that alarms act on, and those that EC57 judges."""

    first: F32
    last: F32


def read_words(layers: Layers, words: I64, follows: B1, *, alone: bool = False) -> BothWords:
    """Both words on the beats of one bed, read from its beginning by the bedside's arithmetic.

    Parameters
    ----------
    layers : Layers
    words : int64 (T, W)
    follows : bool (T,)
        Whether a beat came soon enough after the one before to have the last word on it.
    alone : bool
        Forget the LSTM's state before each beat, for ablations.

    Returns
    -------
    BothWords
        The last word is the first where no beat followed.
    """
    first, last = np.empty((2, len(words), len(layers.head_bias)), np.float32)
    _read_words(layers, words, follows, alone, first, last)
    return BothWords(first, last)


@kernel
def _read_words(layers: Layers, words: I64, follows: B1, alone: bool, first: F32, last: F32) -> None:
    h = np.zeros(layers.recurrent.shape[0], np.float32)
    c = np.zeros(layers.recurrent.shape[0], np.float32)
    before = np.zeros(layers.bias.shape[0], np.float32)
    scores = np.zeros(layers.head_bias.shape[0], np.float32)
    for t in range(words.shape[0]):
        if alone:
            h[:] = 0.0
            c[:] = 0.0
        step(layers, words[t], h, c, before, scores, first[t], last[t])
        if t > 0:
            last[t - 1] = last[t] if follows[t] else first[t - 1]
    if words.shape[0] > 0:
        last[-1] = first[-1]
