"""Samples of the ECG of a WFDB record in int16 steps around 0 mV, whatever the formats and gains it is stored in."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import wfdb

from replay import headers, leads
from stream.errors import RecordError
from stream.frames import INVALID

DEFAULT_GAIN: Final = 200.0  # steps per mV where a header says 0 or nothing (WFDB's header(5))
LARGEST: Final = 32767  # of an int16 either way; -32768 is `INVALID`
FINEST_MV: Final = 1e-7  # smallest step a frame carries (0.1 nV): far below any amplifier's noise
COARSEST_MV: Final = 1.0  # largest: an R wave would be a step or two
OFFSET_MV: Final = 16.0  # no ECG lies so far from 0: half of where the detector clips, and more than any R wave
FARTHEST_MV: Final = 300.0  # an electrode's offset is less (IEC 60601-2-27): what is farther is a fault, not an ECG

#: The value that stands for "no reading" in each WFDB format (signal(5)); formats not listed have none.
_NO_READING: Final = {
    "16": -(2**15), "61": -(2**15), "160": -(2**15), "516": -(2**15), "80": -(2**7), "508": -(2**7),
    "212": -(2**11), "310": -(2**9), "311": -(2**9), "24": -(2**23), "524": -(2**23), "32": -(2**31),
}  # fmt: skip

#: All formats that are read; differences (format 8) have no mark for "no reading".
FORMATS: Final = tuple(sorted((*_NO_READING, "8"), key=int))


def columns(path: Path, header: Any, chosen: list[int]) -> tuple[npt.NDArray[np.int16], list[float]]:
    """Samples of the chosen signals, shape (instants, leads), and the mV of one step of each."""
    if isinstance(header, wfdb.MultiRecord):
        return _joined(path, header, chosen)
    several = any((header.samps_per_frame[i] or 1) > 1 for i in chosen)
    record = _read(path, header, channels=chosen, physical=False, smooth_frames=not several, return_res=32)
    result: list[npt.NDArray[np.int16]] = []
    steps: list[float] = []
    for i in range(len(chosen)):
        raw = record.e_d_signal[i] if several else record.d_signal[:, i]
        missing = raw == _NO_READING.get(record.fmt[i], np.iinfo(np.int32).min)
        baseline = int(record.baseline[i] if record.baseline[i] is not None else record.adc_zero[i] or 0)
        gain = abs(float(record.adc_gain[i] or DEFAULT_GAIN))
        sign = -1 if (record.adc_gain[i] or 0) < 0 else 1
        values = sign * (raw.astype(np.int64) - baseline)
        if several and (per_frame := record.samps_per_frame[i] or 1) > 1:
            values, missing = _frame_means(values, missing, per_frame)
        step = leads.MILLIVOLTS[(record.units[i] or "").strip().lower()] / gain
        samples, step = _int16(_near_0(values, missing, step), missing, step)
        result.append(samples)
        steps.append(step)
    return _stacked(path, result, steps)


def _joined(path: Path, header: Any, chosen: list[int]) -> tuple[npt.NDArray[np.int16], list[float]]:
    """A multi-segment record. Its segments may differ in gain, so it is read in physical units and quantised anew."""
    record = _read(path, header, channels=chosen, physical=True, return_res=64)
    result: list[npt.NDArray[np.int16]] = []
    steps: list[float] = []
    for i in range(len(chosen)):
        unit = headers.signals(path, header)[1][chosen[i]]
        size = leads.MILLIVOLTS[unit.strip().lower()]
        millivolts = record.p_signal[:, i] * size
        missing = ~np.isfinite(millivolts)
        gains = {(s.adc_gain[s.sig_name.index(n)] or DEFAULT_GAIN, s.units[s.sig_name.index(n)] or "")
                 for n in [record.sig_name[i]] for s in header.segments
                 if s is not None and n in (s.sig_name or []) and s.adc_gain and s.sig_len}  # fmt: skip
        if others := {u for _, u in gains if leads.MILLIVOLTS.get(u.strip().lower()) != size}:
            raise RecordError(
                f"record {path.name}: lead {record.sig_name[i]} is in {unit or 'mV'} in one part of the record and in "
                f"{', '.join(sorted(others))} in another; write gains of one unit into the headers of all segments"
            )
        step = min((leads.MILLIVOLTS.get(u.strip().lower(), 1.0) / abs(g) for g, u in gains), default=1 / DEFAULT_GAIN)
        values = np.rint(np.where(missing, 0.0, millivolts) / step).astype(np.int64)
        samples, step = _int16(_near_0(values, missing, step), missing, step)
        result.append(samples)
        steps.append(step)
    return _stacked(path, result, steps)


def _read(path: Path, header: Any, **options: Any) -> Any:
    try:
        record = wfdb.rdrecord(str(path), **options)
    except FileNotFoundError as error:
        raise RecordError(
            f"record {path.name}: its signal file {Path(error.filename or path).name} is missing; "
            "fetch it with `telebeat download`"
        ) from error
    except Exception as error:  # a short or damaged file ends in whatever numpy makes of it
        raise RecordError(
            f"record {path.name}: its signal file does not hold what the header says, it may be cut short "
            f"({_reason(error)}); fetch it again"
        ) from error
    length = len(next(s for s in (record.p_signal, record.d_signal, (record.e_d_signal or [None])[0]) if s is not None))
    if length == 0 or (header.sig_len and length < header.sig_len):
        raise RecordError(
            f"record {path.name}: {length} samples where the header promises {header.sig_len or 'some'}; fetch it again"
        )
    return record


def _frame_means(
    values: npt.NDArray[np.int64], missing: npt.NDArray[np.bool_], per_frame: int
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
    """One value a frame: the mean of its valid samples."""
    valid = ~missing.reshape(-1, per_frame)
    counts = valid.sum(axis=1)
    sums = np.where(valid, values.reshape(-1, per_frame), 0).sum(axis=1)
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


def _stacked(
    path: Path, columns: list[npt.NDArray[np.int16]], steps: list[float]
) -> tuple[npt.NDArray[np.int16], list[float]]:
    samples = np.ascontiguousarray(np.stack(columns, axis=1))
    if wrong := [s for s in steps if s > COARSEST_MV]:
        raise RecordError(f"record {path.name}: a step of {wrong[0]:g} mV is no ECG; correct the gain in its header")
    return samples, steps


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__
