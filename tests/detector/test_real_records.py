"""What must hold on every signal: on real recordings of every database at hand, with noise mixed in, and on made ones.

A seeded stretch of each record, or with `--every-record` all of each. Only the detector's public verbs are used, so
the tests outlive a new inside. What the detector promises in figures (delay, refractory, recovery) stands here as a
constant: a change that needs another one changes the contract.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest

from detector import candidate, qrs
from detector.detector import Detector
from detector.fibrillation import UNKNOWN_PROBABILITY
from detector.types import EPOCH, NOISY, RATE
from tests.detector.recordings import (
    INVALID,
    LARGEST,
    DetectorRun,
    Strip,
    differing,
    each_source,
    known,
    needed,
    said,
    strips,
)

LEAST_APART: Final = 20  # ticks between two R peaks: no beat is told twice (80 ms)
CROWDED: Final = 49  # ticks: no more beats than one in so many, whatever the signal (306 a minute)
MOST_DELAY: Final = qrs.MAX_SEARCH_DELAY  # ticks from an R peak to its decision, of a search back too
USUAL_DELAY: Final = 55  # ticks for at least half the beats of any source (220 ms)
NEAR: Final = 13  # ticks between two placings of one beat (50 ms)
ALIKE: Final = 0.97  # F1 between two gains, all beats of a source together
RECOVERY_S: Final = 4.0  # after a stretch without signal, until beats are found as if there had been none
RECOVERED: Final = 0.93  # share of the later beats, all records of a source together, found all the same
EDGE: Final = RATE // 4  # ticks at either end of that stretch in which its step may pass for a beat
SHORT_S, LONG_S = 5.0, 12.0  # stretches without signal: bridged, and so long that leads are learned anew (10 s)
RAIL_MV: Final = 5.0
STEPS: Final = ("input.past", "input.mv_per_bit")  # what is known in the steps of the device

#: In fibrillation there are no beats to agree on, and its waves are as high as the least QRS complex; in mixes down to
#: -6 dB what passes for a beat, or for its QRS behind it, hangs on what has been learned before.
FIBRILLATING: Final = {"vfdb": 0.88, "cudb": 0.94, "nstdb": 0.9}
RECOVERED_IN: Final = {"nstdb": 0.86, "vfdb": 0.92, "cudb": 0.92}

pytestmark = each_source


@pytest.fixture
def some(source: str, request: pytest.FixtureRequest) -> list[Strip]:
    return list(strips(source, every=request.config.getoption("--every-record")))


def test_neither_cuts_nor_calls_matter(some: list[Strip]) -> None:
    for strip in some:
        random = np.random.default_rng(strip.seed)
        assert len(strip.whole.epochs) == ticks(strip) // EPOCH, strip.name
        cuts = np.exp(random.uniform(0.0, np.log(1000.5), 50)).astype(int).tolist()  # as many below 32 as above
        agree(strip, said(strip, cuts), strip.whole)


def test_a_restored_detector_goes_on_as_if_nothing_had_happened(some: list[Strip]) -> None:
    """It is restored from bytes, into a detector that has seen something else."""
    for strip in some:
        random = np.random.default_rng(strip.seed)
        lost = np.flatnonzero((strip.samples == INVALID).all(axis=1))
        for cut in [*random.integers(1, len(strip.samples), 3), *random.permutation(lost)[:2]]:
            first, second = strip.detector(), strip.detector()
            before = said(strip.of(strip.samples[:cut]), detector=first)
            second.update(strip.samples[::-1][: len(strip.samples) // 4])
            kept = first.state()
            second.restore(np.frombuffer(kept.tobytes(), kept.dtype).copy())
            assert not differing(known(second), before.state), strip.name
            after = said(strip.of(strip.samples[cut:]), detector=second)
            peaks = np.concatenate([before.peaks, after.peaks])
            epochs = np.concatenate([before.epochs, after.epochs])
            agree(strip, DetectorRun(peaks, epochs, after.state), strip.whole)


def test_what_is_decided_needs_nothing_later(some: list[Strip]) -> None:
    """A peak comes with the last sample of the tick it says it was found at, whatever comes after it."""
    for strip in some:
        random = np.random.default_rng(strip.seed)
        if not len(strip.whole.peaks):
            continue
        latest = int(np.argmax(strip.whole.peaks["found"] - strip.whole.peaks["tick"]))
        for number in {latest, *random.integers(0, len(strip.whole.peaks), 2).tolist()}:
            found = int(strip.whole.peaks["found"][number])
            count = needed(found, strip.rate_hz)
            until = strip.whole.until(found)
            assert said(strip.of(strip.samples[:count])).until(found) == until, (strip.name, found)
            other = strip.samples.copy()
            other[count:] = random.integers(-LARGEST, LARGEST, other[count:].shape)
            assert said(strip.of(other)).until(found) == until, (strip.name, found)


def test_beats_come_in_order_apart_and_in_time(some: list[Strip], source: str) -> None:
    delays: list[npt.NDArray[Any]] = []
    for strip in some:
        apart_and_in_time(strip)
        delays.append(strip.whole.peaks["found"] - strip.whole.peaks["tick"])
    assert np.median(np.concatenate(delays)) <= USUAL_DELAY, source


def test_the_gain_does_not_matter(some: list[Strip], source: str) -> None:
    """Signals of twice and half the size have nearly the same beats; the same size in other steps the very same."""
    agreed = told = 0
    for strip in some:
        readings = strip.samples[strip.samples != INVALID].astype(np.int64)
        double = np.abs(readings).max(initial=0) * 2 <= LARGEST
        for gain in (2.0, 0.5) if double else (0.5,):
            other = said(strip.of(resized(strip.samples, gain)))
            agreed += 2 * common(strip.whole, other)
            told += len(strip.whole.peaks) + len(other.peaks)
        if double:
            finer = Detector(strip.rate_hz, strip.mv_per_bit / 2, INVALID)
            agree(strip, said(strip.of(resized(strip.samples, 2.0)), detector=finer), strip.whole, but=STEPS)
    assert agreed >= FIBRILLATING.get(source, ALIKE) * told, source


def test_a_stretch_without_signal_has_no_beats_and_is_got_over(some: list[Strip], source: str) -> None:
    found = later = 0
    for strip, kind, where in losses(some):
        spliced, begin, end = without_signal(strip, kind, where, SHORT_S)
        silence_is_silent(spliced, begin, end)
        shared, after = got_over(strip, spliced, end)
        found, later = found + shared, later + after
    assert found >= RECOVERED_IN.get(source, RECOVERED) * later, source


def test_a_long_stretch_without_signal_is_got_over_too(some: list[Strip], source: str) -> None:
    """The leads were lost for so long that they are learned anew; where it doubts all it says, beats need not agree."""
    found = later = 0
    deaf = []
    for strip, kind, _ in losses([s for s in some if len(s.samples) > (LONG_S + 2 * RECOVERY_S) * s.rate_hz]):
        spliced, begin, end = without_signal(strip, kind, "middle", LONG_S)
        silence_is_silent(spliced, begin, end)
        shared, after = got_over(strip, spliced, end)
        found, later = found + shared, later + after
        behind = spliced.whole.epochs["tick"] > (end / strip.rate_hz + RECOVERY_S) * RATE
        if after > 3 and not shared and not (behind.any() and spliced.whole.epochs["doubtful"][behind].all()):
            deaf.append(f"{strip.name} {kind}")
    assert not deaf
    assert found >= RECOVERED_IN.get(source, RECOVERED) * later, source


# --- what the tests are made of ----------------------------------------------------------------------------------


def ticks(strip: Strip) -> int:
    """Ticks that a strip completes."""
    rate = round(strip.rate_hz * 1000)
    count = max(int(len(strip.samples) * 250_000 / rate) - 3, 0)
    while needed(count, strip.rate_hz) <= len(strip.samples):
        count += 1
    return count


def agree(strip: Strip, one: DetectorRun, other: DetectorRun, but: tuple[str, ...] = ()) -> None:
    """The same to the last bit, `but` for these parts of the state."""
    np.testing.assert_array_equal(one.peaks, other.peaks, strip.name)
    np.testing.assert_array_equal(one.epochs, other.epochs, strip.name)
    assert not set(differing(one.state, other.state)) - set(but), strip.name


def apart_and_in_time(strip: Strip) -> None:
    """Order, distance, number and delay of the beats of any signal."""
    whole = strip.whole
    peaks = whole.peaks
    delay = peaks["found"] - peaks["tick"]
    assert (np.diff(peaks["found"]) > 0).all(), strip.name
    assert (np.diff(peaks["tick"]) >= LEAST_APART).all(), strip.name
    assert len(peaks) <= ticks(strip) // CROWDED + 1, strip.name
    assert (peaks["tick"] >= 0).all(), strip.name
    assert (delay >= 0).all(), strip.name
    assert (delay <= MOST_DELAY).all(), (strip.name, delay.max())
    assert np.isfinite(peaks["log_odds"]).all(), strip.name
    assert (peaks["log_odds"] >= -candidate.SEARCHED).all(), strip.name
    np.testing.assert_array_equal(strip.whole.epochs["tick"], np.arange(EPOCH - 1, ticks(strip), EPOCH), strip.name)
    vf = strip.whole.epochs["vf"]
    assert ((vf == UNKNOWN_PROBABILITY) | ((vf >= 0) & (vf <= 1))).all(), strip.name


def resized(samples: npt.NDArray[np.int16], gain: float) -> npt.NDArray[np.int16]:
    """The samples times a gain; what is no reading stays so."""
    return np.where(samples == INVALID, np.int16(INVALID), np.rint(samples * gain).astype(np.int16))


def common(one: DetectorRun, other: DetectorRun, after: float = 0.0) -> int:
    """How many beats of one behind a tick the other has too."""
    wanted, there = one.peaks["tick"][one.peaks["tick"] > after], other.peaks["tick"]
    if not len(there):
        return 0
    at = np.searchsorted(there, wanted)
    before, behind = there[np.maximum(at - 1, 0)], there[np.minimum(at, len(there) - 1)]
    return int((np.minimum(np.abs(wanted - before), np.abs(behind - wanted)) <= NEAR).sum())


def losses(some: list[Strip]) -> Iterator[tuple[Strip, str, str]]:
    """Each strip with a kind of loss and a place for it, in turn; few strips with all of them."""
    ways = [(kind, where) for kind in ("flat", "held", "none", "rail") for where in ("start", "middle", "end")]
    for number, strip in enumerate(some):
        for kind, where in ways if len(some) <= len(ways) else [ways[(number * 5) % len(ways)]]:
            yield strip, kind, where


def without_signal(strip: Strip, kind: str, where: str, seconds: float) -> tuple[Strip, int, int]:
    """A strip that has lost its signal for a third of its length at most, from one sample to another.

    `flat` is 0 mV, `held` the last reading again and again, `none` no reading, `rail` an amplifier at its end.
    """
    length = min(int(seconds * strip.rate_hz), len(strip.samples) // 3)
    first = {"start": 0, "middle": (len(strip.samples) - length) // 2, "end": len(strip.samples) - length}[where]
    samples = strip.samples.copy()
    rail = np.minimum(np.rint(RAIL_MV / strip.mv_per_bit), LARGEST).astype(np.int16)
    samples[first : first + length] = {
        "flat": 0,
        "held": samples[max(first - 1, 0)],
        "none": INVALID,
        "rail": rail,
    }[kind]
    return strip.of(samples), first, first + length


def silence_is_silent(strip: Strip, begin: int, end: int) -> None:
    """No beat from one sample to another, and no good lead in it either."""
    first, last = begin * RATE / strip.rate_hz, end * RATE / strip.rate_hz
    heard = strip.whole
    inside = (heard.peaks["tick"] > first + EDGE) & (heard.peaks["tick"] < last - EDGE)
    assert not inside.any(), (strip.name, heard.peaks["tick"][inside] / RATE)
    epochs = heard.epochs[(heard.epochs["tick"] > first + RATE + 2 * EPOCH) & (heard.epochs["tick"] < last - 3)]
    assert (epochs["lead"][:, : len(strip.mv_per_bit)] > NOISY).all(), strip.name


def got_over(strip: Strip, spliced: Strip, end: int) -> tuple[int, int]:
    """Beats behind the stretch without signal and its recovery: how many were found all the same, and how many are."""
    after = (end / strip.rate_hz + RECOVERY_S) * RATE
    return common(strip.whole, spliced.whole, after), int((strip.whole.peaks["tick"] > after).sum())
