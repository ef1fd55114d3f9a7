"""One step of the network at the bedside: a beat's words in, class probabilities out, state kept in the bed's row.

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


@kernel
def _add(columns: F32, x: np.float32, row: int, out: F32) -> None:
    for k in range(out.shape[0]):
        out[k] += x * columns[row, k]


@kernel
def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))


@kernel
def step(layers: Layers, words: I64, h: F32, c: F32, probabilities: F32) -> None:
    """Read one beat.

    Parameters
    ----------
    layers : Layers
    words : int64 (W,)
        Level of each field.
    h, c : float32 (at least H,), changed
        State of the LSTM.
    probabilities : float32 (C,), out
    """
    hidden = layers.recurrent.shape[0]
    x = layers.bias.copy()
    for f in range(layers.offsets.shape[0]):
        row = layers.offsets[f] + words[f]
        for k in range(x.shape[0]):
            x[k] += layers.embed[row, k]
    gates = layers.gates.copy()
    dense = layers.dense_bias.copy()
    for j in range(x.shape[0]):
        if x[j] > 0.0:
            _add(layers.inputs, x[j], j, gates)
            _add(layers.dense, x[j], hidden + j, dense)
    for j in range(hidden):
        _add(layers.recurrent, h[j], j, gates)
    for j in range(hidden):
        keep = _sigmoid(np.float64(gates[hidden + j]))
        take = _sigmoid(np.float64(gates[j]))
        c[j] = keep * c[j] + take * np.tanh(np.float64(gates[2 * hidden + j]))
        h[j] = _sigmoid(np.float64(gates[3 * hidden + j])) * np.tanh(np.float64(c[j]))
    for j in range(hidden):
        _add(layers.dense, h[j], j, dense)
    scores = layers.head_bias.copy()
    for j in range(dense.shape[0]):
        if dense[j] > 0.0:
            _add(layers.head, dense[j], j, scores)
    top = scores.max()
    total = 0.0
    for k in range(scores.shape[0]):
        total += np.exp(np.float64(scores[k] - top))
    for k in range(scores.shape[0]):
        probabilities[k] = np.exp(np.float64(scores[k] - top)) / total


@kernel
def read_sequence(layers: Layers, words: I64, probabilities: F32) -> None:
    """Read the beats of one bed from its beginning: (T, W) words -> (T, C) probabilities."""
    h = np.zeros(layers.recurrent.shape[0], np.float32)
    c = np.zeros(layers.recurrent.shape[0], np.float32)
    for t in range(words.shape[0]):
        step(layers, words[t], h, c, probabilities[t])
