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

from replay import header_text, parts
from stream.errors import RecordError

NULL: Final = "0"  # format of a null signal: the header names it, but no samples are stored
LONGEST: Final = 2**30  # samples of a record with its gaps: 49 days at 250 Hz; more does not fit into the memory
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


def is_empty(path: Path, header: Any) -> bool:
    """Whether a record holds nothing by its header, or by its files where that gives no length."""
    if header.sig_len is not None or isinstance(header, wfdb.MultiRecord):
        return bool(header.sig_len == 0)
    files = [path.parent / name for name in header.file_name]
    return all(file.is_file() and file.stat().st_size == 0 for file in files)


def _parsed(path: Path, place: Path, file: Path, *, segments: bool) -> Any:
    header = _header(path, place, file)
    if segments:
        _check_counts(path, file, header)
    if segments and isinstance(header, wfdb.MultiRecord):
        header.segments = [_segment(path, place, file, name) for name in header.seg_name]
        _check_lengths(path, header)
        rates = {s.fs for s in header.segments if s is not None and s.sig_len}
        others = {rate for rate in rates if round(1000 * rate) != round(1000 * header.fs)}
        if others:  # they would be joined as if they were of one rate, and all that follows would be misplaced
            raise RecordError(
                f"record {path.name}: its header says {header.fs:.10g} Hz, those of its segments "
                f"{', '.join(f'{rate:.10g}' for rate in sorted(others))} Hz; bring all segments to one rate and say it "
                "in all headers"
            )
    return header


def _header(path: Path, place: Path, file: Path) -> Any:
    """One header as `wfdb` has it, without those of its segments: it reads none whose signals have no names."""
    try:
        return wfdb.rdheader(str(place))
    except Exception as error:  # wfdb raises whatever its parser meets
        # A `HeaderSyntaxError` says which line it is; what else Python says of a bad field would tell nobody anything.
        line = f" ({error})" if type(error).__name__ == "HeaderSyntaxError" else ""
        raise RecordError(
            f"record {path.name}: {file} is not a header as WFDB's header(5) has it{line}; correct it or fetch it again"
        ) from error


def _segment(path: Path, place: Path, file: Path, name: str) -> Any:
    """The header of a segment, None of a gap."""
    if name == parts.GAP:
        return None
    if not (place.parent / f"{name}.hea").is_file():
        raise RecordError(
            f"record {path.name}: the header {name}.hea of one of its segments is missing; "
            "fetch it with `telebeat download`"
        )
    header = _header(path, place.parent / name, file.parent / f"{name}.hea")
    if isinstance(header, wfdb.MultiRecord):
        raise RecordError(
            f"record {path.name}: its segment {name} is itself one of several segments, which WFDB does not allow; "
            f"name the segments of {name} instead of it in {file}"
        )
    _check_counts(path, file.parent / f"{name}.hea", header)
    return header


def _check_counts(path: Path, file: Path, header: Any) -> None:
    """Refuse a header that describes another number of signals or segments than it says."""
    if isinstance(header, wfdb.MultiRecord):
        said, described, what = header.n_seg, len(header.seg_name), "segments"
    else:
        said, described, what = header.n_sig, len(header.file_name or []), "signals"
    if said != described:
        raise RecordError(
            f"record {path.name}: {file} says {said} {what} in its first line and describes {described}; correct the "
            "number or fetch it again"
        )


def _check_lengths(path: Path, header: Any) -> None:
    """Refuse segments of other lengths than the record's header says, and lengths that cannot be."""
    for name, length, segment in zip(header.seg_name, header.seg_len, header.segments, strict=True):
        if segment is not None and length and segment.sig_len not in {None, length}:
            raise RecordError(
                f"record {path.name}: its header says that segment {name} has {length} samples, that of the segment "
                f"says {segment.sig_len}; correct the wrong one or fetch them again"
            )
    total = sum(header.seg_len)
    if header.sig_len not in {None, total}:
        raise RecordError(
            f"record {path.name}: its header says that it has {header.sig_len} samples, those of its segments are "
            f"{total}; correct the number in its first line or fetch it again"
        )
    if total > LONGEST:
        raise RecordError(
            f"record {path.name}: {total} samples, with the gaps between its segments, are more than are read "
            f"({LONGEST}); correct its header, or leave the gap out and name two records"
        )
