"""How much all that is measured of a candidate speaks for a beat.

A straight sum of the measures, and beside it the sum of a few units that each look at all measures and bend: in an
electrode that is being moved, height and steepness say less and likeness says more than in a lead at rest, and no
straight sum can tell both. The sum is the log odds of a beat.

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

from detector import lanes
from detector.jit import hot
from detector.lanes import DOUBLES
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
    for first in range(1, UNITS + 1, TOGETHER * DOUBLES):
        total = _bend(measures, weights, first, total)
    return total


@hot
def _bend(measures: Array, weights: Array, at: int, total: float) -> float:
    """Add what `TOGETHER` vectors of units say, from column `at` on: sums side by side need not wait for each other."""
    first = second = third = lanes.spread(0.0)
    for i in range(COUNT):
        measure, row = lanes.spread(measures[i]), weights[i]
        first = first + lanes.load(row, at) * measure
        second = second + lanes.load(row, at + DOUBLES) * measure
        third = third + lanes.load(row, at + 2 * DOUBLES) * measure
    out = weights[COUNT]
    one = lanes.spread(1.0)
    first = lanes.load(out, at) * (first / (one + lanes.magnitude(first)))
    second = lanes.load(out, at + DOUBLES) * (second / (one + lanes.magnitude(second)))
    third = lanes.load(out, at + 2 * DOUBLES) * (third / (one + lanes.magnitude(third)))
    for unit in range(DOUBLES):
        total += lanes.lane(first, unit)
    for unit in range(DOUBLES):
        total += lanes.lane(second, unit)
    for unit in range(DOUBLES):
        total += lanes.lane(third, unit)
    return total


assert UNITS % (TOGETHER * DOUBLES) == 0, "units are summed side by side"
