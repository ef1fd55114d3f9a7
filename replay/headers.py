"""WFDB headers as they are meant, header(5), where the package `wfdb` reads something else or nothing.

`wfdb` drops every character that is not ASCII, so that ``0.2/µV`` becomes volts, reads ``2e2`` in part as 2, takes a
negative rate for none, and gives a record up for a bad date. Where a header has any of these, a copy in plain ASCII,
numbers written out, is made in a folder of its own, beside links to the signal files, and `wfdb` reads that. All
other records are read where they are.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import decimal
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import wfdb

from stream.errors import RecordError

NULL: Final = "0"  # format of a null signal: the header names it, but no samples are stored
LARGEST_NUMBER: Final = 1e15  # of a gain or rate: beyond any recorder's, and short enough to be written out
SMALLEST_NUMBER: Final = 1e-15  # of a gain: likewise
LAST_TIME: Final = dt.datetime(2255, 1, 1, tzinfo=dt.UTC)  # frames count µs to 2^53
MOST_DECIMALS: Final = 6  # of a second in a time: µs, what Python and `wfdb` keep

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TIME: Final = re.compile(r"(?:(?:(\d{1,2}):)?(\d{1,2}):)?(\d{1,2})(?:\.(\d+))?", re.ASCII)
_DATE: Final = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})", re.ASCII)
_MICRO: Final = re.compile("[µμ]")  # MICRO SIGN (also byte 0xB5 of latin-1) and GREEK SMALL LETTER MU


@contextlib.contextmanager
def opened(path: Path, *, segments: bool = True) -> Iterator[tuple[Path, Any]]:
    """Where `wfdb` reads a record right, and its header.

    Parameters
    ----------
    path : Path
        The record without extension.
    segments : bool
        Read those of its segments, too; without, they need not be there.

    Yields
    ------
    place : Path
        The record itself, or a copy of its headers with links to its signal files, gone when the context ends.
    header : wfdb.Record or wfdb.MultiRecord
        With the headers of all segments, unless they are not wanted.

    Raises
    ------
    RecordError
        If there is no header, or it or one of its segments' cannot be read, or has a rate or gain that cannot be.
    """
    file = path.parent / f"{path.name}.hea"
    if not file.is_file():
        raise RecordError(
            f"record {path.name}: there is no {file}; check the folder (--data-dir) and the name, or fetch the "
            "database with `telebeat download`"
        )
    with contextlib.ExitStack() as stack:
        texts, changed = _texts(path, file)
        place = path
        if changed:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telebeat-")))
            _copy(texts, file.parent, folder)
            place = folder / path.name
        yield place, _parsed(path, place, file, segments=segments)


def start(header: Any) -> dt.datetime | None:
    """The header's date and time in UTC; a year outside what a frame can carry counts as none."""
    if header.base_date is None or header.base_time is None:
        return None
    time = dt.datetime.combine(header.base_date, header.base_time, tzinfo=dt.UTC)
    return time if dt.datetime(1970, 1, 1, tzinfo=dt.UTC) <= time < LAST_TIME else None


def signals(path: Path, header: Any) -> tuple[list[str], list[str]]:
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


def formats(header: Any, column: int, name: str) -> set[str]:
    """In which formats (signal(5)) the samples of one signal are stored, `NULL` for those that are not.

    Parameters
    ----------
    header : wfdb.Record or wfdb.MultiRecord
        Of a record that has samples.
    column : int
        Of the signal in the record.
    name : str
        Of the signal: in a record of variable layout its column differs from segment to segment.
    """
    if not isinstance(header, wfdb.MultiRecord):
        return {header.fmt[column]}
    if header.layout == "fixed":
        return {s.fmt[column] for s in header.segments if s is not None and column < len(s.fmt or [])}
    return {
        s.fmt[s.sig_name.index(name)]
        for s in header.segments[1:]  # the first is the layout, which stores nothing
        if s is not None and name in (s.sig_name or [])
    }


def is_empty(path: Path, header: Any) -> bool:
    """Whether a record holds nothing by its header, or by its files where that gives no length."""
    if header.sig_len is not None or isinstance(header, wfdb.MultiRecord):
        return bool(header.sig_len == 0)
    files = [path.parent / name for name in header.file_name]
    return all(file.is_file() and file.stat().st_size == 0 for file in files)


def _parsed(path: Path, place: Path, file: Path, *, segments: bool) -> Any:
    try:
        header = wfdb.rdheader(str(place), rd_segments=segments)
    except FileNotFoundError as error:
        missing = Path(error.filename).name if error.filename else "a header"
        raise RecordError(
            f"record {path.name}: the header {missing} of one of its segments is missing; "
            "fetch it with `telebeat download`"
        ) from error
    except Exception as error:  # wfdb raises whatever its parser meets
        # A `HeaderSyntaxError` says which line it is; what else Python says of a bad field would tell nobody anything.
        line = f" ({error})" if type(error).__name__ == "HeaderSyntaxError" else ""
        raise RecordError(
            f"record {path.name}: {file} is not a header as WFDB's header(5) has it{line}; correct it or fetch it again"
        ) from error
    if segments and isinstance(header, wfdb.MultiRecord):
        rates = {s.fs for s in header.segments if s is not None and s.sig_len}
        others = {rate for rate in rates if round(1000 * rate) != round(1000 * header.fs)}
        if others:  # wfdb would join them as if they were of one rate, and all that follows would be misplaced
            raise RecordError(
                f"record {path.name}: its header says {header.fs:.10g} Hz, those of its segments "
                f"{', '.join(f'{rate:.10g}' for rate in sorted(others))} Hz; bring all segments to one rate and say it "
                "in all headers"
            )
    return header


def _texts(path: Path, file: Path) -> tuple[dict[str, list[bytes]], bool]:
    """Lines of the record's header and its segments' by file name, mended, and whether any had to be."""
    lines = _read(file)
    first = next((i for i, line in enumerate(lines) if _fields(line)), None)
    if first is None:
        raise RecordError(f"record {path.name}: {file} is empty; fetch it again")
    _check_rate(path, _fields(lines[first]))
    files = {file.name: lines}
    if "/" in _fields(lines[first])[0]:
        for line in lines[first + 1 :]:
            name = f"{_fields(line)[0]}.hea" if _fields(line) else ""
            if _is_beside(name) and (file.parent / name).is_file() and name not in files:
                files[name] = _read(file.parent / name)
    mended = {name: _mended(path, found) for name, found in files.items()}
    return mended, mended != files


def _read(file: Path) -> list[bytes]:
    try:
        return file.read_bytes().splitlines()
    except OSError as error:
        raise RecordError(f"{file} cannot be read ({error.strerror}); check its permissions") from error


def _copy(texts: dict[str, list[bytes]], source: Path, folder: Path) -> None:
    """Headers in a folder, with links there to the signal files that they name."""
    for name, lines in texts.items():
        (folder / name).write_bytes(b"\n".join(lines) + b"\n")
    for file in {fields[0] for lines in texts.values() for line in lines if (fields := _fields(line))}:
        if _is_beside(file) and (source / file).is_file() and not (folder / file).exists():
            try:
                (folder / file).symlink_to((source / file).resolve())
            except OSError:  # a system on which links need a privilege
                shutil.copyfile(source / file, folder / file)


def _is_beside(name: str) -> bool:
    return name not in {"", ".", "..", "~"} and "\0" not in name and Path(name).name == name


def _text(line: bytes) -> str:
    """A line as it was meant: old recorders write latin-1, in which any bytes are a text."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return line.decode("latin-1")


def _fields(line: bytes) -> list[str]:
    """Fields of a line, none of a comment."""
    text = _text(line).strip("\ufeff \t\r\v\f")
    return [] if text.startswith("#") else [field for field in re.split(r"[ \t]+", text) if field]


def _check_rate(path: Path, fields: Sequence[str]) -> None:
    """Refuse a rate for which `wfdb` would take 250 Hz without a word."""
    if len(fields) < 3:
        return  # none is given, and WFDB's own default holds
    found = _NUMBER.match(fields[2])
    if found is None or not 0 <= float(found[0]) < LARGEST_NUMBER:
        raise RecordError(
            f"record {path.name}: its header gives the sampling rate as {fields[2]!r}; correct it to samples per second"
        )


def _mended(path: Path, lines: Sequence[bytes]) -> list[bytes]:
    """Lines of one header, those as they are that need nothing."""
    result = list(lines)
    several = None
    for i, line in enumerate(lines):
        if not (fields := _fields(line)):
            continue
        if several is None:
            several = "/" in fields[0]
            mended = _mended_record(fields)
        elif several:
            break  # lines of segments hold a name and a length, nothing to mend
        else:
            mended = _mended_signal(path, fields)
        if mended != fields:
            result[i] = " ".join(mended).encode("ascii", "ignore")
    return result


def _mended_record(fields: list[str]) -> list[str]:
    """Fields of the record line: the rate written out, and no time that cannot be (24:00:00, 31/02/2004)."""
    mended = list(fields)
    if len(fields) > 2 and (found := _NUMBER.match(fields[2])) and 0 <= float(found[0]) < LARGEST_NUMBER:
        mended[2] = _plain(found[0]) + fields[2][found.end() :]
    if len(fields) > 4:
        time = _TIME.fullmatch(fields[4])
        if time is None or not _is_moment(time, fields[5] if len(fields) > 5 else None):
            return mended[:4]
        if time[4] and len(time[4]) > MOST_DECIMALS:
            mended[4] = fields[4][: MOST_DECIMALS - len(time[4])]
    return mended


def _is_moment(time: re.Match[str], date: str | None) -> bool:
    """Whether there is such a time of day, and such a date if one is given."""
    day = _DATE.match(date or "1/1/1970")
    if day is None:
        return False
    try:
        hour, minute, second = (int(part or 0) for part in time.groups()[:3])
        dt.datetime(int(day[3]), int(day[2]), int(day[1]), hour, minute, second, tzinfo=dt.UTC)
    except ValueError:
        return False
    return True


def _mended_signal(path: Path, fields: list[str]) -> list[str]:
    """Fields of a signal line: the gain written out, its unit in ASCII."""
    if len(fields) < 3 or (found := _NUMBER.match(fields[2])) is None:
        return fields
    value = abs(float(found[0]))
    if value != 0 and not SMALLEST_NUMBER <= value <= LARGEST_NUMBER:
        raise RecordError(f"record {path.name}: a gain of {found[0]} cannot be; correct it in its header")
    before, slash, unit = fields[2][found.end() :].partition("/")
    unit = _MICRO.sub("u", unit)
    # Another sign that would be dropped becomes one that no unit has: what is left of "°C" must not be taken for "C".
    unit = "".join(c if c.isascii() or not c.isprintable() else "?" for c in unit)
    return [*fields[:2], _plain(found[0]) + before + slash + unit, *fields[3:]]


def _plain(number: str) -> str:
    """A number without exponent and plus sign, its digits as they are."""
    if "e" not in number.lower():
        return number.removeprefix("+")
    return format(decimal.Decimal(number), "f")
