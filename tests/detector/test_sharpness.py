"""What is measured of a candidate's sharpness: a beat's is the usual one, a wave as high and rounder is blunt."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import shape
from detector.detector import Detector
from detector.envelope import LAG, PER_BAND, STRIDE
from detector.reference_shape import Candidate, ShapesTwin
from detector.score import M_REFUSED_SHARPNESS, M_SHARP_LIKENESS, M_SHARPNESS
from detector.types import RATE
from tests.detector.hearts import counts, ecg

SHARP = (M_SHARPNESS, M_SHARP_LIKENESS)
MIDDLE = shape.WAVEFORM // 2
UV = 1.0 / PER_BAND  # units of a shape in a µV


def candidates(mv: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """All candidates that were decided on, their ticks in `at`."""
    detector = Detector(RATE, [0.005, 0.005])
    samples, judged = counts(mv), []
    for first in range(0, len(samples), 50):
        detector.update(samples[first : first + 50])
        scratch = detector._scratch[0]
        judged.append(scratch["judged"][: scratch["n_judged"]].copy())
    found = np.concatenate(judged)
    found["at"] = STRIDE * found["at"] - LAG
    return found


def gaussian(width: float, centre: float = MIDDLE, height_uv: float = 1000.0) -> list[int]:
    """A wave as a candidate holds it; its width in steps."""
    wave = height_uv * UV * np.exp(-0.5 * ((np.arange(shape.WAVEFORM) - centre) / width) ** 2)
    return [round(value) for value in wave.tolist()]


def shapes_of(*waves: list[int]) -> ShapesTwin:
    """A heart of which one beat has been seen."""
    shapes = ShapesTwin(len(waves))
    shapes.learn(Candidate(0, waveform=list(waves), sizes=[1.0] * len(waves)))
    return shapes


def measured(shapes: ShapesTwin, *waves: list[int], weights: tuple[float, ...]) -> tuple[float, float] | None:
    one = Candidate(0, waveform=list(waves))
    shapes.compare(one, weights)
    return shapes.sharpness(one, weights)


@pytest.mark.parametrize("noise_mv", [0.0, 0.03])
def test_beats_are_as_sharp_as_usual_and_a_round_wave_as_high_is_not(noise_mv: float) -> None:
    mv, peaks = ecg(40.0, noise_mv=noise_mv, seed=3)
    middle = (peaks[30] + peaks[31]) // 2
    wave = np.exp(-0.5 * ((np.arange(len(mv)) - middle) / (0.045 * RATE)) ** 2)
    mv += wave[:, None] * [2.0, -1.2]
    found = candidates(mv)
    is_beat = np.abs(found["at"][:, None] - peaks[10:]).min(axis=1) < 0.06 * RATE
    is_wave = np.abs(found["at"] - middle) < 0.06 * RATE
    beats, (wave_sharpness, wave_likeness) = found["measures"][is_beat], found["measures"][is_wave][0, list(SHARP)]
    assert len(beats) == len(peaks) - 10
    assert np.abs(beats[:, M_SHARPNESS]).max() < 0.4
    assert beats[:, M_SHARP_LIKENESS].min() > 0.8
    assert wave_sharpness < -1.0
    assert wave_likeness < 0.7


def test_what_was_refused_last_is_remembered() -> None:
    found = candidates(ecg(60.0, 45.0, noise_mv=0.2, seed=3)[0])
    measures, refused = found["measures"], (found["score"] < 0.0) & (found["known"] == 1)
    assert refused.sum() > 20
    for k in np.flatnonzero(refused)[20:]:
        assert measures[k, M_REFUSED_SHARPNESS] == np.median(measures[:k][refused[:k], M_SHARPNESS][-8:])


@given(width=st.floats(0.8, 3.0), times=st.floats(0.5, 4.0))
def test_the_same_form_is_alike_at_any_size(width: float, times: float) -> None:
    found = measured(shapes_of(gaussian(width)), gaussian(width, MIDDLE, 1000.0 * times), weights=(1.0,))
    assert found is not None
    assert found[0] == pytest.approx(0.0, abs=0.05)
    assert found[1] == pytest.approx(1.0, abs=1e-4)


def test_a_rounder_wave_is_less_sharp_the_rounder_it_is() -> None:
    shapes = shapes_of(gaussian(1.0))
    found = [measured(shapes, gaussian(width), weights=(1.0,)) for width in (1.0, 1.5, 2.0, 3.0, 4.0)]
    sharpness, likeness = np.array([one for one in found if one]).T
    assert len(sharpness) == 5
    assert (np.diff(sharpness) < -0.2).all()
    assert (np.diff(likeness) < 0.0).all()


def test_a_lead_of_which_no_shape_is_known_says_nothing() -> None:
    flat = [0] * shape.WAVEFORM
    assert measured(shapes_of(flat, flat), gaussian(1.0), flat, weights=(1.0, 1.0)) is None
    alone = measured(shapes_of(gaussian(1.0)), gaussian(1.5), weights=(1.0,))
    assert measured(shapes_of(gaussian(1.0), flat), gaussian(1.5), gaussian(9.0), weights=(1.0, 5.0)) == alone
