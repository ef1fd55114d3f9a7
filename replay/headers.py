"""WFDB headers as they are meant, header(5), where the package `wfdb` reads something else or nothing.

`wfdb` drops every character that is not ASCII, so that ``0.2/µV`` becomes volts, reads ``2e2`` in part as 2, takes a
negative rate for none, and gives a record up for a bad date. Where a header has any of these, a copy in plain ASCII,
numbers written out, is made in a folder of its own, beside links to the signal files, and `wfdb` reads that. All
other records are read where they are.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import wfdb

from replay import header_text
from stream.errors import RecordError

NULL: Final = "0"  # format of a null signal: the header names it, but no samples are stored
LAST_TIME: Final = dt.datetime(2255, 1, 1, tzinfo=dt.UTC)  # frames count µs to 2^53


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
        texts, changed = header_text.texts(path, file)
        place = path
        if changed:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="telebeat-")))
            header_text.copy(texts, file.parent, folder)
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
