"""Annotations from WFDB files."""

from __future__ import annotations

import contextlib
import re
import tempfile
from pathlib import Path
from typing import Any, Final

import numpy as np
import wfdb

from model.ec57.annotations import Annotations
from replay import headers
from replay.records import samples_per_frame
from stream.errors import RecordError

END: Final = b"\0\0"  # mark of two bytes, as all of a file's annotations begin with two
STATED: Final = b"## time resolution: "  # what the rate follows by which a file counts, where it says it
DEFINITIONS: Final = (
    b"## annotation type definitions",
    b"## end of definitions",
)  # around a file's own types
TEXT: Final = 63 << 2  # upper byte, but for two bits of its length, of the word before an annotation's text

SLOWEST_HZ: Final = 100.0  # of an ECG that is read; of records whose frames are slower it is in the frames

#: Rates that differ by no more are one: frames, and so our files, tell them in whole millihertz. The rest is rounding.
SAME_HZ: Final = 0.0005 + 1e-9
SAME: Final = 1e-6  # the same as a share of the rate


def header(folder: Path, record: str) -> tuple[float, int | None]:
    """Sampling rate in Hz and length in samples of a record as it is read; None if its header does not tell the length.

    They are those of its frames, or of the samples in them where frames are too slow for an ECG
    (`replay.rates`).

    Raises
    ------
    RecordError
        If there is no readable header, or no sampling rate in it.
    """
    path = folder / f"{record}.hea"
    if not path.is_file():  # the library takes a name with * or :// for more than a name
        raise RecordError(f"{path}: no readable WFDB header (no such file); put it beside the annotations")
    with headers.opened(folder / record, segments=False) as (_, head):
        rate_hz = float(head.fs or 0.0)
        if rate_hz <= 0.0:
            raise RecordError(f"{path}: sampled at {rate_hz:g} Hz; correct the rate in its first line")
        length = int(head.sig_len) if head.sig_len else None
    if rate_hz >= SLOWEST_HZ:
        return rate_hz, length
    with contextlib.suppress(RecordError):  # annotations can be compared without a signal that could be read
        per_frame = samples_per_frame(folder / record)
        return rate_hz * per_frame, length * per_frame if length else None
    return rate_hz, length


def found_as(folder: Path, record: str, annotator: str) -> str | None:
    """The name below `folder` by which it has a record's annotations, None if it has none.

    That of ``set_1/100`` is ``set_1/100``, or ``100`` where there is no such file: so `telebeat annotate` writes it.
    """
    names = (record, Path(record).name)
    return next((name for name in names if (folder / f"{name}.{annotator}").is_file()), None)


def read(folder: Path, record: str, annotator: str, rate_hz: float) -> Annotations:
    """The annotations in ``folder/record.annotator``, in order of time whatever their order there.

    Raises
    ------
    RecordError
        If the file is not there, is empty or no annotation file, or was written at another rate than `rate_hz`.
    """
    path = folder / f"{record}.{annotator}"
    if not path.is_file():
        raise RecordError(f"{path}: no such annotation file; check the folder, the record and the annotator")
    content = path.read_bytes()
    if not content:
        raise RecordError(f"{path}: it is empty, not even an end mark is in it; make it again")
    if not content.endswith(END) or len(content) % len(END):
        raise RecordError(f"{path}: no WFDB annotation file, or cut short: it has no end mark; make it again")
    if content == END:
        return Annotations.of([], [])  # only the end mark: the annotator found nothing
    try:
        file = _parsed(folder, record, annotator, content)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise RecordError(f"{path}: not a WFDB annotation file ({error})") from error
    told_hz = _rate(folder, record, content, file)
    per_frame = _per_frame(told_hz, rate_hz)
    if told_hz is not None and not _same(told_hz * per_frame, rate_hz):
        raise RecordError(
            f"{path}: written at {told_hz:.10g} Hz, the record has {rate_hz:.10g} Hz; write samples of the record"
        )
    order = np.argsort(file.sample, kind="stable")
    subtypes, symbols, notes = file.subtype[order].tolist(), file.symbol, file.aux_note
    try:
        return Annotations.of(
            file.sample[order] * per_frame, [symbols[i] for i in order], subtypes, [notes[i] for i in order]
        )
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error


def _same(told_hz: float, rate_hz: float) -> bool:
    return abs(told_hz - rate_hz) <= max(SAME_HZ, SAME * rate_hz)


def _per_frame(told_hz: float | None, rate_hz: float) -> int:
    """Samples of the record in one of what a file counts: it may count frames too slow for an ECG."""
    return max(round(rate_hz / told_hz), 1) if told_hz and told_hz < SLOWEST_HZ else 1


def _parsed(folder: Path, record: str, annotator: str, content: bytes) -> Any:
    """The file as the library reads it, which never ends on a comment that begins as those do that it understands."""
    if (mended := _without_comments(content)) == content:
        return wfdb.rdann(str(folder / record), annotator)
    with tempfile.TemporaryDirectory(prefix="telebeat-") as copies:
        Path(copies, f"record.{annotator}").write_bytes(mended)
        return wfdb.rdann(str(Path(copies, "record")), annotator)


def _without_comments(content: bytes) -> bytes:
    """A file's bytes, in which no text begins with ``## `` but one of its rate and those around its own types."""
    mended = bytearray(content)
    stated = defining = False
    for found in re.finditer(b"## ", content):
        at = found.start()
        if at < 2 or at % 2 or content[at - 1] < TEXT:
            continue
        length = (content[at - 1] & 3) << 8 | content[at - 2]
        text = content[at : at + length].rstrip(b"\0")
        if not stated and re.match(STATED + rb"\d", text):
            stated = True
        elif text == DEFINITIONS[defining]:
            defining = not defining
        else:
            mended[at : at + 2] = b"  "
    return bytes(mended)


def _rate(folder: Path, record: str, content: bytes, file: Any) -> float | None:
    """Hz by which a file counts: what it says itself, or else the header beside it, which the library misreads."""
    if STATED in content:
        return None if file.fs is None else float(file.fs)
    try:
        with headers.opened(folder / record, segments=False) as (_, head):
            return float(head.fs or 0.0) or None
    except RecordError:  # without a header it is not known
        return None
