"""The detector as a whole: samples of one bed in, R peaks and epochs out."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector import doubt, fibrillation, pulses, qrs, qrs_state, quality, resample, simd
from detector.arrays import copy, copy_float32
from detector.envelope import STRIDE, microvolts
from detector.jit import hot
from detector.quality_epochs import judge_epochs, listen_to_flat
from detector.scratch import CARRIED_TICKS, new_scratch
from detector.simd import F32_LANES
from detector.types import (
    BEAT_QUEUE,
    EPOCH,
    EPOCH_QUEUE,
    EPOCH_STATE,
    FLAT,
    GOOD,
    INVALID,
    LEADS,
    NOISY,
    PEAK,
    RING,
    SIGNAL,
    Array,
    Row,
)

INT16: Final = np.iinfo(np.int16)
GONE: Final = 2 * RING  # ticks without a reading after which nothing of a lead's signal is left (8 s): 6 s are kept

#: The last ticks of a lead.
LAST = np.dtype(
    [
        ("uv", "f4", (CARRIED_TICKS,)),  # whole microvolts, the last reading held
        ("there", "u1", (CARRIED_TICKS,)),  # whether the tick has a reading
        ("same", "i8"),  # ticks in a row with a reading; below 0: without
        ("half", "u1"),  # whether the last tick may carry beats, should it be the first of a step
        ("state", "i1"),  # of the lead after the last epoch
        ("dead", "i8"),  # epochs since it last moved in which another lead did
    ],
    align=True,
)

#: Everything the detector knows of a bed. `peaks` and `epochs` hold what was found since they were last emptied.
DETECTOR = np.dtype(
    [
        ("input", resample.INPUT),
        ("signal", SIGNAL),
        ("quality", quality.QUALITY, (LEADS,)),
        ("pacing", pulses.PACING),
        ("qrs", qrs_state.QRS),
        ("doubt", doubt.DOUBT),
        ("fibrillation", fibrillation.FIBRILLATION),
        ("tick", "i8"),  # next tick to be looked at
        ("last", LAST, (LEADS,)),
        ("n_peaks", "i8"),
        ("n_epochs", "i8"),
        ("peaks", PEAK, (BEAT_QUEUE,)),
        ("epochs", EPOCH_STATE, (EPOCH_QUEUE,)),
    ],
    align=True,
)


@hot
def begin(state: Row, rate_mHz: int, origin: int) -> None:
    """Start at record sample `origin`; after a restart the ticks go on, everything else is learned anew."""
    whole = STRIDE * EPOCH  # epochs and steps begin here
    tick = (state.tick + whole - 1) // whole * whole
    resample.begin(state.input, rate_mHz, origin, tick)
    state.signal.mv[:] = np.nan
    state.signal.end = tick
    state.tick = tick
    pulses.begin(state.pacing, state.signal)
    qrs_state.begin(state.qrs)
    doubt.begin(state.doubt)
    fibrillation.begin(state.fibrillation)
    for lead in range(LEADS):
        quality.begin(state.quality[lead])
        state.last[lead].uv[:] = 0.0
        state.last[lead].there[:] = 0
        state.last[lead].same = 0
        state.last[lead].half = 0
        state.last[lead].state = GOOD
        state.last[lead].dead = 0
    state.n_peaks = 0
    state.n_epochs = 0


@hot
def update(state: Row, samples: Array, first: int, count: int, mv_per_bit: Array, invalid: int, scratch: Row) -> None:
    """Take at most one second of samples; R peaks and epochs are appended to the bed's queues.

    Parameters
    ----------
    state : DETECTOR
    samples : int16, shape (LEADS, instants)
        Of which the `count` from `first` on are taken.
    first, count : int
    mv_per_bit : float64, shape (LEADS,)
    invalid : int
        Sample value that stands for "no reading".
    scratch : detector.scratch.SCRATCH
        Room to work in.
    """
    ticks = resample.resample(state.input, samples, first, count, mv_per_bit, invalid, scratch)
    if ticks == 0:
        return
    for lead in range(LEADS):
        _take(state, scratch.lead[lead], lead, ticks)
    before = state.n_epochs
    _watch(state, scratch, ticks)
    origin = state.tick
    steps = (origin % STRIDE + ticks) // STRIDE
    pulses.take_out(state.pacing, state.signal, scratch, origin, ticks)
    for lead in range(LEADS):
        _pair(state.last[lead], scratch.lead[lead], origin % STRIDE, steps, ticks)
    state.tick += ticks
    state.signal.end = state.tick
    state.n_peaks = qrs.update(state.qrs, scratch, state.signal, origin // STRIDE, steps, state.peaks, state.n_peaks)
    doubt.follow(state.doubt, scratch, state.epochs, before, state.n_epochs)


@hot
def _take(state: Row, track: Row, lead: int, ticks: int) -> None:
    """Put a lead's ticks into the ring, and as whole microvolts after those of before."""
    ring, last = state.signal.mv[lead], state.last[lead]
    track.gone = track.blank == ticks and last.same <= -GONE
    if track.gone:
        track.uv[CARRIED_TICKS] = last.uv[CARRIED_TICKS - 1]
        return
    mv, uv = track.mv[:ticks], track.uv[CARRIED_TICKS : CARRIED_TICKS + ticks]
    if track.blank == ticks:
        mv[:] = np.nan
    at = state.tick & (RING - 1)
    before = min(ticks, RING - at)
    copy(mv[:before], ring[at:])
    copy(mv[before:], ring)
    copy_float32(last.uv, 0, CARRIED_TICKS, track.uv, 0)
    if track.blank == ticks:
        uv[:] = last.uv[CARRIED_TICKS - 1]
    else:
        _to_microvolts(mv, uv)
    if track.blank > 0 or last.same < CARRIED_TICKS:  # else there are readings all along, and nobody asks
        _mark(track, last, ticks)
    copy_float32(track.uv, ticks, CARRIED_TICKS, last.uv, 0)


@hot
def _mark(track: Row, last: Row, ticks: int) -> None:
    """Say which ticks of a lead have a reading, and hold the last one where there is none."""
    end = CARRIED_TICKS + ticks
    mv, uv, there = track.mv[:ticks], track.uv[CARRIED_TICKS:end], track.there[CARRIED_TICKS:end]
    copy(last.there, track.there)
    there[:] = 0 if track.blank == ticks else 1
    if 0 < track.blank < ticks:
        held = last.uv[CARRIED_TICKS - 1]
        for i in range(ticks):
            if np.isnan(mv[i]):
                there[i] = 0
                uv[i] = held
            held = uv[i]
    copy(track.there[ticks : ticks + CARRIED_TICKS], last.there)


@hot
def _to_microvolts(mv: Array, uv: Array) -> None:
    """Whole microvolts within what the filters take."""
    for i in range(len(mv)):
        uv[i] = microvolts(mv[i])


@hot
def _watch(state: Row, scratch: Row, ticks: int) -> None:
    """Judge the leads' quality and look for fibrillation: what is known when an epoch ends."""
    begun = state.tick % EPOCH
    ending = (begun + ticks) // EPOCH
    for lead in range(LEADS):
        judge_epochs(state, scratch.lead[lead], lead, begun, ticks)
    for i in range(ending):
        epoch = state.epochs[state.n_epochs + i]
        epoch.tick = state.tick - begun + (i + 1) * EPOCH - 1
        epoch.readable = 0
        for lead in range(LEADS):
            if epoch.lead[lead] <= NOISY or epoch.lead[lead] == FLAT:
                epoch.readable = 1
    done = told = 0
    while done < ticks:
        count = min(fibrillation.left(state.fibrillation, state.tick + done), ticks - done)
        while (told + 1) * EPOCH - begun < done + count:
            state.epochs[state.n_epochs + told].vf = fibrillation.judge(state.fibrillation)
            told += 1
        fibrillation.take(state.fibrillation, state.tick + done, count, scratch, done)
        done += count
    if told < ending:
        state.epochs[state.n_epochs + told].vf = fibrillation.judge(state.fibrillation)
    listen_to_flat(state, scratch, state.n_epochs, begun, ticks)
    state.n_epochs += ending
    for lead in range(LEADS):
        _count_same(state.last[lead], scratch.lead[lead], ticks)


@hot
def _count_same(last: Row, track: Row, ticks: int) -> None:
    """For how long there has been a reading, or none."""
    if track.blank == 0:
        last.same = max(last.same, 0) + ticks
    elif track.blank == ticks:
        last.same = min(last.same, 0) - ticks
    else:
        there = track.there[CARRIED_TICKS : CARRIED_TICKS + ticks]
        run = 1
        while there[ticks - 1 - run] == there[ticks - 1]:
            run += 1
        last.same = run if there[ticks - 1] else -run


@hot
def _pair(last: Row, track: Row, odd: int, steps: int, ticks: int) -> None:
    """Make steps of a lead's ticks, two of each; the first tick may be the second of a step."""
    x, uv, there, valid = track.work.x, track.uv, track.work.valid, track.valid
    track.uniform = track.gone
    if track.gone:
        there[:steps] = 0
        last.half = 0
        return
    for step in range(0, steps, F32_LANES):
        simd.store(x, 2 + step, simd.load_pair_sums(uv, CARRIED_TICKS - odd + 2 * step))
    if track.carries:
        there[odd:steps] = 1
        track.uniform = odd == 0 or last.half == 1
    else:
        whole, first = there[odd:steps], valid[odd:]
        for i in range(len(whole)):
            whole[i] = first[2 * i] & first[2 * i + 1]
    if odd and steps > 0:
        there[0] = valid[0] & last.half
    last.half = valid[ticks - 1]


@hot
def empty(state: Row) -> None:
    """Drop the queued peaks and epochs once they have been read."""
    state.n_peaks = 0
    state.n_epochs = 0


class Detector:
    """Online detector of one bed.

    Parameters
    ----------
    rate_hz : float
        Sampling rate, 100 to 1000 Hz.
    mv_per_bit : sequence of float
        Millivolts per step of each of one or two leads; NaN for a lead that is not there.
    invalid : int, optional
        Sample value that stands for "no reading"; of int16.

    Raises
    ------
    ValueError
        If one of them is out of its range.

    Examples
    --------
    >>> import numpy as np
    >>> detector = Detector(360.0, [0.005])
    >>> peaks, epochs = detector.update(np.zeros((360, 1), np.int16))
    >>> len(peaks), len(epochs)
    (0, 10)
    """

    def __init__(self, rate_hz: float, mv_per_bit: npt.ArrayLike, invalid: int = INVALID) -> None:
        given = np.atleast_1d(np.asarray(mv_per_bit, np.float64))
        if not 100.0 <= rate_hz <= 1000.0:
            raise ValueError(f"sampling rate {rate_hz} Hz: 100 to 1000 Hz are analysed")
        if not 1 <= len(given) <= LEADS:
            raise ValueError(f"{len(given)} leads: 1 to {LEADS} are analysed")
        if np.isinf(given).any():
            raise ValueError(f"{given} mV a step: no unit is infinite")
        if (given == 0.0).any():
            raise ValueError(f"{given} mV a step: no unit is 0; a lead that is not there has NaN")
        if not INT16.min <= invalid <= INT16.max:
            raise ValueError(f"invalid {invalid}: no sample of int16 has this value; leave it out if all are readings")
        self._leads = len(given)
        self._mv_per_bit = np.full(LEADS, np.nan)
        self._mv_per_bit[: self._leads] = given
        self._invalid = invalid
        self._chunk = int(rate_hz) // 2
        self._table = np.zeros(1, DETECTOR)
        self._scratch = new_scratch()
        begin(self._table[0], round(rate_hz * 1000), 0)

    def update(self, samples: npt.NDArray[np.int16]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """R peaks (`PEAK`) and epochs (`EPOCH_STATE`) that these samples complete.

        Parameters
        ----------
        samples : int16, shape (instants, leads)

        Raises
        ------
        ValueError
            If they are anything else: cast or broadcast silently, they would be another signal.
        """
        if not (isinstance(samples, np.ndarray) and samples.dtype == np.int16 and samples.shape[1:] == (self._leads,)):
            kind = f"{samples.dtype} {samples.shape}" if isinstance(samples, np.ndarray) else type(samples).__name__
            raise ValueError(
                f"samples are {kind}: an int16 array of shape (instants, {self._leads}) is analysed; "
                "make it of millivolts with `np.rint(mv / step).astype(np.int16)`"
            )
        row = self._table[0]
        full = np.full((LEADS, len(samples)), self._invalid, np.int16)
        full[: self._leads] = samples.T
        peaks = []
        epochs = []
        for first in range(0, len(samples), self._chunk):
            count = min(self._chunk, len(samples) - first)
            update(row, full, first, count, self._mv_per_bit, self._invalid, self._scratch[0])
            peaks.append(row["peaks"][: row["n_peaks"]].copy())
            epochs.append(row["epochs"][: row["n_epochs"]].copy())
            empty(row)
        return (
            np.concatenate(peaks) if peaks else np.empty(0, PEAK),
            np.concatenate(epochs) if epochs else np.empty(0, EPOCH_STATE),
        )

    @property
    def signal(self) -> Any:
        """The `SIGNAL` record: the last seconds at `detector.types.RATE`, a view."""
        return self._table[0]["signal"]

    def sample_of(self, tick: int) -> int:
        """The record's sample nearest to a tick."""
        return resample.sample_of(self._table[0]["input"], tick)

    def state(self) -> npt.NDArray[Any]:
        """A copy of everything the detector knows, shape (1,), `DETECTOR`."""
        return self._table.copy()

    def restore(self, state: npt.NDArray[Any]) -> None:
        """Go on from a `state`.

        Raises
        ------
        ValueError
            It is no state of a detector, or of one at another sampling rate.
        """
        if state.dtype != DETECTOR or state.shape != (1,):
            raise ValueError("not a state of this version's detector")
        theirs, ours = (int(table[0]["input"]["rate_mHz"]) for table in (state, self._table))
        if theirs != ours:
            raise ValueError(f"state of a detector at {theirs / 1000:g} Hz: this one takes {ours / 1000:g} Hz")
        self._table[:] = state
