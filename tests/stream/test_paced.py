"""A heart that no longer answers its pacemaker stands still, and one that does is not twice as fast."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.noise_on_the_ward import record_of
from detector.types import RATE
from model.bench import Case
from model.ec57 import Annotations
from model.strip import Strip
from stream.annotate import analyse
from stream.ward import Ward
from stream.wire import Alert
from tests.detector.test_pulses import RINGING, SHORT, paced, pulses
from tests.stream.wards import cut, reader, through

STOPS_S, ALONE_S = 60.0, 60.0
TOLD_S = 6.0  # after the last QRS, or less


def alerts_of(mv: npt.NDArray[np.float64]) -> list[Alert]:
    case = Case("paced", "paced", Strip.of_mv(mv, float(RATE)), Annotations.of(np.array([], np.int64), []))
    return analyse(record_of(case), Ward(reader())).alerts


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("kind", "high_mv"), [(RINGING, -2.0), (RINGING, 0.5), (RINGING, 1.5), (SHORT, -2.0), (SHORT, 0.5), (SHORT, 4.0)]
)
def test_pulses_that_no_heart_answers_are_an_asystole_that_does_not_end(kind: str, high_mv: float, seed: int) -> None:
    seconds = STOPS_S + ALONE_S
    mv, _ = paced(seconds, kind=kind, high_mv=high_mv, stops_s=STOPS_S, ahead_s=0.06, seed=seed)
    told = [alert for alert in alerts_of(mv) if alert.rule == "asystole"]
    assert [alert.state for alert in told] == ["raised"]
    assert STOPS_S < told[0].decided_sample / RATE < STOPS_S + TOLD_S


def test_pacing_that_is_found_lost_and_found_again_says_the_same_however_it_is_cut() -> None:
    """No beat comes while it is lost; the first after it is told in the second in which pacing is found again."""
    seconds = 125
    mv, _ = paced(seconds, kind=SHORT, high_mv=0.0, stops_s=60.0, ahead_s=0.05, seed=1)
    mv *= 2.0  # the usual height is above what it is at most once a pacemaker is found
    mv[61 * RATE :] = 0.0
    for begin, end in ((62.0, 66.5), (104.5, 124.0)):
        mv += pulses(np.arange(begin, end, 0.9) * RATE, len(mv), SHORT)[:, None] * (1.0, 0.8)
    off = np.arange(len(mv))[:, None] / RATE - np.arange(106.95, 124.0, 0.8)
    mv += 0.42 * np.exp(-0.5 * (off / 0.012) ** 2).sum(axis=1)[:, None] * (1.0, -0.8)
    record = record_of(Case("paced", "paced", Strip.of_mv(mv, float(RATE)), Annotations.of(np.array([], np.int64), [])))
    whole, fine = (through([[frame] for frame in cut(record, lengths)]).of("bed") for lengths in ([250], [25, 13]))
    assert whole == fine


@pytest.mark.parametrize("kind", [RINGING, SHORT])
def test_a_heart_paced_in_two_chambers_is_not_twice_as_fast(kind: str) -> None:
    mv, beats = paced(90.0, kind=kind, high_mv=1.2, stops_s=90.0, ahead_s=0.05, seed=2)
    mv += pulses(beats - 0.2 * RATE, len(mv), kind)[:, None] * (1.0, 0.9)
    assert not [alert for alert in alerts_of(mv) if alert.priority == "high"]
