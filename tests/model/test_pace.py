"""When a beat came: how irregular the rhythm is in itself."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.pace import ALIKE, FEWEST, add_rr_words, remember_interval
from model.state import LANGUAGE, RR_HISTORY
from model.words import ENTROPY, FIELDS, RARE, SCATTER

ORDER = (ENTROPY, SCATTER, RARE)


def told(intervals: list[float]) -> np.ndarray:
    """What `ORDER` says of each of these RR intervals, s; (n, 3)."""
    state = np.zeros(1, LANGUAGE)[0]
    out = np.full((len(intervals), FIELDS), np.nan, np.float32)
    for rr, values in zip(intervals, out, strict=True):
        add_rr_words(state, rr, values)
        remember_interval(state, rr)
    return out[:, ORDER]


def plain_order(before: list[float], rr: float) -> list[float]:
    """The same said simply, of one interval and those before it."""
    last = np.log2(np.array(before[-RR_HISTORY:], np.float32).astype(np.float64))
    pairs = list(combinations(range(len(last) - 1), 2))
    alike = [pair for pair in pairs if abs(last[pair[0]] - last[pair[1]]) < ALIKE]
    followed = [(i, j) for i, j in alike if abs(last[i + 1] - last[j + 1]) < ALIKE]
    same = np.count_nonzero(np.abs(last - np.log2(rr)) < ALIKE)
    return [
        float(np.log2((len(alike) + 1) / (len(followed) + 1))),
        float(-np.log2((len(alike) + 1) / (len(pairs) + 1))),
        float(-np.log2((same + 0.5) / (len(last) + 1))),
    ]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from([0.31, 0.5, 0.62, 0.78, 0.81, 0.84, 1.1, 1.9]), min_size=1, max_size=70))
def test_what_is_said_of_their_order_equals_its_plain_twin(intervals: list[float]) -> None:
    said = told(intervals)
    for i, rr in enumerate(intervals):
        if i < FEWEST:
            assert np.isnan(said[i]).all()
        else:
            np.testing.assert_allclose(said[i], plain_order(intervals[:i], rr), rtol=0, atol=1e-5)


def test_fibrillation_is_told_from_bigeminy_and_from_runs_however_much_they_vary() -> None:
    rng = np.random.default_rng(3)
    steady = told([0.8 + rng.normal(0, 0.01) for _ in range(200)])[100:]
    bigeminy = told([(0.5, 1.1)[i % 2] + rng.normal(0, 0.01) for i in range(200)])[100:]
    runs = told([(0.45 if i % 12 else 1.4) + rng.normal(0, 0.01) for i in range(200)])[100:]
    fibrillation = told([0.7 * np.exp(rng.normal(0, 0.22)) for _ in range(200)])[100:]
    for ordered in (steady, bigeminy, runs):
        assert ordered[:, 0].max() < 0.5
        assert fibrillation[:, :2].min() > ordered[:, :2].max()
    assert np.median(fibrillation[:, 2]) > np.median(bigeminy[:, 2]) > np.median(steady[:, 2])


def test_a_premature_beat_is_rare_where_the_rhythm_is_steady() -> None:
    early = told([0.8] * 40 + [0.5, 1.0, 0.8, 0.8])[-4:]
    assert early[0, 2] > 5.0
    assert early[2, 2] < 0.5
    assert early[0, 0] == pytest.approx(0.0)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_a_pace_twice_or_half_as_fast_says_the_same(factor: float) -> None:
    rng = np.random.default_rng(1)
    intervals = [0.7 * np.exp(rng.normal(0, 0.2)) for _ in range(80)]
    np.testing.assert_allclose(told(intervals), told([factor * rr for rr in intervals]), rtol=0, atol=1e-6)
