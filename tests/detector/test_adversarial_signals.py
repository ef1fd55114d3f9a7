"""Signals made to break a detector: what it says stays in order, in time and in number, and it hears again after them.

The work a tick is fixed in the code; what could grow is what the signal asks for. So the bounds are on structure: beats
a second, the age of what is decided, the size of the state, and epochs that come whatever the samples are.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from detector.detector import Detector
from detector.types import BEAT_QUEUE, EPOCH, EPOCH_QUEUE, RATE
from tests.detector.hearts import counts, ecg
from tests.detector.recordings import INVALID, LARGEST, Strip, said
from tests.detector.test_real_records import agree, apart_and_in_time, ticks

SECONDS: Final = 40.0
RATES: Final = (100.0, 128.0, 250.0, 333.3, 360.0, 1000.0)

Samples = npt.NDArray[np.int16]


def square(rate_hz: float, period_s: float, height: int) -> Samples:
    """From rail to rail."""
    phase = np.arange(int(SECONDS * rate_hz)) / rate_hz / period_s % 1.0
    return np.where(phase < 0.5, height, -height).astype(np.int16)


def spikes(rate_hz: float, period_s: float, height: int, width: int = 2) -> Samples:
    """Pulses of a few samples with a flat line between them."""
    out = np.zeros(int(SECONDS * rate_hz), np.int16)
    for at in np.arange(0.1, SECONDS - 0.1, period_s):
        first = int(at * rate_hz)
        out[first : first + width] = height
    return out


def every_other(count: int, *values: int) -> Samples:
    return np.resize(np.array(values, np.int16), count)


def hostile(rate_hz: float) -> dict[str, Samples]:
    """Signals by name, one lead each."""
    random = np.random.default_rng(round(rate_hz))
    count = int(SECONDS * rate_hz)
    time = np.arange(count) / rate_hz
    out = {
        "rails at every sample": every_other(count, LARGEST, -LARGEST),
        "rails and nothing": every_other(count, LARGEST, INVALID, -LARGEST, INVALID),
        "noise as high as can be": random.integers(-LARGEST, LARGEST, count).astype(np.int16),
        "a sweep from 0.1 to 60 Hz": (
            20_000 * np.sin(2 * np.pi * 0.1 * SECONDS / 6.4 * 600 ** (time / SECONDS))
        ).astype(np.int16),
        "growing": (np.sin(2 * np.pi * 3.0 * time) * 1.1 ** (time * 2.5)).clip(-LARGEST, LARGEST).astype(np.int16),
        "shrinking": (LARGEST * np.sin(2 * np.pi * 2.0 * time) * 0.75**time).astype(np.int16),
        "stairs": (np.floor(time / 0.3) * 211 % 60_000 - 30_000).astype(np.int16),
        "in and out": np.where(time % 0.5 < 0.25, spikes(rate_hz, 0.4, 300), INVALID).astype(np.int16),
        "spikes, each twice as high": spikes(rate_hz, 0.7, 1) * (2 ** (time / 3).astype(int)).astype(np.int16),
    }
    # Periods about the refractory (49 ticks), the wait for a higher peak (34), the T wave's time (85) and beyond.
    for period in (2, 5, 10, 20, 33, 34, 35, 48, 49, 50, 51, 60, 85, 86, 120, 250, 449, 451, 700):
        out[f"square wave of {period} ticks"] = square(rate_hz, period / RATE, 20_000)
        out[f"spikes every {period} ticks"] = spikes(rate_hz, period / RATE, 300)
    return out


@pytest.mark.parametrize("rate_hz", RATES)
def test_whatever_comes_the_output_is_bounded(rate_hz: float) -> None:
    for name, signal in hostile(rate_hz).items():
        for leads in (1, 2):
            both = np.stack([signal, np.roll(signal, 7)], axis=1)[:, :leads]
            strip = Strip(f"{name}, {leads} leads", rate_hz, np.full(leads, 0.005), np.ascontiguousarray(both))
            apart_and_in_time(strip)
            agree(strip, said(strip, [1, 999, 3, 50]), strip.whole)


@pytest.mark.parametrize("rate_hz", RATES)
def test_no_call_finds_more_than_the_queues_hold(rate_hz: float) -> None:
    """Half a second, the most a detector takes at once, gives few beats and epochs; the state never grows."""
    for name, signal in hostile(rate_hz).items():
        strip = Strip(name, rate_hz, np.array([0.005]), signal[:, None])
        detector = strip.detector()
        size = detector.state().nbytes
        step = int(rate_hz) // 2
        for first in range(0, len(signal), step):
            peaks, epochs = detector.update(strip.samples[first : first + step])
            assert len(peaks) <= BEAT_QUEUE // 4, name
            assert len(epochs) <= EPOCH_QUEUE // 2, name
        assert detector.state().nbytes == size


@pytest.mark.parametrize("rate_hz", RATES)
def test_a_heart_is_heard_after_any_of_them(rate_hz: float) -> None:
    """Levels learned from 160 mV fade to those of a heart within 20 s; then every beat is found, or all but one."""
    mv, beats = ecg(38.0, 75, rate_hz=rate_hz)
    heart = counts(mv)
    for name, signal in hostile(rate_hz).items():
        before = np.stack([signal, signal], axis=1)
        strip = Strip(name, rate_hz, np.full(2, 0.005), np.concatenate([before, heart]))
        found = strip.whole.peaks["tick"]
        wanted = (beats[beats > 20 * rate_hz] + len(before)) * RATE / rate_hz
        hit = np.abs(found[:, None] - wanted).min(axis=0) <= 13 if len(found) else np.zeros(len(wanted), np.bool_)
        assert hit.sum() >= len(hit) - 1, (name, hit)


@pytest.mark.parametrize("others", [0, 1])
def test_the_only_lead_is_heard_again_after_it_was_off_for_long(others: int) -> None:
    """One lead alone, or with a second that has come off for good: off for 11 s, then on again."""
    mv, beats = ecg(60.0, 75)
    lost: npt.NDArray[Any] = mv[:, : 1 + others].copy()
    lost[10 * RATE :, 1:] = np.nan
    lost[20 * RATE : 31 * RATE, 0] = np.nan
    strip = Strip("off", RATE, np.full(1 + others, 0.005), counts(lost))
    assert (strip.whole.peaks["tick"] > 35 * RATE).sum() >= (beats > 35 * RATE).sum() - 1


@pytest.mark.parametrize("dead", [0, 1])
@pytest.mark.parametrize("from_s", [0.0, 20.0])
@pytest.mark.parametrize("shows", ["hum", "breath", "weak noise", "small pulses", "strong hum"])
def test_a_lead_without_beats_does_not_silence_the_other(dead: int, from_s: float, shows: str) -> None:
    """An electrode that is off picks up something, so its lead is not flat: the other lead's beats are all found."""
    mv, beats = ecg(60.0, 75)
    time = np.arange(len(mv)) / RATE
    random = np.random.default_rng(1)
    picked_up = {
        "hum": 0.015 * np.sin(2 * np.pi * 50.0 * time),
        "strong hum": 0.3 * np.sin(2 * np.pi * 60.0 * time),
        "breath": 0.05 * np.sin(2 * np.pi * 0.25 * time) + 0.002 * random.standard_normal(len(time)),
        "weak noise": 0.005 * random.standard_normal(len(time)),
        "small pulses": 0.05 * (time % 0.3 < 0.08),
    }[shows]
    mv[time >= from_s, dead] = picked_up[time >= from_s]
    found = Strip("dead", RATE, np.full(2, 0.001), counts(mv, 0.001)).whole.peaks["tick"]
    hit = np.abs(found[:, None] - beats).min(axis=0) <= 13
    assert hit.sum() >= len(hit) - 3, np.flatnonzero(~hit)
    assert hit[beats > (from_s + 4.0) * RATE].all()


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros((360, 2)),  # millivolts
        np.full((360, 2), 70_000, np.int32),
        np.zeros(2, np.int16),
        np.zeros((360, 1), np.int16),
        np.zeros((2, 360), np.int16),
        np.zeros((360, 2, 1), np.int16),
        [[0, 0]],
    ],
    ids=lambda samples: f"{getattr(samples, 'dtype', 'list')}{np.shape(samples)}",
)
def test_samples_that_would_be_another_signal_are_refused(samples: Any) -> None:
    detector = Detector(360.0, [0.005, 0.005])
    with pytest.raises(ValueError, match=r"np\.rint"):
        detector.update(samples)
    detector.update(np.zeros((360, 2), np.int16))


@pytest.mark.parametrize(("mv_per_bit", "invalid"), [(0.0, -32768), ([0.005, -0.0], -32768), (0.005, 99_999)])
def test_units_and_marks_that_mean_nothing_are_refused(mv_per_bit: Any, invalid: int) -> None:
    with pytest.raises(ValueError, match=r"no (unit|sample)"):
        Detector(360.0, mv_per_bit, invalid)


def test_the_ends_of_a_signal_are_no_special_place() -> None:
    """A strip of any length, down to one sample and none, gives the start of what a longer one gives."""
    mv, _ = ecg(8.0, 80, noise_mv=0.03)
    samples = counts(mv)
    strip = Strip("all", RATE, np.full(2, 0.005), samples)
    for count in (0, 1, 2, EPOCH - 1, EPOCH, EPOCH + 1, 249, 250, 251, 700, 1024, 1025):
        part = strip.of(samples[:count])
        assert len(part.whole.epochs) == ticks(part) // EPOCH
        assert (part.whole.peaks.tobytes(), part.whole.epochs.tobytes()) == strip.whole.until(count - 1)
