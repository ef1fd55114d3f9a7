"""A record in words: curves as the letters see them, and what each shape word looks like."""

from __future__ import annotations

import numpy as np
import pytest

from detector.types import INVALID, LEADS, RATE
from model.codes import CLASSES
from model.letters import TEXT
from model.lstm import BeatProbabilities
from model.reader import Reader
from model.spelled import CURVE, Spelled, mean_beats
from model.strip import Strip
from model.words import FIELDS
from tests.model.hearts import heart


@pytest.fixture(scope="module")
def spelled() -> Spelled:
    mv, _ = heart("NNNNV" * 8, 220, seed=1)
    return Spelled.of("own", Strip.of_mv(mv.astype(float), float(RATE)), Reader.load())


def made(samples: np.ndarray, strip: Strip, words: np.ndarray, classes: np.ndarray, shapes: int = 4) -> Spelled:
    """A record of which these shape words and classes were said."""
    n = len(samples)
    said = np.zeros((n, LEADS + FIELDS), np.int64)
    said[:, :LEADS] = words
    claims = np.eye(len(CLASSES))[classes]
    texts, levels = np.zeros((n, LEADS, TEXT), np.uint8), np.zeros((n, FIELDS), np.int64)
    return Spelled(
        "made", strip, samples, texts, levels, said, BeatProbabilities(np.roll(claims, 1, axis=1), claims), shapes
    )


@pytest.mark.parametrize("rate", [128.0, 250.0, 360.0, 1000.0])
def test_a_curve_has_level_0_and_a_complex_of_height_1(rate: float) -> None:
    time = np.arange(round(4.0 * rate)) / rate
    beats = np.array([1.0, 2.0, 3.0])
    mv = 0.7 + sum(-1.6 * np.exp(-0.5 * ((time - at) / 0.02) ** 2) for at in beats)  # upside down, and off 0
    strip = Strip.of_mv(np.stack([mv, 2.0 * mv], axis=1), rate)
    curves = [
        made(np.rint(beats * rate).astype(np.int64), strip, np.zeros((3, LEADS)), np.zeros(3, int)).curves(lead)
        for lead in range(LEADS)
    ]
    assert np.allclose(curves[0], curves[1], atol=0.002)  # whatever the gain
    assert np.allclose(curves[0].min(axis=1), -1.0, atol=0.01)
    assert np.allclose(curves[0][:, np.abs(CURVE) > 25], 0.0, atol=0.01)
    assert (np.abs(CURVE[curves[0].argmin(axis=1)]) <= 1).all()


def test_what_is_not_there_is_not_averaged() -> None:
    strip = Strip(250.0, np.zeros((1000, LEADS), np.int16), np.array([0.001, 0.001]))
    strip.samples[:, 0] = 100 * np.sin(np.arange(1000) / 9.0)
    strip.samples[480:520, 0] = INVALID
    record = made(np.array([10, 500, 700]), strip, np.array([[1, 4], [1, 4], [1, 4]]), np.array([0, 2, 2]))
    assert np.isfinite(record.curves(0)).all(axis=1).tolist() == [False, False, True]
    (only,) = mean_beats([record])  # of the second lead nothing can be told
    assert (only.word, only.count, only.classes.tolist()) == (1, 3, [1, 0, 2, 0, 0])
    assert np.array_equal(only.mean, record.curves(0)[2])
    assert np.allclose(only.spread, 0.0, atol=1e-6)
    (nothing,) = mean_beats([made(np.array([10]), strip, np.array([[1, 4]]), np.array([0]))])
    assert np.isnan(nothing.mean).all()


def test_mean_beats_are_those_of_all_curves_of_a_word(spelled: Spelled) -> None:
    found = mean_beats([spelled, spelled])
    assert sum(one.count for one in found) == 2 * LEADS * len(spelled.samples)
    assert [one.count for one in found] == sorted((one.count for one in found), reverse=True)
    for one in found:
        curves = np.concatenate([spelled.curves(k)[spelled.said[:, k] == one.word] for k in range(LEADS)])
        curves = curves[np.isfinite(curves).all(axis=1)]
        assert np.allclose(one.mean, curves.mean(axis=0))
        assert np.allclose(one.spread, curves.std(axis=0), atol=1e-6)
        assert one.classes.sum() == one.count
