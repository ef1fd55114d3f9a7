"""The detector beside its plain Python twin, sample for sample, on real recordings of every database and on made ones.

The twin gets what the detector says of itself: each lead's state comes from the epochs, the ticks from the resampler's
own twin. What is particular to today's twin stands in `twin`, and nowhere else.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from detector import reference, reference_doubt, reference_filters
from detector.quality_epochs import DEAD
from detector.types import EPOCH, FLAT, NOISY
from tests.detector.recordings import INVALID, Strip, each_source, stretch_of, strips

MOST: Final = 26  # strips of a source: the twin takes its time; with --every-record all stretches

#: Stretches on which the detector leaves its beaten track: database, record, seconds, and what it does there.
EVENTFUL: Final = [
    ("mitdb", "108", 1030.0, 60.0, "four searches back in noise, a lead turns noisy and good again"),
    ("mitdb", "223", 1520.0, 60.0, "a search back out of a ventricular run"),
    ("svdb", "860", 290.0, 60.0, "leads noisy in turn; supraventricular runs"),
    ("vfdb", "427", 1160.0, 60.0, "levels fade in fibrillation; five searches back"),
    ("afpdb", "p42", 110.0, 60.0, "both leads saturated, then a pause"),
    ("cudb", "cu12", 300.0, 60.0, "from fibrillation over an arrest to a rhythm, its only lead noisy at times"),
    ("cinc2015", "a699l", 250.0, 50.0, "stands still twice; flat lines"),
    ("cinc2015", "v241l", 100.0, 60.0, "leads off and on again in turn"),
]


def ticks_of(strip: Strip) -> npt.NDArray[np.float32]:
    """Millivolts at every tick, shape (ticks, leads), as the resampler's twin has them."""
    columns = []
    for lead in range(len(strip.mv_per_bit)):
        rate_mHz = round(strip.rate_hz * 1000)
        columns.append(reference_filters.resample(strip.samples[:, lead], strip.mv_per_bit[lead], rate_mHz, INVALID))
    return np.stack(columns, axis=1)


def readable(epochs: npt.NDArray[Any], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Which leads may carry beats at each tick, shape (ticks, leads): what the epoch before it said, at first all.

    Where no lead moves, those that are flat may, unless another moved for long since they last did.
    """
    allowed = np.ones(shape, np.bool_)
    dead = np.zeros(shape[1], np.int64)
    for number, states in enumerate(epochs["lead"][:, : shape[1]]):
        moves = states <= NOISY
        dead = np.where(states == FLAT, dead + moves.any(), 0)
        listened = moves if moves.any() else (states == FLAT) & (dead <= DEAD)
        allowed[(number + 1) * EPOCH : (number + 2) * EPOCH] = listened
    return allowed


def twin(
    mv: npt.NDArray[np.float32], allowed: npt.NDArray[np.bool_]
) -> tuple[list[tuple[int, int, int, float]], list[bool]]:
    """Peaks of the twin: tick, tick of the decision, lead, log_odds; and which epochs it doubts."""
    detector = reference.QrsTwin(mv.shape[1])
    valid = (allowed & ~np.isnan(mv)).tolist()
    peaks = [detector.step(row, flags) for row, flags in zip(mv.tolist(), valid, strict=True)]
    told = [(p.tick, p.found, p.lead, float(np.float32(p.log_odds))) for p in peaks if p]
    return told, reference_doubt.doubtful(detector.decisions, len(mv) // EPOCH)


def agrees(strip: Strip) -> None:
    heard = strip.whole
    mv = ticks_of(strip)
    found = [(int(p["tick"]), int(p["found"]), int(p["lead"]), float(p["log_odds"])) for p in heard.peaks]
    doubted = (heard.epochs["doubtful"] != 0).tolist()
    assert twin(mv, readable(heard.epochs, mv.shape)) == (found, doubted), strip.name


@each_source
def test_the_twin_agrees_on_every_beat(source: str, request: pytest.FixtureRequest) -> None:
    for strip in strips(source, most=None if request.config.getoption("--every-record") else MOST):
        agrees(strip)


@each_source
def test_the_twin_agrees_on_every_tick(source: str) -> None:
    """The last ticks, which the detector still holds, are those of the resampler's twin."""
    for strip in strips(source, most=MOST):
        detector = strip.detector()
        detector.update(strip.samples)
        mv, signal = ticks_of(strip), detector.signal
        held = signal["mv"].shape[1]
        assert signal["end"] == len(mv), strip.name
        last = np.arange(max(len(mv) - held, 0), len(mv))
        np.testing.assert_array_equal(signal["mv"][: mv.shape[1], last % held].T, mv[last], strip.name)


@pytest.mark.data
@pytest.mark.parametrize(("database", "name", "first_s", "seconds", "why"), EVENTFUL)
def test_the_twin_agrees_where_much_happens(database: str, name: str, first_s: float, seconds: float, why: str) -> None:
    agrees(stretch_of(database, name, first_s, seconds))
