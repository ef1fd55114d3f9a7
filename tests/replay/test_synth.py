"""The heart's model: waves, intervals, noise."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.integrate
import scipy.signal
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from replay import synth, synth_noise, synth_rhythm
from replay.synth import Activation, Floats

RATE = 500.0
seeds = st.integers(0, 2**31 - 1)
some = settings(max_examples=40, deadline=None)
few = settings(max_examples=15, deadline=None)


def patient_waves(seed: int) -> dict[str, synth.Wave]:
    rotation, gain = synth.anatomy(np.random.default_rng(seed))
    return {name: wave.turned(rotation, gain) for name, wave in synth.WAVES.items()}


def qrs_width(wave: synth.Wave) -> float:
    """Seconds during which the dipole's QRS moves faster than a twentieth of its fastest."""
    qrs = (wave.stretch == synth.FIXED) & (wave.width > 0.003)
    only = synth.Wave(wave.centre[qrs], wave.width[qrs], wave.dipole[qrs], wave.stretch[qrs])
    seconds = np.arange(-0.2, 0.2, 0.0005)
    speed = np.linalg.norm(np.gradient(only.at(seconds), axis=0), axis=1)
    moving = seconds[speed > speed.max() / 20]
    return float(moving[-1] - moving[0])


@few
@given(st.sampled_from(sorted(synth.WAVES)), st.floats(0.3, 1.5))
def test_the_closed_form_solves_the_dynamical_model(name: str, rr: float) -> None:
    # McSharry's limit cycle and Sameni's dipole, with kernels in phase: θ = 2π t / RR.
    wave = synth.WAVES[name]
    centre, width = (2 * math.pi / rr * x for x in wave.scaled(rr))
    omega = 2 * math.pi / rr

    def slope(_: float, state: Floats) -> Floats:
        x, y = state[:2]
        radius = 1 - math.hypot(x, y)
        offset = math.atan2(y, x) - centre
        kernels = omega / width**2 * offset * np.exp(-(offset**2) / (2 * width**2))
        return np.concatenate(([radius * x - omega * y, radius * y + omega * x], -kernels @ wave.dipole))

    seconds = np.linspace(-0.45 * rr, 0.45 * rr, 150)
    phase = omega * seconds[0]
    start = [math.cos(phase), math.sin(phase), *wave.at(seconds[:1], rr)[0]]
    span = (seconds[0], seconds[-1])
    solved = scipy.integrate.solve_ivp(slope, span, start, t_eval=seconds, rtol=1e-7, atol=1e-8, max_step=0.002)
    np.testing.assert_allclose(solved.y[2:].T, wave.at(seconds, rr), atol=2e-4)


@some
@given(seeds, st.sampled_from(sorted(synth.WAVES)))
def test_limb_leads_obey_einthoven_and_goldberger(seed: int, name: str) -> None:
    dipole = patient_waves(seed)[name].at(np.arange(-0.2, 0.6, 0.01))
    one, two, three, avr, avl, avf, *_ = (dipole @ synth.projection(synth.LEADS).T).T
    np.testing.assert_allclose(three, two - one, atol=1e-12)
    np.testing.assert_allclose(avr + avl + avf, 0, atol=1e-12)


@some
@given(seeds)
def test_every_patients_complexes_look_like_a_hearts(seed: int) -> None:
    waves = patient_waves(seed)
    two = synth.projection(["II"])[0]
    seconds = np.arange(-0.3, 0.6, 0.001)
    normal, p = waves["normal"].at(seconds) @ two, waves["sinus_p"].at(seconds) @ two
    assert 0.4 < np.ptp(normal[np.abs(seconds) < 0.06]) < 3.0
    assert 0.05 < p.max() < 0.3
    assert 0.07 < qrs_width(waves["normal"]) < 0.12
    for name in ("focus1", "focus2", "focus3", "paced"):
        assert 0.12 < qrs_width(waves[name]) < 0.20
    largest = [
        np.ptp(waves[f].at(seconds) @ synth.projection(synth.LEADS).T, axis=0).max() for f in ("focus1", "focus2")
    ]
    assert min(largest) > 1.0


@pytest.mark.parametrize("focus", ["focus1", "focus2", "focus3", "paced"])
def test_the_t_wave_of_a_wide_beat_is_against_it(focus: str) -> None:
    wave = synth.WAVES[focus]
    qrs = wave.dipole[np.argmax(np.linalg.norm(wave.dipole * (wave.stretch == synth.FIXED)[:, None], axis=1))]
    t = wave.dipole[wave.stretch == synth.WITH_RATE].sum(axis=0)
    assert qrs @ t / np.linalg.norm(qrs) / np.linalg.norm(t) < -0.7


def test_a_faster_heart_keeps_its_qrs_and_hurries_its_t_wave() -> None:
    centre, width = synth.NORMAL.scaled(1.0)
    fast_centre, fast_width = synth.NORMAL.scaled(0.49)
    qrs = synth.NORMAL.stretch == synth.FIXED
    np.testing.assert_array_equal(fast_width[qrs], width[qrs])
    np.testing.assert_allclose(fast_centre[~qrs], 0.7 * centre[~qrs])


@some
@given(st.lists(st.tuples(st.floats(-1, 4), st.sampled_from(sorted(synth.WAVES))), max_size=5), st.data())
def test_drawing_adds_up_and_cuts_at_the_edges(events: list[tuple[float, str]], data: st.DataObject) -> None:
    activations = [Activation(time, wave) for time, wave in events]
    leads = synth.projection(["II", "V1"])
    whole, twice = np.zeros((1500, 2)), np.zeros((1500, 2))
    synth.draw(whole, RATE, activations, synth.WAVES, leads)
    cut = data.draw(st.integers(0, len(activations)))
    synth.draw(twice, RATE, activations[:cut], synth.WAVES, leads)
    synth.draw(twice, RATE, activations[cut:], synth.WAVES, leads)
    np.testing.assert_allclose(whole, twice, atol=1e-12)
    short = np.zeros((700, 2))
    synth.draw(short, RATE, activations, synth.WAVES, leads)
    np.testing.assert_allclose(short, whole[:700], atol=1e-12)


@some
@given(seeds, st.floats(40, 180), st.floats(8, 30))
def test_sinus_intervals_have_the_rate_asked_for_and_fill_the_time(seed: int, rate: float, breathing: float) -> None:
    assume(breathing < 0.4 * rate)  # one beat a breath cannot show the breath's course
    intervals = synth_rhythm.sinus(np.random.default_rng(seed), rate, 120, breathing)
    assert intervals.sum() >= 120
    assert 60 / intervals.mean() == pytest.approx(rate, rel=0.02)
    assert intervals.std() == pytest.approx(synth_rhythm.SDNN * (60 / rate) ** 1.5, rel=0.3)


@few
@given(seeds, st.sampled_from([12.0, 15.0, 18.0]))
def test_sinus_intervals_have_the_bimodal_spectrum(seed: int, breathing: float) -> None:
    intervals = synth_rhythm.sinus(np.random.default_rng(seed), 75, 600, breathing)
    times = np.cumsum(intervals)
    even = np.interp(np.arange(5, 595, 0.25), times, intervals)
    frequency, power = scipy.signal.welch(even, 4.0, nperseg=512)

    def band(centre: float) -> float:
        return float(power[np.abs(frequency - centre) < 0.035].sum())

    assert (band(synth_rhythm.LOW_HZ) + band(breathing / 60)) / power[frequency > 0.02].sum() > 0.85
    assert 0.2 < band(synth_rhythm.LOW_HZ) / band(breathing / 60) < 1.2


@some
@given(seeds, st.floats(50, 180))
def test_fibrillation_is_irregularly_irregular_at_the_rate_asked_for(seed: int, rate: float) -> None:
    intervals = synth_rhythm.fibrillation(np.random.default_rng(seed), rate, 300)
    assert intervals.sum() >= 300
    assert 60 / intervals.mean() == pytest.approx(rate, rel=0.08)
    assert 0.18 < intervals.std() / intervals.mean() < 0.36
    assert abs(np.corrcoef(intervals[1:], intervals[:-1])[0, 1]) < 0.3


@some
@given(seeds, st.floats(30, 300), st.floats(0, 0.03))
def test_steady_rhythms_vary_as_little_as_asked(seed: int, rate: float, variation: float) -> None:
    intervals = synth_rhythm.steady(np.random.default_rng(seed), rate, 60, variation)
    assert intervals.sum() >= 60
    assert 60 / intervals.mean() == pytest.approx(rate, rel=0.02)
    assert intervals.std() / intervals.mean() <= variation * 1.5 + 1e-9


@some
@given(seeds, st.sampled_from(["wander", "muscle", "electrode", "mains"]), st.integers(50, 4000), st.integers(1, 12))
def test_noise_has_unit_power_whatever_its_length(seed: int, kind: str, instants: int, leads: int) -> None:
    noise = synth_noise.noise(np.random.default_rng(seed), kind, instants, leads, RATE)
    assert noise.shape == (instants, leads)
    np.testing.assert_allclose(np.mean(noise**2, axis=0), 1, rtol=1e-6)


@pytest.mark.parametrize(
    ("kind", "low", "high"), [("wander", 0.03, 0.7), ("muscle", 15, 155), ("electrode", 0.05, 12), ("mains", 48, 52)]
)
def test_noise_lies_in_its_band(kind: str, low: float, high: float) -> None:
    noise = synth_noise.noise(np.random.default_rng(1), kind, 60000, 1, RATE)[:, 0]
    power = np.abs(np.fft.rfft(noise)) ** 2
    frequency = np.fft.rfftfreq(len(noise), 1 / RATE)
    assert power[(frequency >= low) & (frequency <= high)].sum() / power.sum() > 0.9


@few
@given(seeds, st.sampled_from(["coarse", "fine"]))
def test_fibrillating_ventricles_oscillate_at_3_to_8_hz_and_wax_and_wane(seed: int, grain: str) -> None:
    dipole = synth_noise.ventricular_fibrillation(np.random.default_rng(seed), 15000, RATE, grain)
    frequency, power = scipy.signal.welch(dipole[:, 1], RATE, nperseg=2048)
    assert 3 <= frequency[np.argmax(power)] <= 8
    assert power[(frequency >= 2) & (frequency <= 9)].sum() / power.sum() > 0.8
    pieces = dipole[:, 1].reshape(-1, 500).std(axis=1)
    assert pieces.std() / pieces.mean() > 0.15
    assert dipole.std() == pytest.approx(synth_noise.VF_MV[grain] * 0.5, rel=0.4)


@few
@given(seeds)
def test_f_waves_are_4_to_9_hz_and_a_tenth_of_a_millivolt(seed: int) -> None:
    v1 = synth_noise.atrial_fibrillation(np.random.default_rng(seed), 15000, RATE) @ synth.projection(["V1"])[0]
    frequency, power = scipy.signal.welch(v1, RATE, nperseg=2048)
    assert 4 <= frequency[np.argmax(power)] <= 9
    assert 0.03 < 2.8 * v1.std() < 0.4


@some
@given(seeds, st.integers(1000, 5000))
def test_a_lead_on_a_body_is_never_still(seed: int, instants: int) -> None:
    baseline = synth_noise.background(np.random.default_rng(seed), instants, 2, 250.0, 15.0)
    assert baseline.shape == (instants, 2)
    windows = np.lib.stride_tricks.sliding_window_view(baseline, 1000, axis=0)[::250]
    assert np.ptp(windows, axis=-1).min() > 0.03
    assert np.abs(baseline).max() < 0.5
