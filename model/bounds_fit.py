"""The weights by which `detector.bounds` scores a tick as the onset or the end of a QRS, fitted to marked beats.

A beat's weights of its ticks are taken for probabilities. They shall be those of a reader who strays by `STRAYS` ticks
about the mark (cross entropy), and their mean shall be the mark (squared error): the one says where a bound may lie,
the other keeps it from lying far off. Their sum is minimised by L-BFGS with an analytic gradient.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt
from scipy.optimize import minimize

from detector.bounds import COUNT, END_FROM, END_TO, ONSET_FROM, ONSET_TO, REACH, measures_of, steepness
from detector.jit import kernel
from detector.measure import SPAN, SPAN_BEFORE
from detector.types import Array

Floats = npt.NDArray[np.float64]

STRAYS: Final = 1.5  # ticks by which readers mark beats of one shape apart (4 to 6 ms on ludb)
SQUARED: Final = 0.05  # what a squared tick of error counts beside the cross entropy
RIDGE: Final = 1e-4  # what a squared weight counts: steepness of neighbouring stretches is nearly the same
ITERATIONS: Final = 100
RANGES: Final = {"onset": (ONSET_FROM, ONSET_TO), "end": (END_FROM, END_TO)}


@kernel
def _measure(curves: Array, begin: int, at_end: int, out: Array) -> None:
    sums = np.empty(SPAN + 2 * REACH + 1, np.float64)
    for n in range(len(curves)):
        first, last = steepness(curves[n], SPAN_BEFORE, sums)
        if first < 0:
            out[n] = 0.0
            continue
        for k in range(out.shape[1]):
            measures_of(sums, SPAN_BEFORE + begin + k, last if at_end else first, SPAN_BEFORE, out[n, k])


def measures(curves: npt.NDArray[np.float32], name: str) -> Floats:
    """Measures of every tick that may be the bound `name` ("onset" or "end"), shape (beats, ticks, COUNT)."""
    begin, end = RANGES[name]
    out = np.empty((len(curves), end - begin + 1, COUNT))
    _measure(curves, begin, int(name == "end"), out)
    return out


def place(told: Floats, weights: Floats, name: str) -> Floats:
    """Where the bounds lie with these weights, in ticks from the R peak; `told` is what `measures` gives."""
    scores = told @ weights
    counts = (1.0 + 0.125 * (scores.max(axis=1, keepdims=True) - scores)) ** -8
    return np.asarray(RANGES[name][0] + counts @ np.arange(told.shape[1]) / counts.sum(axis=1), np.float64)


def fit(told: Floats, marked: Floats, name: str) -> Floats:
    """Weights from beats whose bound is marked.

    Parameters
    ----------
    told : float64, shape (beats, ticks, COUNT)
        What `measures` gives.
    marked : float64, shape (beats,)
        Ticks from the R peak.
    name : str
        "onset" or "end".
    """
    n, ticks, _ = told.shape
    flat = told.reshape(n * ticks, COUNT)
    positions = np.arange(ticks, dtype=np.float64)
    mark = marked - RANGES[name][0]
    wanted = np.exp(-0.5 * ((positions - mark[:, None]) / STRAYS) ** 2) + 1e-12
    wanted /= wanted.sum(axis=1, keepdims=True)
    rows = np.arange(n)

    def loss(weights: Floats) -> tuple[float, Floats]:
        scores = (flat @ weights).reshape(n, ticks)
        best = scores.argmax(axis=1)
        share = 1.0 / (1.0 + 0.125 * (scores[rows, best][:, None] - scores))
        logs = 8.0 * np.log(share)
        logs -= np.log(np.exp(logs).sum(axis=1, keepdims=True))
        chance = np.exp(logs)
        off = chance @ positions - mark
        value = float(-(wanted * logs).sum() / n + SQUARED * np.mean(off**2) + RIDGE * weights @ weights)
        # of the logarithm of each chance, then of each score: the best one is in all
        slope = -wanted + 2.0 * SQUARED * off[:, None] * chance * positions
        slope -= chance * slope.sum(axis=1, keepdims=True)
        slope *= share
        slope[rows, best] -= slope.sum(axis=1)
        return value, slope.ravel() @ flat / n + 2.0 * RIDGE * weights

    told_by = minimize(loss, np.zeros(COUNT), jac=True, method="L-BFGS-B", options={"maxiter": ITERATIONS})
    return np.asarray(told_by.x, np.float64)
