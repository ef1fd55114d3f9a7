"""The detector as a whole: samples of one bed in, R peaks and epochs out."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from detector import candidate, fibrillation, qrs, quality, resample
from detector.envelope import LIMIT_UV, STRIDE
from detector.jit import kernel
from detector.types import BEATS, EPOCH, EPOCH_STATE, EPOCHS, FLAT, LEADS, NOISY, PEAK, RING, SIGNAL, Array, Row

#: Everything the detector knows of a bed. `peaks` and `epochs` hold what was found since they were last emptied.
DETECTOR = np.dtype(
    [
        ("input", resample.INPUT),
        ("signal", SIGNAL),
        ("quality", quality.QUALITY),
        ("qrs", qrs.QRS),
        ("fibrillation", fibrillation.FIBRILLATION),
        ("tick", "i8"),  # next tick to be looked at
        ("held", "i8", (LEADS,)),  # µV of the last reading
        ("half", "i4", (LEADS,)),  # µV of the last even tick, the first of a step
        ("half_there", "i1", (LEADS,)),  # whether it may carry beats
        ("missing", "i8"),  # ticks of this epoch without a reading on any lead
        ("n_peaks", "i8"),
        ("n_epochs", "i8"),
        ("peaks", PEAK, (BEATS,)),
        ("epochs", EPOCH_STATE, (EPOCHS,)),
    ],
    align=True,
)


@kernel
def begin(state: Row, rate_mhz: int, origin: int) -> None:
    """Start at record sample `origin`; after a restart the ticks go on, everything else is learned anew."""
    whole = STRIDE * EPOCH  # epochs and steps begin here
    tick = (state.tick + whole - 1) // whole * whole
    resample.begin(state.input, rate_mhz, origin, tick)
    state.signal.mv[:] = np.nan
    state.signal.end = tick
    state.tick = tick
    quality.begin(state.quality)
    qrs.begin(state.qrs)
    fibrillation.begin(state.fibrillation)
    state.held[:] = 0
    state.half[:] = 0
    state.half_there[:] = 0
    state.missing = 0
    state.n_peaks = 0
    state.n_epochs = 0


@kernel
def update(state: Row, samples: Array, mv_per_bit: Array, invalid: int, desk: Row) -> None:
    """Take at most one second of samples; R peaks and epochs are appended to the bed's queues.

    Parameters
    ----------
    state : DETECTOR
    samples : int16, shape (instants, LEADS)
    mv_per_bit : float64, shape (LEADS,)
    invalid : int
        Sample value that stands for "no reading".
    desk : detector.candidate.DESK
        Room to work in.
    """
    resample.resample(state.input, state.signal, samples, mv_per_bit, invalid)
    first = state.tick // STRIDE
    steps = 0
    microvolts = np.empty(LEADS, np.int64)
    valid = np.empty(LEADS, np.bool_)
    while state.tick < state.signal.end:
        tick = state.tick
        nothing = True
        for lead in range(LEADS):
            value = state.signal.mv[tick & (RING - 1), lead]
            reading = not np.isnan(value)
            if reading:
                state.held[lead] = int(np.rint(value * 1000.0))
                nothing = False
            quality.take(state.quality, lead, tick, state.held[lead], reading)
            microvolts[lead] = state.held[lead]
            valid[lead] = reading and state.quality.lead[lead].state <= NOISY
        state.missing += nothing
        fibrillation.take(state.fibrillation, tick, microvolts, valid)
        for lead in range(LEADS):
            value = min(max(microvolts[lead], -LIMIT_UV), LIMIT_UV)
            if tick % STRIDE == 0:
                state.half[lead] = value
                state.half_there[lead] = valid[lead]
            else:
                desk.lead[lead].x[steps] = state.half[lead] + value
                desk.lead[lead].valid[steps] = valid[lead] and state.half_there[lead]
        steps += tick % STRIDE
        if tick % EPOCH == EPOCH - 1:
            quality.close(state.quality)
            epoch = state.epochs[state.n_epochs]
            epoch.tick = tick
            epoch.readable = 0
            for lead in range(LEADS):
                epoch.lead[lead] = state.quality.lead[lead].state
                if epoch.lead[lead] <= NOISY or epoch.lead[lead] == FLAT:
                    epoch.readable = 1
            epoch.gap = state.missing == EPOCH
            epoch.vf = fibrillation.judge(state.fibrillation)
            state.missing = 0
            state.n_epochs += 1
        state.tick += 1
    state.n_peaks = qrs.update(state.qrs, desk, state.signal, first, steps, state.peaks, state.n_peaks)


@kernel
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
        Millivolts per step of each of one or two leads.
    invalid : int, optional
        Sample value that stands for "no reading".

    Examples
    --------
    >>> import numpy as np
    >>> detector = Detector(360.0, [0.005])
    >>> peaks, epochs = detector.update(np.zeros((360, 1), np.int16))
    >>> len(peaks), len(epochs)
    (0, 10)
    """

    def __init__(self, rate_hz: float, mv_per_bit: npt.ArrayLike, invalid: int = -32768) -> None:
        given = np.atleast_1d(np.asarray(mv_per_bit, np.float64))
        if not 100.0 <= rate_hz <= 1000.0:
            raise ValueError(f"sampling rate {rate_hz} Hz: 100 to 1000 Hz are analysed")
        if not 1 <= len(given) <= LEADS:
            raise ValueError(f"{len(given)} leads: 1 to {LEADS} are analysed")
        self._leads = len(given)
        self._mv_per_bit = np.full(LEADS, np.nan)
        self._mv_per_bit[: self._leads] = given
        self._invalid = invalid
        self._chunk = int(rate_hz) // 2
        self._table = np.zeros(1, DETECTOR)
        self._desk = candidate.desk()
        begin(self._table[0], round(rate_hz * 1000), 0)

    def update(self, samples: npt.NDArray[np.int16]) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
        """R peaks (`PEAK`) and epochs (`EPOCH_STATE`) that these samples complete.

        Parameters
        ----------
        samples : int16, shape (instants, leads)
        """
        row = self._table[0]
        full = np.full((len(samples), LEADS), self._invalid, np.int16)
        full[:, : self._leads] = samples
        peaks = []
        epochs = []
        for first in range(0, len(full), self._chunk):
            update(row, full[first : first + self._chunk], self._mv_per_bit, self._invalid, self._desk[0])
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
        """Go on from a `state`."""
        if state.dtype != DETECTOR or state.shape != (1,):
            raise ValueError("not a state of this version's detector")
        self._table[:] = state
