"""The score of a candidate: its weights' file, and that it is the sum it says it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.score import BEGIN_FILE, COUNT, FILE, load, save, score

MEASURED = st.lists(st.floats(-10.0, 10.0), min_size=COUNT, max_size=COUNT)


@pytest.mark.parametrize("file", [FILE, BEGIN_FILE])
@given(measures=MEASURED)
def test_it_is_a_straight_sum_and_units_that_bend(file: Path, measures: list[float]) -> None:
    weights = load(file)
    units = np.array(measures) @ weights[:-1]
    expected = units[0] + (units[1:] / (1.0 + np.abs(units[1:]))) @ weights[-1, 1:]
    assert score(np.array(measures), weights) == pytest.approx(expected, rel=1e-9, abs=1e-9)


@given(measures=MEASURED, times=st.floats(1.0, 1e6))
def test_the_units_cannot_run_away(measures: list[float], times: float) -> None:
    """Beyond all that was taught, only the straight sum still grows."""
    weights = load()
    far = np.array(measures) * times
    assert abs(score(far, weights) - far @ weights[:-1, 0]) <= np.abs(weights[-1]).sum() + 1e-6 * times


@pytest.mark.parametrize("file", [FILE, BEGIN_FILE])
def test_weights_are_kept_as_written(file: Path, tmp_path: Path) -> None:
    save(load(file), tmp_path / "again.csv")
    assert (tmp_path / "again.csv").read_text() == file.read_text()


def test_weights_of_another_version_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "old.csv"
    file.write_text("\n".join(FILE.read_text().splitlines()[1:]))
    with pytest.raises(ValueError, match=r"old\.csv.*fit_qrs"):
        load(file)
