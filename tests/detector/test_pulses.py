"""A pacemaker's pulses are no beats, whatever the channel makes of them, and no heart's beats are taken for pulses."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import envelope
from detector.detector import Detector
from detector.pulses import BAND_HZ
from detector.types import LEADS, RATE
from tests.detector.hearts import counts, ecg
from tests.detector.recordings import stretch_of
from tests.detector.test_qrs import assert_the_twin_agrees

RINGING, SHORT = "ringing", "short"
NEAR = 12  # ticks within which a pulse belongs to a beat
#: Records without a pacemaker whose beats are narrow, or look like pulses in one lead more than others do.
HEARTS = ("mitdb/114", "mitdb/122", "mitdb/124", "svdb/864", "svdb/871", "svdb/891", "svdb/894")
FEW = 0.002  # of the beats
#: Stretches with one, their beats a minute, and what the pulses do there.
AS_PACED = (
    ("b495l", 200.0, 85.0, 87.0, "pulses of the atria 320 ms before each beat"),
    ("a754s", 200.0, 85.0, 87.0, "pulses of the atria; the ventricles answer by themselves"),
    ("b494s", 200.0, 85.0, 87.0, "pulses of the atria and the ventricles; overdriven amplifier"),
    ("a670s", 100.0, 180.0, 70.0, "pulses of the ventricles; overdriven amplifier"),
)


def pulses(at: npt.ArrayLike, ticks: int, kind: str) -> npt.NDArray[np.float64]:
    """Pulses of height 1 at these places in ticks, as channels show them."""
    off = np.arange(ticks)[:, None] - np.asarray(at, np.float64)
    waves = np.sinc(2.0 * BAND_HZ / RATE * off) if kind == RINGING else np.maximum(1.0 - np.abs(off), 0.0)
    return np.asarray(waves.sum(axis=1))


def paced(
    seconds: float, *, kind: str, high_mv: float, stops_s: float, ahead_s: float, seed: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """A heart that no longer answers its pacemaker from some time on; its signal at `RATE`, and its R peaks."""
    random = np.random.default_rng(seed)
    at = np.arange(0.9, seconds - 0.4, 60.0 / random.uniform(50.0, 95.0))
    time = np.arange(int(seconds * RATE)) / RATE
    beats = at[at < stops_s]
    off = time[:, None] - beats
    qrs = np.exp(-0.5 * ((off - 0.02) / 0.02) ** 2) - 0.7 * np.exp(-0.5 * ((off - 0.08) / 0.03) ** 2)
    wave = (qrs + 0.3 * np.exp(-0.5 * ((off - 0.32) / 0.05) ** 2)).sum(axis=1)
    mv = wave[:, None] * (1.0, -0.7) + random.normal(0.0, 0.01, (len(time), LEADS))
    ticks = (at - ahead_s) * RATE
    mv += pulses(ticks, len(time), kind)[:, None] * (high_mv, 0.6 * high_mv)
    return mv, np.rint((beats + 0.02) * RATE).astype(np.int64)


def found_in(mv: npt.NDArray[np.float64], cuts: list[int]) -> npt.NDArray[np.void]:
    """R peaks by a detector that is given so many ticks at a time, in turn."""
    detector, samples = Detector(RATE, [0.005] * mv.shape[1]), counts(mv)
    found, first = [], 0
    for cut in itertools.cycle(cuts):
        found.append(detector.update(samples[first : first + cut])[0])
        first += cut
        if first >= len(samples):
            return np.concatenate(found)
    raise AssertionError("unreachable")


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("kind", "high_mv"), [(RINGING, -0.8), (RINGING, 0.4), (SHORT, -3.0), (SHORT, 0.4), (SHORT, 1.5), (SHORT, 5.0)]
)
def test_what_no_heart_answers_is_no_beat(kind: str, high_mv: float, seed: int) -> None:
    stops = 40.0
    mv, beats = paced(60.0, kind=kind, high_mv=high_mv, stops_s=stops, ahead_s=0.06, seed=seed)
    found = found_in(mv, [250])["tick"]
    apart = np.abs(found[:, None] - beats)
    assert (apart[:, 8:].min(axis=0) <= 0.1 * RATE).all(), "a beat that follows a pulse is found"
    assert not (found > (stops + 0.3) * RATE).any()
    assert (np.diff(found[found > beats[8]]) > 0.4 * RATE).all(), "one beat to each pulse"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("kind", [RINGING, SHORT])
def test_a_pulse_of_the_atria_is_no_beat_either(kind: str, seed: int) -> None:
    mv, beats = paced(40.0, kind=kind, high_mv=1.2, stops_s=40.0, ahead_s=0.05, seed=seed)
    mv += pulses(beats - 0.18 * RATE, len(mv), kind)[:, None] * (0.9, 0.8)
    found = found_in(mv, [250])["tick"]
    later = found[found > beats[8]]
    assert len(later) == (beats > beats[8]).sum()
    assert (np.abs(later[:, None] - beats).min(axis=1) <= 0.1 * RATE).all()


@pytest.mark.parametrize("noise_mv", [0.0, 0.01])
def test_pulses_alone_are_no_heart(noise_mv: float) -> None:
    mv = noise_mv * np.random.default_rng(1).standard_normal((41 * RATE, 1))
    mv[np.arange(RATE, 40 * RATE, 200), 0] += 1.0
    assert len(found_in(mv, [100])) == 0


@given(cuts=st.lists(st.integers(1, 250), min_size=1, max_size=6), kind=st.sampled_from([RINGING, SHORT]))
@settings(max_examples=20, deadline=None)
def test_how_the_signal_is_cut_changes_nothing(cuts: list[int], kind: str) -> None:
    mv, _ = paced(25.0, kind=kind, high_mv=1.1, stops_s=15.0, ahead_s=0.05, seed=4)
    np.testing.assert_array_equal(found_in(mv, cuts), found_in(mv, [250]))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=8, deadline=None)
def test_the_twin_agrees_where_there_are_pulses(seed: int) -> None:
    random = np.random.default_rng(seed)
    kinds = random.choice([RINGING, SHORT], 3)
    mv, peaks = ecg(25, random.uniform(40, 150), noise_mv=random.uniform(0, 0.05), seed=seed)
    for kind in kinds:  # sure and doubtful ones, near one another, on beats and off, clipped, in leads that come and go
        at = random.uniform(0, len(mv), random.integers(5, 60))
        mv += pulses(at, len(mv), kind)[:, None] * random.uniform(-3, 3, LEADS)
    mv += pulses(peaks - random.uniform(3, 60), len(mv), str(kinds[0]))[:, None] * random.uniform(-2, 2, LEADS)
    mv = np.clip(mv, -random.uniform(1, 5), random.uniform(1, 5))
    for _ in range(2):
        first = random.integers(0, len(mv))
        mv[first : first + random.integers(1, 10 * RATE), random.integers(0, LEADS)] = np.nan
    assert_the_twin_agrees(mv, random.integers(1, envelope.STEPS, 50))


@pytest.mark.parametrize("name", HEARTS)
def test_no_beat_of_a_heart_is_a_pulse(name: str) -> None:
    database, number = name.split("/")
    strip = stretch_of(database, number, 0.0, 1800.0)
    detector, step = strip.detector(), int(strip.rate_hz)
    seen: set[int] = set()
    beats = []
    for first in range(0, len(strip.samples), step):
        beats.append(detector.update(strip.samples[first : first + step])[0]["tick"])
        seen |= set(detector.signal["pulse"].tolist())
    ticks = np.concatenate(beats)
    near = [tick for tick in seen if np.abs(ticks - tick).min() <= NEAR]
    assert len(near) <= FEW * len(ticks)


@pytest.mark.parametrize(("name", "first_s", "seconds", "rate_bpm", "why"), AS_PACED)
def test_each_beat_of_a_paced_heart_is_told_once(
    name: str, first_s: float, seconds: float, rate_bpm: float, why: str
) -> None:
    found = stretch_of("cinc2015", name, first_s, seconds).whole.peaks
    later = found["tick"][found["tick"] > 10 * RATE]
    assert 60.0 * RATE / np.median(np.diff(later)) == pytest.approx(rate_bpm, abs=3.0), why
