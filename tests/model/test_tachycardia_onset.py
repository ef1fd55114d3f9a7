"""A tachycardia that begins in quiet: what is composed, and how long it is said to be unheard."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tachycardia_onset import FIGURES, RHYTHM_S, TACHYCARDIA_S, heard, onset, show
from model.bench import Case
from model.ec57 import Annotations
from model.strip import Strip

RATE = 250.0
WHOLE_S = RHYTHM_S + TACHYCARDIA_S


def case() -> Case:
    """A flat minute at 1 mV."""
    return Case("mitdb", "1", Strip.of_mv(np.ones((int(60 * RATE), 2)), RATE), Annotations.of(np.array([100]), ["N"]))


@pytest.mark.parametrize("roundness", [2, 6])
@pytest.mark.parametrize("rate", [120.0, 150.0])
def test_the_waves_are_as_high_and_as_many_as_asked_for_and_their_tops_are_the_beats(
    roundness: int, rate: float
) -> None:
    one = onset(case(), 2, roundness, 0.8, rate, 0)
    mv = one.strip.mv
    assert one.begun == RHYTHM_S * RATE
    assert len(mv) == WHOLE_S * RATE
    assert np.diff(one.beats) / RATE == pytest.approx(60.0 / rate, abs=2 / RATE)
    np.testing.assert_allclose(mv[one.beats], [[1.8, 1.0 - 0.48]] * len(one.beats), atol=0.06)
    assert np.median(mv[one.begun :, 0]) < (1.45 if roundness == 2 else 1.15)


def test_unheard_is_the_longest_time_without_a_beat_from_the_rhythm_to_the_end() -> None:
    one = onset(case(), 1, 4, 0.8, 120.0, 0)
    rhythm = np.arange(0.5, RHYTHM_S) * RATE
    missed_at_first = one.beats[12:]
    found, unheard = heard(one, np.concatenate([rhythm, missed_at_first]).astype(np.int64))
    assert found == len(one.beats) - 12
    assert unheard == pytest.approx((one.beats[12] - rhythm[-1]) / RATE)
    assert heard(one, rhythm.astype(np.int64)) == (0, pytest.approx(TACHYCARDIA_S + 0.5))
    assert heard(one, np.array([], np.int64)) == (0, pytest.approx(TACHYCARDIA_S))


def test_the_table_says_how_many_are_over_four_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    unheard = {"min": 0.8, "median": 1.5, "max": 20.5}
    values = dict(zip(FIGURES, (50.0, unheard, 12.0), strict=True))
    show({"rows": [{"leads": 1, "roundness": 2, "mV": 0.3, **values}]})
    assert "1.5 (0.8 to 20.5)" in capsys.readouterr().out
