"""The online detector over many beds at once, as the ward runs it: beds in turn, a frame of each, on one core."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detector import detector, resample
from detector.jit import hot
from detector.scratch import new_scratch
from detector.types import EPOCH, INVALID, LEADS, RATE, Array, Row
from model.codes import ALL_NOISY, UNREADABLE
from model.strip import Strip

STEP_S: Final = 1.0  # of signal at once: the longest frame there is, as in `stream.annotate`
MOST_PER_S: Final = 6  # beats a second: more than the refractory period allows

#: From here on another subtype of WFDB's `~` holds: `UNREADABLE`, `ALL_NOISY`, or 0.
MARK = np.dtype([("sample", "i8"), ("subtype", "i8")], align=True)

#: An R peak in samples of its record.
FOUND = np.dtype([("sample", "i8"), ("delay_ms", "f8")], align=True)


@hot
def _begin(table: Array, rates_mhz: Array) -> None:
    """Beds that nothing is known of yet."""
    for bed in range(len(table)):
        detector.begin(table[bed], rates_mhz[bed], 0)


@hot
def _run(
    table: Array,
    frames: Array,
    lengths: Array,
    sizes: Array,
    mv_per_bit: Array,
    found: Array,
    counts: Array,
    marks: Array,
    marked: Array,
    unreadable: Array,
    scratch: Row,
) -> None:
    """Give the beds their signal, a frame of each in turn, and keep what is found."""
    for step in range(len(frames)):
        for bed in range(len(table)):
            first = step * sizes[bed]
            end = min(first + sizes[bed], lengths[bed])
            if first >= end:
                continue
            row = table[bed]
            detector.update(row, frames[step, bed], 0, end - first, mv_per_bit[bed], INVALID, scratch)
            for i in range(row.n_peaks):
                peak = row.peaks[i]
                out = found[bed, counts[bed]]
                out.sample = resample.sample_of(row.input, peak.tick)
                out.delay_ms = (peak.found - peak.tick) * 1000.0 / RATE
                counts[bed] += 1
            for i in range(row.n_epochs):
                epoch = row.epochs[i]
                subtype = ALL_NOISY if epoch.doubtful else 0
                if epoch.readable == 0:
                    subtype = UNREADABLE
                    unreadable[bed] += 1
                if subtype != marks[bed, marked[bed] - 1].subtype:
                    mark = marks[bed, marked[bed]]
                    mark.sample = max(resample.sample_of(row.input, epoch.tick - EPOCH + 1), 0)
                    mark.subtype = subtype
                    marked[bed] += 1
            detector.empty(row)


class DetectorRun(NamedTuple):
    """What was said of one bed.

    Attributes
    ----------
    found : FOUND, shape (n,)
        R peaks, a view that holds until the next run.
    marks : MARK, shape (m,)
        Changes of what is declared of the signal: noisy while the beats are in doubt.
    unreadable_s : float
        Seconds for which no lead was readable.
    """

    found: npt.NDArray[Any]
    marks: npt.NDArray[Any]
    unreadable_s: float


class Beds:
    """Beds with their signal, ready to be analysed from its begin as often as wanted.

    Their frames lie in memory in the order in which they come, those of one second of all beds side by side, as in what
    a ward fetches. The scratch is a worker's, made once.

    Parameters
    ----------
    strips : sequence of Strip
        One a bed.
    """

    def __init__(self, strips: Sequence[Strip]) -> None:
        self._lengths = np.array([len(strip.samples) for strip in strips], np.int64)
        self._sizes = np.array([max(int(strip.rate_hz * STEP_S), 1) for strip in strips], np.int64)
        steps = int(np.max(-(-self._lengths // self._sizes)))
        self._frames = np.full((steps, len(strips), LEADS, int(self._sizes.max())), INVALID, np.int16)
        for bed, (strip, size) in enumerate(zip(strips, self._sizes, strict=True)):
            for step, first in enumerate(range(0, len(strip.samples), size)):
                frame = strip.samples[first : first + size]
                self._frames[step, bed, :, : len(frame)] = frame.T
        self._mv_per_bit = np.array([strip.mv_per_bit for strip in strips])
        self._rates_mhz = np.array([round(strip.rate_hz * 1000) for strip in strips], np.int64)
        longest_s = max(len(strip.samples) / strip.rate_hz for strip in strips)
        self._found = np.zeros((len(strips), int(longest_s + 2) * MOST_PER_S), FOUND)
        self._marks = np.zeros((len(strips), int(longest_s + 2) * RATE // EPOCH), MARK)
        self._scratch = new_scratch()[0]
        self.values = sum(len(strip.samples) * strip.leads for strip in strips)

    def run(self) -> list[DetectorRun]:
        """Analyse all of it; what was said of each bed."""
        table = np.zeros(len(self._lengths), detector.DETECTOR)
        _begin(table, self._rates_mhz)
        counts = np.zeros(len(table), np.int64)
        marked = np.ones(len(table), np.int64)  # each bed begins with a mark of nothing
        unreadable = np.zeros(len(table), np.int64)
        _run(
            table,
            self._frames,
            self._lengths,
            self._sizes,
            self._mv_per_bit,
            self._found,
            counts,
            self._marks,
            marked,
            unreadable,
            self._scratch,
        )
        return [
            DetectorRun(
                self._found[bed, : counts[bed]],
                self._marks[bed, 1 : marked[bed]],
                float(unreadable[bed] * EPOCH / RATE),
            )
            for bed in range(len(table))
        ]
