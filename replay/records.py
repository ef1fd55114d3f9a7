"""WFDB records as a monitor would have sampled them: int16 steps of a known size around 0 mV.

The record is read once and whole; half an hour of two leads takes some 10 ms. What a frame cannot carry (a rate
outside 100 to 1000 Hz, no ECG among the signals) is refused here, with a message that says what to do.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import wfdb

from replay import leads
from stream.errors import RecordError
from stream.frames import INVALID, MAX_LEADS, MAX_RATE_MHZ, MIN_RATE_MHZ

DEFAULT_GAIN: Final = 200.0  # steps per mV where a header says 0 or nothing (WFDB's header(5))
LARGEST: Final = 32767  # of an int16 either way; -32768 is `INVALID`
FINEST_MV: Final = 1e-7  # smallest step a frame carries (0.1 nV): far below any amplifier's noise
COARSEST_MV: Final = 1.0  # largest: an R wave would be a step or two
LAST_TIME: Final = dt.datetime(2255, 1, 1, tzinfo=dt.UTC)  # frames count µs to 2^53

#: The value that stands for "no reading" in each WFDB format (signal(5)); formats not listed have none.
_NO_READING: Final = {
    "16": -(2**15), "61": -(2**15), "160": -(2**15), "516": -(2**15), "80": -(2**7), "508": -(2**7),
    "212": -(2**11), "310": -(2**9), "311": -(2**9), "24": -(2**23), "524": -(2**23), "32": -(2**31),
}  # fmt: skip


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """The ECG of one record.

    Attributes
    ----------
    name : str
        The record's name, without folder.
    rate_mhz : int
        Samples per second and lead, in millihertz.
    leads : tuple of str
        ISO/IEEE 11073-10101 reference ids, at most 12, all different.
    units_per_bit : tuple of float
        Millivolts per step of each lead.
    samples : int16 array, shape (instants, leads)
        0 is 0 mV; `stream.frames.INVALID` where there is no reading.
    start : datetime or None
        The header's time of the first sample, taken as UTC; None where it gives no date and time.
    """

    name: str
    rate_mhz: int
    leads: tuple[str, ...]
    units_per_bit: tuple[float, ...]
    samples: npt.NDArray[np.int16]
    start: dt.datetime | None = None

    @property
    def seconds(self) -> float:
        """Length of the record."""
        return len(self.samples) * 1000 / self.rate_mhz


def read_record(path: Path | str) -> Record:
    """Read the ECG leads of a WFDB record.

    Parameters
    ----------
    path : Path
        The record without extension, or its ``.hea`` file. Multi-segment records are joined, their missing stretches
        marked invalid. Records of several samples per frame come at the frame rate, to which their annotations refer.

    Raises
    ------
    RecordError
        If a file is missing, damaged or shorter than its header says, if the sampling rate is not within 100 to
        1000 Hz, or if there is no ECG in it.
    """
    path = Path(path)
    path = path.with_suffix("") if path.suffix == ".hea" else path
    header = _header(path)
    rate_mhz = round(float(header.fs or 0) * 1000)
    if not MIN_RATE_MHZ <= rate_mhz <= MAX_RATE_MHZ:
        raise RecordError(
            f"record {path.name}: sampled at {rate_mhz / 1000:g} Hz, but 100 to 1000 Hz are read; "
            f"resample it (WFDB's `xform -i {path.name} -o NEW -F 250`) and play the result"
        )
    names, units = _signals(path, header)
    chosen = [i for i, (n, u) in enumerate(zip(names, units, strict=True)) if leads.is_ecg(n, u)][:MAX_LEADS]
    if not chosen:
        found = ", ".join(f"{n or 'unnamed'} [{u}]" for n, u in zip(names, units, strict=True)) or "no signals"
        raise RecordError(f"record {path.name}: no ECG among its signals ({found}); choose a record with one")
    if _is_empty(path, header):
        raise RecordError(f"record {path.name}: it has no samples; choose another record")
    columns, steps = _columns(path, header, chosen)
    return Record(
        name=path.name,
        rate_mhz=rate_mhz,
        leads=leads.codes(names[i] for i in chosen),
        units_per_bit=tuple(steps),
        samples=columns,
        start=_start(header),
    )


def _header(path: Path) -> Any:
    file = path.parent / f"{path.name}.hea"
    if not file.is_file():
        raise RecordError(
            f"record {path.name}: there is no {file}; check the folder (--data-dir) and the name, or fetch the "
            "database with `telebeat download`"
        )
    try:
        return wfdb.rdheader(str(path), rd_segments=True)
    except Exception as error:  # wfdb raises whatever its parser meets
        raise RecordError(f"record {path.name}: {file} cannot be read ({_reason(error)}); fetch it again") from error


def _is_empty(path: Path, header: Any) -> bool:
    """Whether a record holds nothing by its header, or by its files where that gives no length."""
    if header.sig_len is not None or isinstance(header, wfdb.MultiRecord):
        return bool(header.sig_len == 0)
    files = [path.parent / name for name in header.file_name]
    return all(file.is_file() and file.stat().st_size == 0 for file in files)


def _signals(path: Path, header: Any) -> tuple[list[str], list[str]]:
    """Names and units of the record's signals; those of a multi-segment record are its first segments'."""
    if not isinstance(header, wfdb.MultiRecord):
        return [n or "" for n in header.sig_name or []], [u or "" for u in header.units or []]
    if header.layout == "fixed" and "~" in header.seg_name:
        raise RecordError(
            f"record {path.name}: its header has a gap (~) but no layout segment before it, and only records of "
            "variable layout may have gaps; put a layout segment of length 0 first"
        )
    segments = [s for s in header.segments if s is not None]
    if not segments:
        raise RecordError(f"record {path.name}: all of its segments are empty; choose another record")
    names = [n or "" for n in segments[0].sig_name or []]
    units = [""] * len(names)
    for segment in reversed(segments):  # the layout segment, if any, is first and has the final say where it has one
        for name, unit in zip(segment.sig_name or [], segment.units or [], strict=False):
            if name in names and unit:
                units[names.index(name)] = unit
    return names, units


def _columns(path: Path, header: Any, chosen: list[int]) -> tuple[npt.NDArray[np.int16], list[float]]:
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
        samples, step = _int16(values, missing, leads.MILLIVOLTS[(record.units[i] or "").strip().lower()] / gain)
        result.append(samples)
        steps.append(step)
    return _stacked(path, result, steps)


def _joined(path: Path, header: Any, chosen: list[int]) -> tuple[npt.NDArray[np.int16], list[float]]:
    """A multi-segment record. Its segments may differ in gain, so it is read in physical units and quantised anew."""
    record = _read(path, header, channels=chosen, physical=True, return_res=64)
    result: list[npt.NDArray[np.int16]] = []
    steps: list[float] = []
    for i in range(len(chosen)):
        unit = _signals(path, header)[1][chosen[i]].strip().lower()
        millivolts = record.p_signal[:, i] * leads.MILLIVOLTS[unit]
        missing = ~np.isfinite(millivolts)
        gains = {(s.adc_gain[s.sig_name.index(n)] or DEFAULT_GAIN, s.units[s.sig_name.index(n)] or "")
                 for n in [record.sig_name[i]] for s in header.segments
                 if s is not None and n in (s.sig_name or []) and s.adc_gain and s.sig_len}  # fmt: skip
        step = min((leads.MILLIVOLTS.get(u.strip().lower(), 1.0) / abs(g) for g, u in gains), default=1 / DEFAULT_GAIN)
        values = np.rint(np.where(missing, 0.0, millivolts) / step).astype(np.int64)
        samples, step = _int16(values, missing, step)
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


def _start(header: Any) -> dt.datetime | None:
    """The header's date and time; a year outside what a frame can carry counts as none."""
    if header.base_date is None or header.base_time is None:
        return None
    start = dt.datetime.combine(header.base_date, header.base_time, tzinfo=dt.UTC)
    return start if dt.datetime(1970, 1, 1, tzinfo=dt.UTC) <= start < LAST_TIME else None


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0] or type(error).__name__


def find_records(
    data_dirs: Sequence[Path], names: Sequence[str] | None = None, database: str | None = None
) -> list[Path]:
    """Where records are, as paths without extension.

    Parameters
    ----------
    data_dirs : sequence of Path
        Folders of databases, or databases themselves, best first (see `stream.settings.data_dirs`).
    names : sequence of str, optional
        Records wanted, in this order: ``208``, ``mitdb/208``, or a path. Without: all records of the first
        folder that has any, in the order of their names.
    database : str, optional
        Look only in folders of this name, such as ``mitdb``.

    Raises
    ------
    RecordError
        If a record is not there or its bare name is in several databases of one folder.
    """
    if not names:
        for folder in data_dirs:
            if found := _all(folder, database):
                return found
        raise RecordError(f"no WFDB records{_in(data_dirs, database)}; {_advice(database)}")
    return [_find(name, data_dirs, database) for name in names]


def wanted(options: Sequence[str] | None = None, arguments: Sequence[str] | None = None) -> list[str]:
    """Record names from a command line, where one text may hold several.

    Between them are commas, or in an option blanks, too. A text that is the path of a record is one name, whatever is
    in it.

    >>> wanted(["208,201", "mitdb/100 101"], ["my data/102"])
    ['208', '201', 'mitdb/100', '101', 'my data/102']
    """
    names: list[str] = []
    for texts, between in ((options, r"[,\s]+"), (arguments, ",")):
        for text in texts or ():
            whole = _is_path(text)
            names += [text] if whole else [name for part in re.split(between, text) if (name := part.strip())]
    return names


def _is_path(text: str) -> bool:
    try:
        return Path(f"{text.removesuffix('.hea')}.hea").is_file()
    except OSError:  # a list of many names is longer than a file's name may be
        return False


def _find(name: str, data_dirs: Sequence[Path], database: str | None) -> Path:
    wanted = Path(name.removesuffix(".hea"))
    if wanted.parent != Path() and (wanted.parent / f"{wanted.name}.hea").is_file():
        return wanted
    for folder in data_dirs:
        direct = folder / (database or "") / wanted
        if (direct.parent / f"{direct.name}.hea").is_file():
            return direct
        found = [p for p in _all(folder, database) if p.parts[-len(wanted.parts) :] == wanted.parts]
        if len(found) > 1:
            places = ", ".join(p.relative_to(folder).as_posix() for p in found)
            raise RecordError(f"record {name} is in several databases ({places}); name one of these")
        if found:
            return found[0]
    near = difflib.get_close_matches(wanted.name, {p.name for d in data_dirs for p in _all(d, database)}, n=5)
    hint = f"; similar are {', '.join(near)}" if near else ""
    raise RecordError(f"no record {name}{_in(data_dirs, database)}{hint}; {_advice(database)}")


def _all(folder: Path, database: str | None) -> list[Path]:
    """Records below a folder; segments and layouts of multi-segment records are parts of theirs, not listed."""
    headers = sorted(folder.rglob("*.hea"), key=_natural)
    if database is not None:
        headers = [h for h in headers if database in (folder.name, *h.relative_to(folder).parts[:-1])]
    parts = {part for header in headers for part in _segments(header)}
    return [h.with_suffix("") for h in headers if h.with_suffix("") not in parts]


def _segments(header: Path) -> list[Path]:
    try:
        lines = [s for line in header.read_text("latin-1").splitlines() if (s := line.strip()) and s[0] != "#"]
    except OSError:
        return []
    if not lines or "/" not in lines[0].split()[0]:
        return []
    return [header.parent / line.split()[0] for line in lines[1:] if line.split()[0] != "~"]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Order in which people count: 2 before 10."""
    pieces = re.findall(r"\d+|\D+", path.with_suffix("").as_posix())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces]


def _in(data_dirs: Sequence[Path], database: str | None) -> str:
    where = ", ".join(map(str, data_dirs)) or "any data folder"
    return f" of {database} in {where}" if database else f" in {where}"


def _advice(database: str | None) -> str:
    return f"name its folder with --data-dir or fetch it with `telebeat download {database or 'mitdb'}`"
