"""The probability of fibrillation: what must fire, what must not, and that nothing depends on gain, lead or start."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detector import fibrillation, vf_measures
from detector.detector import Detector
from detector.jit import kernel
from detector.scratch import CARRIED_TICKS, new_scratch
from detector.types import EPOCH, LEADS, RATE
from tests.detector.hearts import counts

Signal = npt.NDArray[np.int64]
SECONDS = 20
WHOLE = np.empty(0, np.int64)  # cut at epochs alone


@kernel
def run(
    state: npt.NDArray[np.void],
    uv: Signal,
    valid: npt.NDArray[np.bool_],
    cuts: npt.NDArray[np.int64],
    out: npt.NDArray[np.float64],
    scratch: Any,
    regular: float,
) -> None:
    """Run it over stretches that end at `cuts` and at epochs; `out` at each tick, beats being so `regular`."""
    tick = turn = 0
    while tick < len(uv):
        end = min(tick - tick % EPOCH + EPOCH, len(uv))
        if turn < len(cuts) and cuts[turn] <= end:
            end = cuts[turn]
            turn += 1
        if end == tick:
            continue
        for lead in range(LEADS):
            for i in range(max(-tick, -CARRIED_TICKS), end - tick):
                scratch.lead[lead].uv[CARRIED_TICKS + i] = uv[tick + i, lead]
            for i in range(end - tick):
                scratch.lead[lead].valid[i] = valid[tick + i, lead]
        fibrillation.take(state[0], tick, end - tick, scratch, 0)
        out[tick:end] = fibrillation.probability(fibrillation.judge(state[0]), regular)
        out[tick : end - 1] = out[tick - 1] if tick > 0 else fibrillation.UNKNOWN_PROBABILITY
        tick = end


def probability(
    *leads: Signal, lost: npt.NDArray[np.bool_] | None = None, cuts: list[int] | None = None, regular: float = 0.0
) -> npt.NDArray[np.float64]:
    """At each tick; leads not given, and ticks `lost`, are unreadable; cut at epochs and at `cuts`."""
    n = len(leads[0])
    uv, valid, out = np.zeros((n, LEADS), np.int64), np.zeros((n, LEADS), np.bool_), np.zeros(n)
    for lead, signal in enumerate(leads):
        uv[:, lead] = signal
        valid[:, lead] = True
    if lost is not None:
        valid[lost] = False
    state = np.zeros(1, fibrillation.FIBRILLATION)
    fibrillation.begin(state[0])
    run(state, uv, valid, WHOLE if cuts is None else np.array(cuts, np.int64), out, new_scratch()[0], regular)
    return out


def longest(looks: npt.NDArray[np.bool_]) -> float:
    """Longest stretch, s."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], looks.astype(int), [0]])))
    return float((edges[1::2] - edges[::2]).max(initial=0)) / RATE


def fibrillating(seed: int = 0, size_uv: float = 600.0) -> Signal:
    """A wave whose rate wanders about 4.5 Hz and whose size waxes and wanes."""
    rng = np.random.default_rng(seed)
    t = np.arange(SECONDS * RATE) / RATE
    wander = np.interp(t, np.arange(0, SECONDS + 1, 0.7), rng.normal(4.5, 0.4, len(np.arange(0, SECONDS + 1, 0.7))))
    size = np.interp(t, np.arange(0, SECONDS + 1, 0.9), rng.uniform(0.5, 1.0, len(np.arange(0, SECONDS + 1, 0.9))))
    return np.rint(size_uv * size * np.sin(2 * np.pi * np.cumsum(wander) / RATE)).astype(np.int64)


def beating(bpm: float, width_ms: float, height_uv: float = 1000.0) -> Signal:
    """Complexes as humps with a slow T wave behind each."""
    t = np.arange(SECONDS * RATE) / RATE
    out = np.zeros(len(t))
    for at in np.arange(0.3, SECONDS, 60.0 / bpm):
        out += height_uv * np.exp(-(((t - at) / (width_ms / 2500)) ** 2))
        out += 0.2 * height_uv * np.exp(-(((t - at - 0.25) / 0.05) ** 2))
    return np.rint(out).astype(np.int64)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(300.0, 1500.0))
def test_fibrillation_is_seen_in_one_lead_or_two(seed: int, size: float) -> None:
    one = fibrillating(seed, size)
    assert probability(one)[8 * RATE :].mean() > 0.8
    assert probability(one, -one // 2)[8 * RATE :].mean() > 0.8


#: Rate and width in ms of beats that are no fibrillation for themselves. Slower ones may look so for seconds, and
#: faster broad ones are waves: there the beats found have to speak.
ORGANISED = st.one_of(
    st.tuples(st.floats(46.0, 105.0), st.floats(60.0, 130.0)),
    st.tuples(st.floats(105.0, 140.0), st.floats(60.0, 100.0)),
)


@settings(max_examples=20, deadline=None)
@given(beats=ORGANISED, height=st.floats(200.0, 3000.0))
def test_organised_beats_are_not_fibrillation(beats: tuple[float, float], height: float) -> None:
    assert probability(beating(*beats, height)).max() < 0.5


@settings(max_examples=20, deadline=None)
@given(bpm=st.floats(36.0, 46.0), width_ms=st.floats(60.0, 130.0), height=st.floats(500.0, 3000.0))
def test_slow_beats_are_not_fibrillation_once_they_speak(bpm: float, width_ms: float, height: float) -> None:
    slow = beating(bpm, width_ms, height)[:, None] / 1000.0
    assert Detector(RATE, (0.005, 0.005)).update(counts(slow * [1.0, 1.0]))[1]["vf"].max() < 0.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.floats(1.0, 300.0))
def test_white_noise_is_not_fibrillation(seed: int, size: float) -> None:
    noise = np.random.default_rng(seed).normal(0.0, size, SECONDS * RATE).astype(np.int64)
    assert longest(probability(noise) >= 0.5) < 3.0


def test_paced_beats_are_not_fibrillation() -> None:
    paced = beating(70, 180)
    paced[np.arange(RATE // 4, len(paced), RATE * 60 // 70)] += 3000
    assert probability(paced).max() < 0.5


@pytest.mark.parametrize("spike", [500, 1000, 1500])
def test_fibrillation_under_a_pacemakers_spikes_is_told_though_they_are_regular(spike: int) -> None:
    signal = fibrillating(3)
    signal[:: 60 * RATE // 70] += spike
    assert (probability(signal, regular=8.0)[8 * RATE :] >= 0.5).mean() > 0.9


@pytest.mark.parametrize("level", [0, 12_000])
def test_a_flat_line_is_not_fibrillation(level: int) -> None:
    assert probability(np.full(SECONDS * RATE, level)).max() == 0.0


def test_fibrillation_too_small_to_tell_from_noise_is_left_to_asystole() -> None:
    assert probability(fibrillating(size_uv=25)).max() < 0.5


def test_beats_in_one_lead_outweigh_an_artefact_in_the_other() -> None:
    assert probability(fibrillating(), beating(80, 90)).max() < 0.5


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), first=st.integers(0, SECONDS * RATE), size=st.integers(4_000, 400_000))
def test_a_shock_does_not_make_fibrillation_look_like_rest(seed: int, first: int, size: int) -> None:
    signal = fibrillating(seed)
    signal[first : first + RATE // 5] += size
    state = np.zeros(1, fibrillation.FIBRILLATION)
    fibrillation.begin(state[0])
    both, valid = np.stack([signal, signal], axis=1), np.ones((len(signal), LEADS), np.bool_)
    run(state, both, valid, WHOLE, np.zeros(len(signal)), new_scratch()[0], 0.0)
    assert not fibrillation.rests(state[0]["lead"][0], (int(state[0]["half"]) - 1) % fibrillation.HALVES)


def test_a_lost_lead_says_nothing_and_leaves_the_word_to_the_other() -> None:
    lost = np.zeros(SECONDS * RATE, np.bool_)
    lost[10 * RATE : 12 * RATE] = True
    out = probability(fibrillating(), lost=lost)
    assert out[11 * RATE] == fibrillation.UNKNOWN_PROBABILITY
    assert out[9 * RATE] > 0.5
    assert probability(fibrillating(), fibrillating(1))[11 * RATE] > 0.5


def test_it_is_silent_before_a_window_is_full() -> None:
    out = probability(fibrillating())
    assert (out[: 5 * RATE - 1] == fibrillation.UNKNOWN_PROBABILITY).all()
    assert out[6 * RATE] > 0.5


@settings(max_examples=15, deadline=None)
@given(offset=st.integers(-50_000, 50_000), seed=st.integers(0, 100))
def test_the_baseline_does_not_matter(offset: int, seed: int) -> None:
    signal = fibrillating(seed)
    np.testing.assert_array_equal(probability(signal), probability(signal + offset))


def strange(seed: int) -> tuple[Signal, npt.NDArray[np.bool_]]:
    """Fibrillation, beats and steps in turn, and ticks in which the lead is lost."""
    rng = np.random.default_rng(seed)
    parts = [fibrillating(seed), beating(70, 90), np.full(SECONDS * RATE, 3000), 40_000 - fibrillating(seed + 1)]
    turns = np.repeat(rng.integers(0, len(parts), SECONDS * 2), RATE // 2)
    lost = np.repeat(rng.random(SECONDS * 10) < 0.06, EPOCH) ^ (rng.random(SECONDS * RATE) < 0.03)
    return np.choose(turns, parts), lost


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), steps=st.lists(st.integers(1, 25), min_size=1, max_size=40))
def test_the_cutting_does_not_matter(seed: int, steps: list[int]) -> None:
    signal, lost = strange(seed)
    cuts = np.cumsum(np.resize(steps, SECONDS * RATE))
    cut = probability(signal, -signal, lost=lost, cuts=cuts[cuts < len(signal)].tolist())
    np.testing.assert_array_equal(cut, probability(signal, -signal, lost=lost))


def rests_plainly(signal: Signal) -> bool:
    """What `fibrillation.rests` says after whole half seconds, plainly."""
    samples = signal.reshape(-1, vf_measures.STEP).sum(axis=1)
    moves = np.abs(np.diff(samples, prepend=samples[0])).reshape(-1, EPOCH // vf_measures.STEP).sum(axis=1)
    epochs = np.arange(len(moves))[-fibrillation.WINDOW_EPOCHS :]
    peak = sorted(moves[epochs[epochs // 10 % 5 == second]].max() for second in range(5))[1]
    resting = moves[epochs] * vf_measures.REST < peak
    late = resting[-fibrillation.LATE * fibrillation.HALF :]
    enough = bool(resting.sum() > fibrillation.REST_MOST or late.sum() > fibrillation.LATE_MOST)
    return bool(peak >= fibrillation.MOVES_UV * vf_measures.STEP) and enough


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), halves=st.integers(10, 2 * SECONDS), gain=st.sampled_from([-1, 1, 3]))
def test_rest_is_what_its_plain_twin_says(seed: int, halves: int, gain: int) -> None:
    signal = gain * strange(seed)[0][: halves * fibrillation.EVERY]
    state = np.zeros(1, fibrillation.FIBRILLATION)
    fibrillation.begin(state[0])
    both, valid = np.stack([signal, signal], axis=1), np.ones((len(signal), LEADS), np.bool_)
    run(state, both, valid, WHOLE, np.zeros(len(signal)), new_scratch()[0], 0.0)
    assert fibrillation.rests(state[0]["lead"][0], (halves - 1) % fibrillation.HALVES) == rests_plainly(signal)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), tick=st.integers(1, SECONDS * RATE // EPOCH - 1))
def test_a_restored_state_goes_on_as_if_nothing_had_been(seed: int, tick: int) -> None:
    signal, lost = strange(seed)
    uv, valid = np.stack([signal, -signal], axis=1), np.stack([~lost, ~lost], axis=1)
    state = np.zeros(1, fibrillation.FIBRILLATION)
    fibrillation.begin(state[0])
    out = np.zeros(len(signal))
    middle = tick * EPOCH
    run(state, uv[:middle], valid[:middle], WHOLE, out[:middle], new_scratch()[0], 0.0)
    kept = state.copy()
    run(kept, uv[middle:], valid[middle:], WHOLE, out[middle:], new_scratch()[0], 0.0)
    whole = probability(signal, -signal, lost=lost)
    np.testing.assert_array_equal(out[middle + EPOCH - 1 :: EPOCH], whole[middle + EPOCH - 1 :: EPOCH])


def test_leads_are_equals() -> None:
    a, b = fibrillating(1), fibrillating(2, 400.0)
    np.testing.assert_array_equal(probability(a, b), probability(b, a))


def test_a_new_start_forgets() -> None:
    state = np.zeros(1, fibrillation.FIBRILLATION)
    fibrillation.begin(state[0])
    uv = np.stack([fibrillating(), fibrillating()], axis=1)
    out = np.zeros(len(uv))
    run(state, uv, np.ones((len(uv), LEADS), np.bool_), WHOLE, out, new_scratch()[0], 0.0)
    assert out[-1] > 0.5
    fibrillation.begin(state[0])
    assert fibrillation.judge(state[0]) == fibrillation.UNKNOWN_LOG_ODDS


def measured(y: npt.NDArray[np.float64]) -> Any:
    """A place to work in that holds this window."""
    wave = np.full(1, 7, vf_measures.WAVE)[0]
    wave["y"] = np.rint(y)
    return wave


@pytest.mark.parametrize(("hz", "seconds"), [(3.0, 0.333), (5.0, 0.2)])
def test_period_finds_the_wave(hz: float, seconds: float) -> None:
    t = np.arange(vf_measures.WINDOW) / vf_measures.RATE_OUT
    wave = measured(1e5 * np.sin(2 * np.pi * hz * t))
    assert vf_measures.period(wave) == pytest.approx(seconds, abs=0.02)
    assert vf_measures.leakage(wave["y"]) < 0.25


def test_quiet_is_the_share_of_rest() -> None:
    spikes = np.zeros(vf_measures.WINDOW)
    spikes[::50] = 10_000
    wave = measured(spikes)
    assert vf_measures.quiet(wave) > 0.8
    assert vf_measures.leakage(wave["y"]) > 0.9
