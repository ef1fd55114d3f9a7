"""Figures of a classifier, by property and beside scikit-learn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("sklearn")

from model.evaluation.classes import BINS, POINTS, ClassFigures, confusion, precision_recall, reliability, roc

pytestmark = pytest.mark.train

SEEDS = st.integers(0, 2**32 - 1)
NAMES = ("N", "S", "V")


def guesses(seed: int, cases: int, classes: int = 3, skill: float = 1.0) -> tuple[Any, Any]:
    """True classes and probabilities that know something of them."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, cases)
    scores = rng.normal(0, 1, (cases, classes))
    scores[np.arange(cases), truth] += skill
    raised = np.exp(scores)
    return truth, raised / raised.sum(axis=1, keepdims=True)


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.integers(1, 200))
def test_every_case_is_in_the_confusion_once(seed: int, cases: int) -> None:
    truth, claims = guesses(seed, cases)
    figures = ClassFigures.of(truth, claims, NAMES)
    assert figures.counts.sum() == cases
    assert figures.support.tolist() == np.bincount(truth, minlength=3).tolist()
    assert figures.counts.sum(axis=0).tolist() == np.bincount(claims.argmax(axis=1), minlength=3).tolist()
    assert figures.accuracy == pytest.approx(100 * np.mean(claims.argmax(axis=1) == truth))
    assert sum(r.counts.sum() for r in figures.reliability) == 3 * cases
    assert figures.top.counts.sum() == cases


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(5, 200))
def test_ratios_are_those_of_scikit_learn(seed: int, cases: int) -> None:
    from sklearn.metrics import precision_recall_fscore_support

    truth, claims = guesses(seed, cases)
    figures = ClassFigures.of(truth, claims, NAMES)
    told = precision_recall_fscore_support(truth, claims.argmax(axis=1), labels=range(3), zero_division=0.0)
    for ours, theirs in zip((figures.precision, figures.recall, figures.f1), told[:3], strict=True):
        assert [value or 0.0 for value in ours] == pytest.approx((100 * theirs).tolist())


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(2, 80), st.booleans())
def test_the_area_is_the_chance_that_a_case_scores_above_another(seed: int, cases: int, coarse: bool) -> None:
    truth, claims = guesses(seed, cases, 2)
    scores = np.round(claims[:, 1], 1) if coarse else claims[:, 1]  # with ties, too
    curve = roc(truth == 1, scores)
    if len(set(truth)) < 2:
        assert curve is None
        return
    assert curve is not None
    differences = scores[truth == 1][:, None] - scores[truth == 0]
    assert curve.area == pytest.approx(np.mean((differences > 0) + 0.5 * (differences == 0)))


@settings(max_examples=25, deadline=None)
@given(SEEDS, st.integers(1000, 3000))
def test_a_thinned_curve_is_still_the_curve(seed: int, cases: int) -> None:
    from sklearn.metrics import roc_auc_score

    truth, claims = guesses(seed, cases, 2)
    curve = roc(truth == 1, claims[:, 1])
    other = precision_recall(truth == 1, claims[:, 1])
    assert curve is not None
    assert other is not None
    assert len(curve.x) <= POINTS + 2
    assert (curve.x[0], curve.y[0], curve.x[-1], curve.y[-1]) == (0, 0, 1, 1)
    assert (np.diff(curve.x) >= 0).all()
    assert (np.diff(curve.y) >= 0).all()
    assert curve.area == pytest.approx(roc_auc_score(truth, claims[:, 1]))
    assert np.trapezoid(curve.y, curve.x) == pytest.approx(curve.area, abs=0.01)
    assert {other.x[0], other.x[-1]} == {0, 1}


def test_a_class_nobody_has_has_no_curves_and_no_recall() -> None:
    figures = ClassFigures.of([0, 0, 1], [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1]], NAMES)
    assert figures.roc[2] is None
    assert figures.precision_recall[2] is None
    assert (figures.precision[2], figures.recall[2], figures.f1[2]) == (None, None, None)
    assert figures.macro_f1 == pytest.approx(200 / 3)


def test_no_case_at_all() -> None:
    figures = ClassFigures.of([], np.zeros((0, 3)), NAMES)
    assert (figures.accuracy, figures.macro_f1, figures.top.error) == (None, None, None)
    assert figures.as_dict()["cases"] == 0


@pytest.mark.parametrize("seed", range(3))
def test_who_claims_what_comes_true_is_calibrated(seed: int) -> None:
    rng = np.random.default_rng(seed)
    claims = rng.uniform(0, 1, 200_000)
    honest = reliability(claims, rng.random(len(claims)) < claims)
    assert honest.error is not None
    assert honest.error < 0.01
    boastful = reliability(claims, rng.random(len(claims)) < claims**2)  # mean of p - p² is 1/6
    assert boastful.error == pytest.approx(1 / 6, abs=0.01)
    assert honest.counts.sum() == len(claims)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=50))
def test_reliability_at_its_edges(cases: list[tuple[float, bool]]) -> None:
    claims, came = map(np.array, zip(*cases, strict=True))
    found = reliability(claims, came)
    assert found.counts.sum() == len(cases)
    assert len(found.counts) == BINS
    assert found.error is not None
    assert 0 <= found.error <= 1
    seen = found.counts > 0
    assert np.isnan(found.true[~seen]).all()
    assert (found.counts[seen] * found.true[seen]).sum() == pytest.approx(came.sum())


def test_confusion_rows_are_the_truth() -> None:
    assert confusion([0, 0, 1], [0, 1, 1], 2).tolist() == [[1, 1], [0, 1]]
