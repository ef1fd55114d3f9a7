"""Samples of the ECG of a WFDB record in int16 steps around 0 mV, whatever the formats and gains it is stored in."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import wfdb

from replay import leads, signal_files
from replay.parts import Part, Parts
from replay.signal_files import NO_READING
from stream.errors import RecordError
from stream.frames import INVALID

DEFAULT_GAIN: Final = 200.0  # steps per mV where a header says 0 or nothing (WFDB's header(5))
LARGEST: Final = 32767  # of an int16 either way; -32768 is `INVALID`
FINEST_MV: Final = 1e-7  # smallest step a frame carries (0.1 nV): far below any amplifier's noise
COARSEST_MV: Final = 1.0  # largest: an R wave would be a step or two
OFFSET_MV: Final = 16.0  # no ECG lies so far from 0: half of where the detector clips, and more than any R wave
FARTHEST_MV: Final = 300.0  # an electrode's offset is less (IEC 60601-2-27): what is farther is a fault, not an ECG

BIG_ENDIAN: Final = "61"  # the one format whose samples `wfdb` does not convert if there are several a frame


@dataclasses.dataclass(frozen=True, eq=False)
class _Stretch:
    """What a part has of a lead: one value an instant, in steps of so many mV, and where there is none."""

    values: npt.NDArray[np.int64]
    missing: npt.NDArray[np.bool_]
    step: float


def columns(
    place: Path, stored: Parts, chosen: list[int], per_frame: int = 1
) -> tuple[npt.NDArray[np.int16], list[float]]:
    """Samples of the chosen signals, shape (instants, leads), and the mV of one step of each.

    Parameters
    ----------
    place : Path
        Where the record is read (see `headers.opened`).
    stored : Parts
        What it is stored in.
    chosen : list of int
        Signals of it, all of them in volts.
    per_frame : int
        How many samples are told of a frame: what there are more are averaged.

    Raises
    ------
    RecordError
        If a signal file is missing, damaged or shorter than its header says, or holds no ECG.
    """
    read = [_read(place, stored, part, chosen, per_frame) for part in stored.parts]
    result: list[npt.NDArray[np.int16]] = []
    steps: list[float] = []
    for lead in range(len(chosen)):
        stretch = _joined([stretches[lead] for stretches in read])
        samples, step = _int16(_near_0(stretch.values, stretch.missing, stretch.step), stretch.missing, stretch.step)
        result.append(samples)
        steps.append(step)
    return np.ascontiguousarray(np.stack(result, axis=1)), steps


def _read(place: Path, stored: Parts, part: Part, chosen: list[int], per_frame: int) -> list[_Stretch]:
    """The chosen signals of the record from one of its parts."""
    found = [stored.column(part, signal) for signal in chosen]
    columns = [column for column in found if column is not None]
    length = (part.instants or 0) * per_frame
    stretches: dict[int, _Stretch] = {}
    if columns:
        record = _record(place, stored, part, columns)
        stretches = {column: _stretch(stored, part, record, i, per_frame) for i, column in enumerate(columns)}
    nothing = _Stretch(np.zeros(length, np.int64), np.ones(length, np.bool_), math.inf)
    return [nothing if column is None else stretches[column] for column in found]


def _record(place: Path, stored: Parts, part: Part, columns: list[int]) -> Any:
    """What `wfdb` reads of a part: digital, but where it cannot convert that."""
    several = any((part.header.samps_per_frame[column] or 1) > 1 for column in columns)
    signal_files.check(stored.record, place.parent, part, columns)
    physical = several and any(part.header.fmt[column] == BIG_ENDIAN for column in columns)
    try:
        record = wfdb.rdrecord(
            str(place.parent / part.name),
            channels=columns,
            physical=physical,
            smooth_frames=not several,
            ignore_skew=True,  # `wfdb` fails where several are in one file, and marks too few at the end
            return_res=64 if physical else 32,
        )
    except Exception as error:  # a damaged file ends in whatever numpy makes of it
        raise RecordError(
            f"record {stored.record}: its signal file cannot be read as its header describes it ({_reason(error)}); "
            "fetch it again, or correct the header"
        ) from error
    if record.sig_len == 0 or (part.instants and record.sig_len < part.instants):
        raise RecordError(
            f"record {stored.record}: {record.sig_len} samples where the header promises {part.instants or 'some'}; "
            "fetch it again, or correct the header"
        )
    return record


def _stretch(stored: Parts, part: Part, record: Any, i: int, per_frame: int) -> _Stretch:
    """A signal of what was read, so many values a frame."""
    gain = float(record.adc_gain[i] or DEFAULT_GAIN)
    size = leads.MILLIVOLTS.get((record.units[i] or "").strip().lower())
    if size is None:
        raise RecordError(
            f"record {stored.record}: {record.sig_name[i] or 'a signal'} is in {record.units[i]} in one part of the "
            f"record ({part.name}), which is no unit of voltage; write gains of one unit into the headers of all "
            "segments"
        )
    if (step := size / abs(gain)) > COARSEST_MV:
        raise RecordError(f"record {stored.record}: a step of {step:g} mV is no ECG; correct the gain in its header")
    if record.e_p_signal is not None:
        missing = np.isnan(record.e_p_signal[i])
        values = np.rint(np.where(missing, 0.0, record.e_p_signal[i]) * abs(gain)).astype(np.int64)
    else:
        raw = record.d_signal[:, i] if record.d_signal is not None else record.e_d_signal[i]
        missing = raw == NO_READING.get(record.fmt[i], np.iinfo(np.int32).min)
        baseline = int(record.baseline[i] if record.baseline[i] is not None else record.adc_zero[i] or 0)
        values = (-1 if gain < 0 else 1) * (raw.astype(np.int64) - baseline)
    per_signal = record.samps_per_frame[i] or 1
    if skew := (record.skew[i] or 0) * per_signal:
        values, missing = np.roll(values, -skew), np.roll(missing, -skew)
        missing[-skew:] = True
    if (averaged := per_signal // per_frame) > 1:
        values, missing = _means(values, missing, averaged)
    length = None if part.instants is None else part.instants * per_frame
    return _Stretch(values[:length], missing[:length], step)


def _joined(stretches: list[_Stretch]) -> _Stretch:
    """Stretches one after the other, in the finest of their steps."""
    if len(stretches) == 1:
        return stretches[0]
    step = max(min(stretch.step for stretch in stretches), FINEST_MV)
    values = [
        s.values if s.step in {step, math.inf} else np.rint(s.values * (s.step / step)).astype(np.int64)
        for s in stretches
    ]
    return _Stretch(np.concatenate(values), np.concatenate([s.missing for s in stretches]), step)


def _means(
    values: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], averaged: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """The means of so many samples each, of those that are there."""
    valid = ~missing.reshape(-1, averaged)
    counts = valid.sum(axis=1)
    sums = np.where(valid, values.reshape(-1, averaged), 0).sum(axis=1)
    return np.rint(sums / np.maximum(counts, 1)).astype(np.int64), counts == 0


def _near_0(values: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], step: float) -> npt.NDArray[np.int64]:
    """The values without their offset and within what an ECG can be, see `Record`; those of most records as they are.

    The offset is one number of the whole record, as a baseline in its header would be: its first reading may be that of
    an electrode still to be put on. A lead that stands at a rail for half of the time, or does not move at all, has no
    offset: it would look like one that rests at 0.
    """
    there = values[~missing]
    middle = round(float(np.median(there))) if there.size else 0
    if abs(middle) * step > OFFSET_MV and there.min() < middle < there.max():
        values = values - middle
    peak = int(np.abs(np.where(missing, 0, values)).max(initial=0))
    if peak <= LARGEST or peak * step <= FARTHEST_MV:
        return values
    farthest = max(int(FARTHEST_MV / step), LARGEST)
    return np.clip(values, -farthest, farthest)


def _int16(
    values: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], step: float
) -> tuple[npt.NDArray[np.int16], float]:
    """The values in 16 bits and their step in mV, coarser by a power of two where they do not fit."""
    values = np.where(missing, 0, values)
    peak = int(np.abs(values).max(initial=0))
    factor = 1
    while peak > LARGEST * factor or step * factor < FINEST_MV:
        factor *= 2
    scaled = np.rint(values / factor).astype(np.int16) if factor > 1 else values.astype(np.int16)
    scaled[missing] = INVALID
    return scaled, step * factor


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
