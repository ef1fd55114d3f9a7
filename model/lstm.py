"""One step of the network at the bedside: a beat's words in, class probabilities out, state kept in the bed's row.

Out come the first word on the beat and the last word on the beat before it (`model.network`).

A model has several *members*, networks of one make that were trained apart, and says what they say in the mean of their
scores: what one of them has seen by chance the others have not. Each keeps a state of its own.

Sums run over what is added in one order, with the outputs side by side: a beat's result does not depend on how many
beds are read together, or on the machine.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.polynomial import Polynomial

from detector import simd
from detector.arrays import copy
from detector.jit import hot, kernel
from detector.simd import F32_LANES, fma

F32 = npt.NDArray[np.float32]
I64 = npt.NDArray[np.int64]
B1 = npt.NDArray[np.bool_]

BLOCK: Final = 4 * F32_LANES  # outputs summed at once: four vectors hide each other's delay and stay in registers
FLAT: Final = np.float32(9.0)  # from here on tanh is 1 but for the last digit of a float32
FRACTIONS: Final = 13  # of tanh's continued fraction: error below 4e-7 up to `FLAT`
_ONE: Final = np.float32(1.0)
_HALF: Final = np.float32(0.5)


class Layers(NamedTuple):
    """The weights of M members, transposed for column-wise addition.

    Attributes
    ----------
    offsets : int64 (W,)
        First row of each field in `embed`.
    embed : float32 (M, words, E)
    bias : float32 (M, E)
    inputs : float32 (M, E, 4 H)
        Gates in the order input, forget, output, cell.
    recurrent : float32 (M, H, 4 H)
    gates : float32 (M, 4 H)
        Both biases of the LSTM added.
    dense : float32 (M, H + E, D)
    dense_bias : float32 (M, D)
    head : float32 (M, D, C)
    head_bias : float32 (M, C)
    again : float32 (M, H + 2 E, A)
        Hidden layer of the last word, from the state, this beat and the one before; without units (A = 0) there is
        no last word, and the first stands.
    again_bias : float32 (M, A)
    last : float32 (M, A, C)
    last_bias : float32 (M, C)
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


def _lambert(count: int) -> tuple[tuple[np.float32, ...], tuple[np.float32, ...]]:
    """Numerator and denominator of tanh(x) / x as polynomials of x², the highest power first.

    They are those of Lambert's continued fraction x / (1 + x² / (3 + x² / (5 + ...))) (1768), broken off.
    """
    square = Polynomial([0.0, 1.0])
    above, below = [Polynomial([1.0]), Polynomial([0.0])], [Polynomial([0.0]), Polynomial([1.0])]
    for i in range(count):
        for part in (above, below):
            part.append((2 * i + 1) * part[-1] + (square if i else 1.0) * part[-2])
    scale = below[-1].coef[0]
    return tuple(tuple(np.float32(value / scale) for value in part[-1].coef[::-1]) for part in (above, below))  # type: ignore[return-value]


_ABOVE, _BELOW = _lambert(FRACTIONS)


@kernel
def tanh(x: np.float32) -> np.float32:
    """Hyperbolic tangent of a number in float32; a loop of it is dealt out to the processor's lanes."""
    x = min(max(x, -FLAT), FLAT)
    square = x * x
    above, below = _ABOVE[0], _BELOW[0]
    for factor in _ABOVE[1:]:
        above = fma(above, square, factor)
    for factor in _BELOW[1:]:
        below = fma(below, square, factor)
    return x * above / below


@hot
def add_columns(columns: F32, first: int, which: I64, by: F32, out: F32) -> None:
    """Add to `out` columns, counted from `first` on, each times its number, in their order."""
    count, end = which.shape[0], out.shape[0]
    at = 0
    while at + BLOCK <= end:
        a, b = simd.load(out, at), simd.load(out, at + F32_LANES)
        c, d = simd.load(out, at + 2 * F32_LANES), simd.load(out, at + 3 * F32_LANES)
        for i in range(count):
            times, column = simd.broadcast(by[i]), columns[first + which[i]]
            a = fma(times, simd.load(column, at), a)
            b = fma(times, simd.load(column, at + F32_LANES), b)
            c = fma(times, simd.load(column, at + 2 * F32_LANES), c)
            d = fma(times, simd.load(column, at + 3 * F32_LANES), d)
        simd.store(out, at, a)
        simd.store(out, at + F32_LANES, b)
        simd.store(out, at + 2 * F32_LANES, c)
        simd.store(out, at + 3 * F32_LANES, d)
        at += BLOCK
    while at + F32_LANES <= end:
        a = simd.load(out, at)
        for i in range(count):
            a = fma(simd.broadcast(by[i]), simd.load(columns[first + which[i]], at), a)
        simd.store(out, at, a)
        at += F32_LANES
    for k in range(at, end):
        total = out[k]
        for i in range(count):
            total = fma(by[i], columns[first + which[i], k], total)
        out[k] = total


@hot
def _positive(x: F32, which: I64, by: F32) -> int:
    """Put the numbers of `x` above 0 and their places, in order, into the room of `by` and `which`; how many."""
    count = 0
    for j in range(x.shape[0]):
        which[count] = j
        by[count] = x[j]
        count += x[j] > 0.0
    return count


@hot
def _remember(gates: F32, h: F32, c: F32) -> None:
    """The next state of the LSTM; `gates` are used up."""
    hidden = h.shape[0]
    for j in range(3 * hidden):
        gates[j] = fma(_HALF, tanh(_HALF * gates[j]), _HALF)  # the logistic function
    for j in range(3 * hidden, 4 * hidden):
        gates[j] = tanh(gates[j])
    for j in range(hidden):
        c[j] = gates[hidden + j] * c[j] + gates[j] * gates[3 * hidden + j]
    for j in range(hidden):
        h[j] = gates[2 * hidden + j] * tanh(c[j])


@hot
def softmax(scores: F32, out: F32) -> None:
    """Probabilities of scores."""
    top = scores[0]
    for k in range(1, scores.shape[0]):
        top = max(top, scores[k])
    total = 0.0
    for k in range(scores.shape[0]):
        total += np.exp(np.float64(scores[k] - top))
    for k in range(scores.shape[0]):
        out[k] = np.exp(np.float64(scores[k] - top)) / total


@hot
def _read(
    layers: Layers,
    m: int,
    rows: I64,
    once: F32,
    units: I64,
    h: F32,
    c: F32,
    before: F32,
    room: F32,
    which: I64,
    by: F32,
    said: F32,
    corrected: F32,
) -> None:
    """Let one member read a beat and add its scores to both words; `room`, `which` and `by` are to work in."""
    embedding, hidden = layers.bias.shape[1], units.shape[0]
    x, gates = room[0, :embedding], room[1, : layers.gates.shape[1]]
    dense, again = room[2, : layers.dense_bias.shape[1]], room[3, : layers.again_bias.shape[1]]
    copy(layers.bias[m], x)
    add_columns(layers.embed[m], 0, rows, once, x)
    copy(layers.again_bias[m], again)
    n = _positive(before[:embedding], which, by)
    add_columns(layers.again[m], hidden + embedding, which[:n], by[:n], again)
    n = _positive(x, which, by)
    for k in range(embedding):
        before[k] = max(x[k], np.float32(0.0))
    copy(layers.gates[m], gates)
    add_columns(layers.inputs[m], 0, which[:n], by[:n], gates)
    add_columns(layers.recurrent[m], 0, units, h, gates)
    _remember(gates, h[:hidden], c[:hidden])
    copy(layers.dense_bias[m], dense)
    add_columns(layers.dense[m], 0, units, h, dense)
    add_columns(layers.dense[m], hidden, which[:n], by[:n], dense)
    add_columns(layers.again[m], 0, units, h, again)
    add_columns(layers.again[m], hidden, which[:n], by[:n], again)
    for k in range(said.shape[0]):
        said[k] += layers.head_bias[m, k]
        corrected[k] += layers.last_bias[m, k]
    n = _positive(dense, which, by)
    add_columns(layers.head[m], 0, which[:n], by[:n], said)
    n = _positive(again, which, by)
    add_columns(layers.last[m], 0, which[:n], by[:n], corrected)


@kernel
def step(layers: Layers, words: I64, h: F32, c: F32, before: F32, scores: F32, first: F32, last: F32) -> None:
    """Read one beat.

    Parameters
    ----------
    layers : Layers
    words : int64 (W,)
        Level of each field.
    h, c : float32 (at least M, at least H), changed
        State of each member's LSTM.
    before : float32 (at least M, at least E), changed
        The beat before, as each member embeds it; afterwards this one.
    scores : float32 (at least C,), changed
        The first word on the beat before, as scores; afterwards that on this one.
    first : float32 (C,), out
        Probabilities: the first word on this beat.
    last : float32 (C,), out
        The last word on the beat before; of no meaning where there is none.
    """
    members, embedding = layers.bias.shape
    classes = layers.head_bias.shape[1]
    said, corrected = np.zeros(classes, np.float32), np.zeros(classes, np.float32)
    rows = layers.offsets + words
    wide = max(layers.gates.shape[1], layers.dense_bias.shape[1], layers.again_bias.shape[1], embedding) + 1
    room, which, by = np.empty((4, wide), np.float32), np.empty(wide, np.int64), np.empty(wide, np.float32)
    everything, once = np.arange(layers.recurrent.shape[1]), np.ones(words.shape[0], np.float32)
    for m in range(members):
        _read(layers, m, rows, once, everything, h[m], c[m], before[m], room, which, by, said, corrected)
    share = _ONE / np.float32(members)
    for k in range(classes):
        corrected[k] = scores[k] + corrected[k] * share
        said[k] *= share
        scores[k] = said[k]
    softmax(corrected, last)
    softmax(said, first)


@kernel
def initial_state(layers: Layers) -> tuple[F32, F32, F32, F32]:
    """The state before the first beat, as `step` takes it: h, c, before, scores."""
    members, hidden = layers.recurrent.shape[:2]
    h, c = np.zeros((members, hidden), np.float32), np.zeros((members, hidden), np.float32)
    return h, c, np.zeros(layers.bias.shape, np.float32), np.zeros(layers.head_bias.shape[1], np.float32)


class BeatProbabilities(NamedTuple):
    """What is said of beats, float32 (T, C) each: probabilities that alarms act on, and those that EC57 judges."""

    first: F32
    last: F32


def classify_sequence(layers: Layers, words: I64, follows: B1, *, alone: bool = False) -> BeatProbabilities:
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
    first, last = np.empty((2, len(words), layers.head_bias.shape[1]), np.float32)
    _read_words(layers, words, follows, alone, first, last)
    return BeatProbabilities(first, last)


@kernel
def _read_words(layers: Layers, words: I64, follows: B1, alone: bool, first: F32, last: F32) -> None:
    h, c, before, scores = initial_state(layers)
    for t in range(words.shape[0]):
        if alone:
            h[:] = 0.0
            c[:] = 0.0
        step(layers, words[t], h, c, before, scores, first[t], last[t])
        if t > 0:
            last[t - 1] = last[t] if follows[t] else first[t - 1]
    if words.shape[0] > 0:
        last[-1] = first[-1]
