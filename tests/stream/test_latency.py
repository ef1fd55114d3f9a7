from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from stream.latency import SMALLEST_MS, STEP, Percentiles


@given(st.lists(st.floats(SMALLEST_MS, 60_000), min_size=1, max_size=200), st.sampled_from([0.5, 0.9, 0.99, 1.0]))
def test_a_percentile_is_right_within_its_resolution(durations: list[float], quantile: float) -> None:
    percentiles = Percentiles()
    for ms in durations:
        percentiles.add(ms)
    exact = float(np.quantile(durations, quantile, method="inverted_cdf"))
    assert exact / STEP <= percentiles.at(quantile) <= exact * STEP
    assert percentiles.summary()["max"] == round(max(durations), 3)


def test_nothing_has_no_percentile() -> None:
    assert math.isnan(Percentiles().at(0.5))
    assert Percentiles().summary() == {"p50": None, "p90": None, "p99": None, "max": None, "count": 0}


@given(st.one_of(st.floats(-1e6, SMALLEST_MS), st.floats(1e6, 1e12)))
def test_what_lies_outside_is_counted_all_the_same(ms: float) -> None:
    percentiles = Percentiles()
    percentiles.add(ms)
    assert percentiles.count == 1
    assert math.isfinite(percentiles.at(0.99))
