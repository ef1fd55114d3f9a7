"""Mixes with noise on the way of the whole monitor: what of it is counted, told and silent in doubt."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from benchmarks import noise_on_the_ward as bench
from detector.types import INVALID, LEADS, RATE
from model.bench import Case
from model.ec57 import Annotations
from model.reader import Reader
from model.strip import Strip
from stream.annotate import RecordOutput, analyse
from stream.limits import Limits
from stream.ward import Ward
from stream.wire import Mark
from tests.detector.hearts import ecg

SECONDS = 420


@pytest.fixture(scope="module")
def case() -> Case:
    """Seven minutes of one lead, in whose last half minute but one the electrode is moved."""
    mv, peaks = ecg(SECONDS, 75, noise_mv=0.005)
    moving = sosfilt(
        butter(2, (5, 25), "bandpass", fs=RATE, output="sos"), np.random.default_rng(1).normal(size=len(mv))
    )
    mv[360 * RATE : 390 * RATE] += (moving / moving.std())[360 * RATE : 390 * RATE, None]
    samples = np.full((len(mv), LEADS), INVALID, np.int16)
    samples[:, 0] = np.rint(mv[:, 0] / 0.001)
    strip = Strip(RATE, samples, np.array([0.001, np.nan]))
    return Case("noise-em-0", "a", strip, Annotations.of(peaks, "N" * len(peaks)))


def test_a_case_is_the_record_it_is(case: Case) -> None:
    record = bench.record_of(case)
    assert record.leads == ("MDC_ECG_LEAD_II",)
    assert record.samples.shape == (SECONDS * RATE, 1)
    assert record.units_per_bit == (0.001,)
    assert record.seconds == SECONDS


def test_what_is_told_silent_and_declared_adds_up(case: Case, capsys: pytest.CaptureFixture[str]) -> None:
    one = bench.judge(case, analyse(bench.record_of(case), Ward(Reader.load(None), Limits())))
    row = bench._figures([one])
    assert one["told"].period_s == SECONDS - 300.0
    assert row["declared"] == pytest.approx(25.0, abs=6.0)  # of 120 s; doubt fades for a few more
    assert row["clear_se"] > row["qrs_se"] > row["silent_se"]
    assert row["clear_ppv"] == row["silent_ppv"] > row["qrs_ppv"]
    assert row["alarms"]["noisy"] == 1
    assert row["alarms"]["asystole"] == 0
    bench.show({"mixes": {"noise-em_6": row}})
    told = capsys.readouterr().out.splitlines()[1].split()
    assert told[0] == "-6"
    assert told[4] == f"{row['declared']:.2f}"


def test_time_in_which_atrial_fibrillation_is_told() -> None:
    marks = [
        Mark(10, "+", "(N"),
        Mark(20, "~", ""),
        Mark(100, "+", "(AFIB"),
        Mark(150, "+", "(N"),
        Mark(900, "+", "(AFIB"),
    ]
    assert bench._fibrillating(RecordOutput([], [], marks, []), 1000) == 50 + 100
    assert bench._fibrillating(RecordOutput([], [], marks[:2], []), 1000) == 0
    assert bench._fibrillating(RecordOutput([], [], [], []), 1000) == 0
