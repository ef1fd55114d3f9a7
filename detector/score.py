"""How much all that is measured of a candidate speaks for a beat.

A perceptron with one hidden layer: a linear term, and beside it `UNITS` softsign units over all measures. In an
electrode that is being moved, height and steepness say less and likeness says more than in a lead at rest, which no
linear term can tell. The output is the log odds of a beat.

The weights are fitted to the detector's own candidates over the development records by `benchmarks/fit_qrs.py`, which
also cross-validates them by subject, and lie beside this module in `score.csv`: a row a measure, the first column
straight, the others into the units; the last row from the units on. Those in `score_begin.csv` hold for a bed's first
beats, while little is known of it: they went on from earlier ones with begins amid noise among the records, are less
sure of a swing, and give no weight to sharpness or to what is remembered.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from detector import simd
from detector.jit import hot
from detector.simd import F64_LANES
from detector.types import Array

#: The measures, in order; `detector.candidate` takes them.
MEASURES: Final = (
    "one", "height", "steepness", "least", "most", "on time", "due", "likeness", "likeness squared", "restless",
    "steepness in T", "size", "size in T", "height at rest", "noise", "drift", "width",
    "sharpness", "sharp likeness", "refused sharpness", "sharp height", "sharp noise", "sharp unrest",
    "remembered", "remembered size", "remembered sharp", "remembered sharp size", "in step", "unsure", "apart",
)  # fmt: skip
COUNT: Final = len(MEASURES)
# Where each of them lies.
(
    M_ONE, M_HEIGHT, M_STEEPNESS, M_LEAST, M_MOST, M_ON_TIME, M_DUE, M_LIKENESS, M_LIKENESS_SQUARED, M_RESTLESS,
    M_STEEPNESS_IN_T, M_SIZE, M_SIZE_IN_T, M_HEIGHT_AT_REST, M_NOISE, M_DRIFT, M_WIDTH,
    M_SHARPNESS, M_SHARP_LIKENESS, M_REFUSED_SHARPNESS, M_SHARP_HEIGHT, M_SHARP_NOISE, M_SHARP_UNREST,
    M_REMEMBERED, M_REMEMBERED_SIZE, M_REMEMBERED_SHARP, M_REMEMBERED_SHARP_SIZE, M_IN_STEP, M_UNSURE, M_APART,
) = range(COUNT)  # fmt: skip
UNITS: Final = 24  # twelve refuse a twentieth less of the noise; more were not tried
TOGETHER: Final = 3  # vectors of units summed at once
OUT: Final = "out"  # how the last row is called
FILE: Final = Path(__file__).with_name("score.csv")
BEGIN_FILE: Final = Path(__file__).with_name("score_begin.csv")
BEGIN: Final = 20  # beats for which the weights of the begin hold ...
BEGIN_STEPS: Final = 3750  # ... and steps from the first reading (30 s, as of the pieces they were fitted to)


def load(file: Path = FILE) -> npt.NDArray[np.float64]:
    """Weights, shape (COUNT + 1, UNITS + 1)."""
    names = np.loadtxt(file, str, delimiter=",", usecols=0).tolist()
    if names != [*MEASURES, OUT]:
        raise ValueError(f"{file}: rows are not those of this version; fit them with `python -m benchmarks.fit_qrs`")
    return np.loadtxt(file, delimiter=",", usecols=range(1, UNITS + 2))


def save(weights: npt.NDArray[np.float64], file: Path = FILE) -> None:
    """Write weights, with as many digits as matter."""
    rows = zip([*MEASURES, OUT], weights, strict=True)
    file.write_text("".join(",".join([name, *(f"{value:.5g}" for value in row)]) + "\n" for name, row in rows))


@hot
def score(measures: Array, weights: Array) -> float:
    """Log odds of a beat.

    Parameters
    ----------
    measures : float64, shape (COUNT,)
    weights : float64, shape (COUNT + 1, UNITS + 1)
    """
    total = 0.0
    for i in range(COUNT):
        total += weights[i, 0] * measures[i]
    for first in range(1, UNITS + 1, TOGETHER * F64_LANES):
        total = _hidden_units(measures, weights, first, total)
    return total


@hot
def _hidden_units(measures: Array, weights: Array, at: int, total: float) -> float:
    """Add what `TOGETHER` vectors of units say, from column `at` on: sums side by side need not wait for each other."""
    first = second = third = simd.broadcast(0.0)
    for i in range(COUNT):
        measure, row = simd.broadcast(measures[i]), weights[i]
        first = first + simd.load(row, at) * measure
        second = second + simd.load(row, at + F64_LANES) * measure
        third = third + simd.load(row, at + 2 * F64_LANES) * measure
    out = weights[COUNT]
    one = simd.broadcast(1.0)
    first = simd.load(out, at) * (first / (one + simd.absolute(first)))
    second = simd.load(out, at + F64_LANES) * (second / (one + simd.absolute(second)))
    third = simd.load(out, at + 2 * F64_LANES) * (third / (one + simd.absolute(third)))
    for unit in range(F64_LANES):
        total += simd.extract(first, unit)
    for unit in range(F64_LANES):
        total += simd.extract(second, unit)
    for unit in range(F64_LANES):
        total += simd.extract(third, unit)
    return total


assert UNITS % (TOGETHER * F64_LANES) == 0, "units are summed side by side"
