"""A heart whose atria beat on alone stands still, even where the detector takes its P waves for beats."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.noise_on_the_ward import record_of
from detector.types import RATE
from model.bench import Case
from model.ec57 import Annotations
from model.strip import Strip
from stream.annotate import analyse
from stream.ward import Ward
from tests.detector.hearts import ecg
from tests.stream.wards import reader

STOPS_S, ALONE_S = 60, 60
TOLD_S = 5.0  # after the last QRS, or less
LEADS_SEE = (1.0, 0.6)  # of a P wave's height


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("high_mv", [0.0, 0.1, 0.15, 0.2])
def test_p_waves_alone_are_an_asystole_that_does_not_end(high_mv: float, seed: int) -> None:
    before, _ = ecg(STOPS_S, 70 + 5 * seed, noise_mv=0.01, seed=seed)
    time = np.arange(ALONE_S * RATE) / RATE
    waves = np.exp(-0.5 * ((time[:, None] - np.arange(0.6, ALONE_S - 1.0, 0.8)) / 0.022) ** 2).sum(axis=1)
    noise = np.random.default_rng(seed).normal(0.0, 0.01, (len(time), len(LEADS_SEE)))
    alone = high_mv * waves[:, None] * LEADS_SEE + noise
    strip = Strip.of_mv(np.concatenate([before, alone]), float(RATE))
    case = Case("atria alone", "atria alone", strip, Annotations.of(np.array([], np.int64), []))
    alerts = [alert for alert in analyse(record_of(case), Ward(reader())).alerts if alert.rule == "asystole"]
    assert [alert.state for alert in alerts] == ["raised"]
    assert STOPS_S < alerts[0].decided_sample / RATE < STOPS_S + TOLD_S
