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
from tests.stream.wards import reader

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


@pytest.mark.parametrize("kind", [RINGING, SHORT])
def test_a_heart_paced_in_two_chambers_is_not_twice_as_fast(kind: str) -> None:
    mv, beats = paced(90.0, kind=kind, high_mv=1.2, stops_s=90.0, ahead_s=0.05, seed=2)
    mv += pulses(beats - 0.2 * RATE, len(mv), kind)[:, None] * (1.0, 0.9)
    assert not [alert for alert in alerts_of(mv) if alert.priority == "high"]
