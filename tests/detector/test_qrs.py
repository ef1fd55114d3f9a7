"""The QRS detector: equal to its twin, blind to framing, bounded, sane on signals that are no ECG."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from detector import envelope, pulses, qrs, qrs_state
from detector.detector import Detector
from detector.reference import QrsTwin
from detector.scratch import CARRIED_TICKS, new_scratch
from detector.types import LEADS, PEAK, RATE, RING, SIGNAL
from tests.detector.hearts import counts, ecg

NEAR = 0.05  # seconds between a peak placed and the true one


def run(mv: npt.NDArray[np.float32], cuts: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """The kernel over a whole recording, cut into so many steps at a time."""
    state, signal = np.zeros(1, qrs_state.QRS), np.zeros(1, SIGNAL)
    peaks, scratch = np.zeros(len(mv), PEAK), new_scratch()
    signal["mv"] = np.nan
    qrs_state.begin(state[0])
    pacing = np.zeros(1, pulses.PACING)
    pulses.begin(pacing[0], signal[0])
    whole = np.clip(np.rint(np.nan_to_num(mv) * np.float32(1000.0)), -envelope.LIMIT_UV, envelope.LIMIT_UV)
    there = np.maximum.accumulate(np.where(np.isnan(mv), -1, np.arange(len(mv))[:, None]), axis=0)
    held = np.where(there < 0, 0, np.take_along_axis(whole, np.maximum(there, 0), axis=0)).astype(np.float32)
    carried = np.concatenate([np.zeros((CARRIED_TICKS, LEADS), np.float32), held])
    found = first = 0
    for cut in np.resize(cuts, len(mv)):
        steps = min(int(cut), len(mv) // 2 - first)
        if not steps:
            break
        ticks = slice(2 * first, 2 * (first + steps))
        for lead in range(LEADS):
            pairs = held[ticks, lead].reshape(-1, 2)
            scratch["lead"]["work"]["x"][0, lead, 2 : 2 + steps] = pairs.sum(axis=1)
            scratch["lead"]["uv"][0, lead, : CARRIED_TICKS + 2 * steps] = carried[
                ticks.start : CARRIED_TICKS + ticks.stop, lead
            ]
            scratch["lead"]["work"]["valid"][0, lead, :steps] = ~np.isnan(mv[ticks, lead]).reshape(-1, 2).any(axis=1)
        for tick in range(ticks.start, ticks.stop):
            signal["mv"][0, :, tick % RING] = mv[tick]
        signal["end"] = ticks.stop
        pulses.take_out(pacing[0], signal[0], scratch[0], ticks.start, 2 * steps)
        found = qrs.update(state[0], scratch[0], signal[0], first, steps, peaks, found)
        first += steps
    return peaks[:found]


def assert_the_twin_agrees(mv: npt.NDArray[np.float64], cuts: npt.NDArray[np.int64]) -> None:
    """On every beat, its decision and its score, over a recording cut into so many steps at a time."""
    ticks = mv.astype(np.float32)
    found = run(ticks, cuts)
    twin = QrsTwin(LEADS)
    expected = [peak for peak in map(twin.step, ticks.tolist()) if peak]
    assert [(p["tick"], p["found"], p["lead"]) for p in found] == [(p.tick, p.found, p.lead) for p in expected]
    np.testing.assert_array_equal(found["log_odds"], np.array([p.log_odds for p in expected], np.float32))


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=12, deadline=None)
def test_the_twin_agrees_on_every_beat(seed: int) -> None:
    random = np.random.default_rng(seed)
    mv, peaks = ecg(25, random.uniform(35, 180), noise_mv=random.uniform(0, 0.3), seed=seed)
    for lead in range(LEADS):  # a pacemaker's spikes on one lead, both or none
        mv[peaks - random.integers(0, 30), lead] += random.choice([0.0, -3.0, 1.0, 3.0])
    mv *= random.uniform(0.1, 5, 2) * random.choice([-1, 1], 2)
    for _ in range(3):  # a lead without beats, lead off, flat, another amplitude
        first = random.integers(0, len(mv))
        mv[first : first + random.integers(RATE, 8 * RATE), random.integers(0, 2)] *= 0.01
        first = random.integers(0, len(mv))
        mv[first : first + random.integers(1, 12 * RATE), random.integers(0, 2)] = np.nan
        first = random.integers(0, len(mv))
        mv[first : first + random.integers(1, 5 * RATE)] = 0.01
        mv[random.integers(0, len(mv)) :] *= random.uniform(0.2, 3)
    assert_the_twin_agrees(mv, random.integers(1, envelope.STEPS, 50))


def detect(mv: npt.NDArray[np.float64], rate_hz: float = RATE, cut: int = 100) -> tuple[Detector, npt.NDArray[np.void]]:
    detector = Detector(rate_hz, [0.005] * mv.shape[1])
    samples = counts(mv)
    found = [detector.update(samples[first : first + cut])[0] for first in range(0, len(samples), cut)]
    return detector, np.concatenate(found)


def assert_same_however_cut(samples: npt.NDArray[np.int16], rate_hz: int, cuts: list[int]) -> None:
    whole = Detector(rate_hz, [0.005, 0.005])
    peaks, epochs = whole.update(samples)
    pieces = Detector(rate_hz, [0.005, 0.005])
    got_peaks: list[npt.NDArray[np.void]] = []
    got_epochs: list[npt.NDArray[np.void]] = []
    first = 0
    while first < len(samples):
        step = cuts[len(got_peaks) % len(cuts)]
        some_peaks, some_epochs = pieces.update(samples[first : first + step])
        got_peaks.append(some_peaks)
        got_epochs.append(some_epochs)
        first += step
    np.testing.assert_array_equal(np.concatenate(got_peaks), peaks)
    np.testing.assert_array_equal(np.concatenate(got_epochs), epochs)
    for part in ("quality", "qrs", "doubt", "fibrillation"):
        np.testing.assert_array_equal(pieces.state()[part], whole.state()[part])


@given(cuts=st.lists(st.integers(1, 1000), min_size=1, max_size=12), rate_hz=st.sampled_from([128, 250, 360, 1000]))
@settings(max_examples=15, deadline=None)
def test_framing_does_not_matter(cuts: list[int], rate_hz: int) -> None:
    assert_same_however_cut(counts(ecg(20, 80, rate_hz=rate_hz, noise_mv=0.05)[0]), rate_hz, cuts)


@given(
    cuts=st.lists(st.integers(1, 400), min_size=1, max_size=12),
    rate_hz=st.sampled_from([128, 250, 360]),
    lead=st.integers(0, 1),
    first_s=st.floats(0.0, 7.0),
    gone_s=st.floats(7.5, 15.0),
)
@settings(max_examples=12, deadline=None)
def test_framing_does_not_matter_where_a_lead_is_gone_for_long(
    cuts: list[int], rate_hz: int, lead: int, first_s: float, gone_s: float
) -> None:
    samples = counts(ecg(28, 80, rate_hz=rate_hz, noise_mv=0.05)[0])
    samples[int(first_s * rate_hz) : int((first_s + gone_s) * rate_hz), lead] = -32768
    assert_same_however_cut(samples, rate_hz, cuts)


@given(cut=st.integers(1, 4999))
@settings(max_examples=15, deadline=None)
def test_a_restored_detector_goes_on_as_if_nothing_had_happened(cut: int) -> None:
    samples = counts(ecg(20, 90, noise_mv=0.05)[0])
    whole = Detector(RATE, [0.005, 0.005])
    expected = whole.update(samples)[0]
    first, second = Detector(RATE, [0.005, 0.005]), Detector(RATE, [0.005, 0.005])
    before = first.update(samples[:cut])[0]
    second.restore(first.state())
    after = second.update(samples[cut:])[0]
    np.testing.assert_array_equal(np.concatenate([before, after]), expected)


@pytest.mark.parametrize("rate_hz", [100, 128, 200, 250, 300, 360, 500, 1000])
@pytest.mark.parametrize("bpm", [30, 75, 200, 270])
def test_every_beat_is_found_where_it_is(rate_hz: int, bpm: int) -> None:
    mv, peaks = ecg(30, bpm, rate_hz=rate_hz)
    detector, found = detect(mv, rate_hz)
    placed = np.array([detector.sample_of(int(tick)) for tick in found["tick"]])
    settled = peaks[peaks > 3 * rate_hz]
    distance = np.abs(placed[:, None] - settled).min(axis=0) / rate_hz
    assert (distance < NEAR).all()
    assert len(placed[placed > 3 * rate_hz - NEAR * rate_hz]) == len(settled)


@given(gain=st.floats(0.3, 4.0))
@settings(max_examples=15, deadline=None)
def test_the_gain_does_not_matter(gain: float) -> None:
    mv, peaks = ecg(20, 75)
    _, found = detect(mv * gain)
    assert len(found) == pytest.approx(len(peaks), abs=1)


def test_a_sudden_smaller_amplitude_is_found_again() -> None:
    mv, peaks = ecg(60, 75)
    mv[30 * RATE :] *= 0.2
    _, found = detect(mv)
    late = peaks[peaks > 36 * RATE]
    assert (np.abs(found["tick"][:, None] - late).min(axis=0) < NEAR * RATE).all()


WIDE = {
    "one hump": ((1.4, 0.0, 0.035),),
    "two phases": ((1.4, 0.0, 0.03), (-1.0, 0.09, 0.035)),
    "very wide": ((1.4, 0.0, 0.04), (-1.0, 0.12, 0.045)),
    "inverted": ((-1.4, 0.0, 0.03), (0.8, 0.1, 0.03)),
}


@pytest.mark.parametrize("shape", WIDE)
@pytest.mark.parametrize("bpm", [150, 180, 220, 240])
@pytest.mark.parametrize("size", [0.6, 1.0])
def test_a_wide_tachycardia_is_told_at_its_rate(shape: str, bpm: int, size: float) -> None:
    """After 20 s of sinus rhythm; half its rate, or a third, would be no alarm at all."""
    mv, _ = ecg(50, 75)
    time = np.arange(len(mv)) / RATE
    wave = np.zeros(len(mv))
    for r in np.arange(20.0, 45.0, 60.0 / bpm):
        for height, late, width in WIDE[shape]:
            wave += size * height * np.exp(-0.5 * ((time - r - late) / width) ** 2)
    run = (time > 19.7) & (time < 45.5)
    mv[run] = (wave[:, None] * (1.0, 0.6) + 0.01 * np.random.default_rng(1).standard_normal(mv.shape))[run]
    _, found = detect(mv)
    inside = np.sum((found["tick"] > 22.5 * RATE) & (found["tick"] < 44.5 * RATE))
    assert inside == pytest.approx(22.0 * bpm / 60.0, rel=0.1)


@pytest.mark.parametrize("ahead_s", [0.15, 0.17])
def test_a_p_wave_is_not_taken_for_the_qrs_for_long(ahead_s: float) -> None:
    """Steep P waves alone are beats; once the QRS comes behind each of them, within the refractory period, it is it."""
    mv, peaks = ecg(60, 75)
    mv *= 1.6
    time = np.arange(len(mv)) / RATE
    mv[: 10 * RATE] = 0.0
    for r in peaks / RATE:
        mv += 0.3 * np.exp(-0.5 * ((time - (r - ahead_s)) / 0.018) ** 2)[:, None]
    _, found = detect(mv)
    early = found["tick"][found["tick"] < 10 * RATE]
    assert len(early) > 5  # the P waves have been learned, or this shows nothing
    late = found["tick"][found["tick"] > 25 * RATE]
    settled = peaks[peaks > 25 * RATE]
    assert len(late) == len(settled)
    assert (np.abs(late - settled) < NEAR * RATE).all()


AHEAD_S = (0.17, 0.18, 0.19, 0.2, 0.21)


@pytest.mark.parametrize(
    ("ahead_s", "size"),
    [
        *((s, size) for s in AHEAD_S for size in (0.25, 0.3)),
        *((s, 0.35) for s in (0.19, 0.2)),
    ],
)
def test_a_doubtful_peak_gives_way_to_the_qrs_behind_it(ahead_s: float, size: float) -> None:
    """Every fifth P wave is as steep as a small QRS and lies before its refractory period."""
    mv, peaks = ecg(60, 70, noise_mv=0.02)
    hearts = mv.copy()
    for r in peaks[20::5]:
        p = r - round(ahead_s * RATE)
        mv[p - 10 : p + 10] += size * (hearts[r - 10 : r + 10] - hearts[r - 10])
    _, found = detect(mv)
    settled = peaks[15:-1]
    late = found["tick"][(found["tick"] > settled[0] - RATE // 4) & (found["tick"] < settled[-1] + RATE // 4)]
    assert len(late) == len(settled)
    assert (np.abs(late - settled) < NEAR * RATE).all()


@pytest.mark.parametrize("lasts_s", [0.1, 0.14, 0.16])
@pytest.mark.parametrize("depth_mv", [1.0, 3.0])
def test_the_r_peak_of_a_deep_wide_complex_is_not_the_baseline_before_it(lasts_s: float, depth_mv: float) -> None:
    mv, peaks = ecg(60, 70, noise_mv=0.01)
    deep = peaks[20:-1:5]
    for r in deep:
        mv[r - 40 : r + 60] = 0.0
        mv[r : r + round(lasts_s * RATE)] = -depth_mv
    _, found = detect(mv)
    late = found["tick"][np.abs(found["tick"][:, None] - deep).argmin(axis=0)] - deep
    assert ((late >= 0) & (late < lasts_s * RATE)).all()


@pytest.mark.parametrize("t_mv", [2.0, 2.5, 3.0])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_the_r_peak_of_an_ectopic_beat_is_not_on_the_rise_of_its_t_wave(t_mv: float, sign: float) -> None:
    """As in record 203: a small R wave, a deep S wave, and a T wave whose rise is the steepest of all."""
    mv, peaks = ecg(60, 70, noise_mv=0.01)
    ectopic = peaks[20:-1:5]
    time = np.arange(-0.1, 0.6, 1 / RATE)
    waves = ((0.6, 0.0, 0.012), (-1.7, 0.07, 0.022), (t_mv, 0.23, 0.05))
    shape = sum(height * np.exp(-0.5 * ((time - at) / width) ** 2) for height, at, width in waves)
    for r in ectopic:
        begin = r - round(0.1 * RATE)
        mv[begin : begin + len(time)] = sign * np.asarray(shape)[:, None]
    _, found = detect(mv)
    late = found["tick"][np.abs(found["tick"][:, None] - ectopic).argmin(axis=0)] - ectopic
    assert ((late >= -2) & (late <= 0.1 * RATE)).all()


@pytest.mark.parametrize("ahead_ms", [48, 64, 80])
@pytest.mark.parametrize("spike_mv", [-4.0, -1.5, 1.5, 4.0])
@pytest.mark.parametrize("qrs_mv", [-0.5, 0.5])
def test_the_r_peak_is_not_a_pacing_spike(ahead_ms: int, spike_mv: float, qrs_mv: float) -> None:
    """A spike of one sample lies before a wide complex a third as high or less."""
    beats = np.arange(RATE, 40 * RATE, RATE)
    time = np.arange(41 * RATE) / RATE
    mv = np.zeros((len(time), 1))
    for beat in beats:
        mv[:, 0] += qrs_mv * np.exp(-0.5 * ((time - beat / RATE) / 0.025) ** 2)
    mv[beats - round(ahead_ms * RATE / 1000), 0] += spike_mv
    _, found = detect(mv)
    late = found["tick"][:, None] - beats[5:-1]
    nearest = np.abs(late).min(axis=0)
    assert (nearest <= 4).all()


@pytest.mark.parametrize("p_mv", [-0.1, -0.2, -0.3])
@pytest.mark.parametrize("pr_ms", [140, 180])
def test_the_r_peak_of_a_negative_complex_is_not_what_lies_between_it_and_its_p_wave(p_mv: float, pr_ms: int) -> None:
    """As in lead aVR: the line behind a negative P wave is no deflection upwards."""
    beats = np.arange(RATE, 40 * RATE, RATE)
    time = np.arange(41 * RATE) / RATE
    mv = np.zeros((len(time), 1))
    for beat in beats:
        mv[:, 0] -= 0.7 * np.exp(-0.5 * ((time - beat / RATE) / 0.012) ** 2)
        mv[:, 0] += p_mv * np.exp(-0.5 * ((time - beat / RATE + pr_ms / 1000) / 0.03) ** 2)
    _, found = detect(mv)
    nearest = np.abs(found["tick"][:, None] - beats[5:-1]).min(axis=0)
    assert (nearest <= 2).all()


@pytest.mark.parametrize("where", ["start", "middle", "end"])
@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_a_stretch_without_signal_has_no_beats_and_spoils_none(where: str, value: float) -> None:
    mv, peaks = ecg(45, 75)
    first = {"start": 0, "middle": 15 * RATE, "end": 30 * RATE}[where]
    silent = slice(first, first + 15 * RATE)
    mv[silent] = value
    _, found = detect(mv)
    inside = (found["tick"] > first + RATE // 4) & (found["tick"] < first + 15 * RATE - RATE // 4)
    assert not inside.any()
    outside = peaks[(peaks < first - RATE // 4) | (peaks > first + 19 * RATE)]
    assert (np.abs(found["tick"][:, None] - outside).min(axis=0) < NEAR * RATE).all()


def test_one_lead_serves_when_the_other_is_off_flat_or_noise() -> None:
    mv, peaks = ecg(60, 75)
    random = np.random.default_rng(1)
    mv[10 * RATE : 25 * RATE, 0] = np.nan
    mv[25 * RATE : 40 * RATE, 0] = 0.0
    mv[40 * RATE :, 0] += 0.3 * random.standard_normal(20 * RATE)
    _, found = detect(mv)
    settled = peaks[peaks > 3 * RATE]
    missed = (np.abs(found["tick"][:, None] - settled).min(axis=0) >= NEAR * RATE).sum()
    assert missed <= 3  # while the noise is learned
    assert len(found) <= len(peaks) + 3


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=25, deadline=None)
def test_whatever_comes_the_work_and_the_delay_are_bounded(seed: int) -> None:
    random = np.random.default_rng(seed)
    samples = random.integers(-32768, 32768, (random.integers(1, 5000), 2)).astype(np.int16)
    detector = Detector(RATE, random.uniform(1e-6, 1.0, 2))
    peaks, epochs = detector.update(samples)
    assert len(epochs) == len(samples) // 25
    assert (np.diff(peaks["tick"]) >= 20).all()
    delay = peaks["found"] - peaks["tick"]
    assert (delay >= 0).all()
    assert (delay <= qrs.MAX_SEARCH_DELAY).all()
    assert (delay[peaks["log_odds"] > qrs.WEAK_SCORE] <= qrs.MAX_DELAY).all()


def small_last_beat(beats_per_min: float, noise_mv: float, rest: int, size: float) -> Any:
    """R peaks found from the last of many beats on, where a small one follows and then `rest` samples of nothing."""
    mv, hearts = ecg(30, beats_per_min, noise_mv=noise_mv)
    beat = mv[hearts[-2] - 60 : hearts[-2] + 60]
    behind = np.random.default_rng(0).normal(0, noise_mv, (rest, mv.shape[1]))
    behind[40:160] += size * (beat - beat[0])
    _, peaks = detect(np.concatenate([mv[: hearts[-1] + 100], behind]))
    return peaks[peaks["tick"] > hearts[-1] + 50]


@pytest.mark.parametrize(("beats_per_min", "noise_mv"), [(50, 0.01), (70, 0.02)])
def test_a_last_beat_does_not_wait_for_ever(beats_per_min: float, noise_mv: float) -> None:
    """Nothing comes behind it for 13 s: some are so small that only the search back takes them, some are doubtful."""
    told = [small_last_beat(beats_per_min, noise_mv, 3600, size) for size in np.arange(0.1, 0.42, 0.02)]
    assert all(len(peaks) <= 1 for peaks in told)
    late = np.concatenate(told)
    delay, searched = late["found"] - late["tick"], late["log_odds"] < 0.0
    assert len(late) >= 10
    assert searched.sum() > 1
    assert (late["log_odds"][~searched] <= qrs.WEAK_SCORE).sum() > 2
    assert (delay[searched] <= qrs.MAX_SEARCH_DELAY).all()
    assert (delay[~searched] <= qrs.MAX_DELAY).all()


@given(hz=st.floats(1.0, 24.0), uv=st.integers(50, 3000))
@example(hz=3.5, uv=3000)
@example(hz=3.8, uv=650)
@example(hz=16.0, uv=300)
@example(hz=21.3, uv=1500)
@settings(max_examples=25, deadline=None)
def test_waves_that_swell_are_not_told_when_their_signal_is_gone(hz: float, uv: int) -> None:
    """Each is doubtful and outdone by the next, before there are beats to say when one is overdue."""
    time = np.arange(12 * RATE)
    mv = 0.001 * np.linspace(1, uv, len(time)) * np.sin(2 * np.pi * hz / RATE * time)
    _, found = detect(np.stack([mv, mv], axis=1))
    assert (found["found"] - found["tick"] <= qrs.MAX_SEARCH_DELAY).all()


def test_only_the_past_is_used() -> None:
    mv, _ = ecg(20, 75, noise_mv=0.05)
    _, expected = detect(mv)
    for peak in expected[5::4]:
        found_at = int(peak["found"])
        changed = mv.copy()
        changed[found_at + 1 :] = np.random.default_rng(0).standard_normal(changed[found_at + 1 :].shape)
        _, again = detect(changed)
        np.testing.assert_array_equal(again[again["found"] <= found_at], expected[expected["found"] <= found_at])


def test_wrong_arguments_are_told() -> None:
    with pytest.raises(ValueError, match="100 to 1000 Hz"):
        Detector(50, [0.005])
    with pytest.raises(ValueError, match="leads"):
        Detector(250, [0.005] * 3)
    with pytest.raises(ValueError, match="infinite"):
        Detector(250, [np.inf, 0.005])
    with pytest.raises(ValueError, match="not a state"):
        Detector(250, [0.005]).restore(np.zeros(1))
    with pytest.raises(ValueError, match="at 100 Hz: this one takes 1000 Hz"):  # it would be given more than it takes
        Detector(1000, [0.005]).restore(Detector(100, [0.005]).state())


def test_the_baseline_of_a_heart_that_stands_still_has_no_beats() -> None:
    mv, peaks = ecg(60, 75, noise_mv=0.01)
    random = np.random.default_rng(2)
    still = slice(30 * RATE, None)
    drift = np.cumsum(random.standard_normal(30 * RATE)) * 0.002
    mv[still] = 0.01 * random.standard_normal((30 * RATE, 2)) + drift[:, None]
    _, found = detect(mv)
    assert (found["tick"] < 30 * RATE + RATE // 4).all()
    assert len(found) >= len(peaks[peaks < 30 * RATE]) - 1
