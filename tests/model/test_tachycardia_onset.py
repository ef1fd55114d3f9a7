"""A tachycardia that begins in quiet: what is composed, and how long it is said to be unheard."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.tachycardia_onset import FIGURES, RHYTHM_S, TACHYCARDIA_S, alarmed, detected, onset, show
from model.bench import Case
from model.ec57 import Annotations
from model.reader import Reader
from model.strip import Strip
from stream.ward import Ward

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
    found, unheard = detected(one, np.concatenate([rhythm, missed_at_first]).astype(np.int64))
    assert found == len(one.beats) - 12
    assert unheard == pytest.approx((one.beats[12] - rhythm[-1]) / RATE)
    for told, longest_s in ((rhythm.astype(np.int64), TACHYCARDIA_S + 0.5), (np.array([], np.int64), TACHYCARDIA_S)):
        found, unheard = detected(one, told)
        assert found == 0
        assert unheard == pytest.approx(longest_s)


def test_an_alarm_counts_from_the_begin_and_only_if_it_is_of_high_priority() -> None:
    beats = (np.arange(0.5, 60.0) * RATE).astype(np.int64)
    mv = 0.01 * np.random.default_rng(0).standard_normal((int(60 * RATE), 2))
    for beat in beats:
        mv[beat - 5 : beat + 5] += 1.0
    heart = Case("mitdb", "1", Strip.of_mv(mv, RATE), Annotations.of(beats, ["N"] * len(beats)))
    ward = Ward(Reader.load(None))
    after = alarmed(onset(heart, 2, 6, 1.5, 220.0, 0), ward)
    assert after is not None
    assert 0.5 < after < 5.0
    assert alarmed(onset(heart, 2, 6, 0.0, 120.0, 0), ward) == pytest.approx(4.0, abs=1.5)  # the heart stands still


def test_the_table_says_how_many_are_over_four_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    unheard = {"min": 0.8, "median": 1.5, "max": 20.5}
    values = dict(zip(FIGURES, (50.0, unheard, 12.0, None, 100.0), strict=True))
    show({"rows": [{"leads": 1, "roundness": 2, "mV": 0.3, **values}]})
    assert "1.5 (0.8 to 20.5)" in capsys.readouterr().out
