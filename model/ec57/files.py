"""Annotations from WFDB files."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import wfdb

from model.ec57.annotations import Annotations
from stream.errors import RecordError

END: Final = b"\0\0"  # mark of two bytes, as all of a file's annotations begin with two


def header(folder: Path, record: str) -> tuple[float, int | None]:
    """Sampling rate in Hz and length in samples of a record; None if its header does not tell the length.

    Raises
    ------
    RecordError
        If there is no readable header, or no sampling rate in it.
    """
    path = folder / f"{record}.hea"
    if not path.is_file():  # the library takes a name with * or :// for more than a name
        raise RecordError(f"{path}: no readable WFDB header (no such file); put it beside the annotations")
    try:
        head = wfdb.rdheader(str(folder / record))
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise RecordError(f"{path}: no readable WFDB header ({error}); put it beside the annotations") from error
    rate_hz = float(head.fs or 0.0)
    if rate_hz <= 0.0:
        raise RecordError(f"{path}: sampled at {rate_hz:g} Hz; correct the rate in its first line")
    return rate_hz, int(head.sig_len) if head.sig_len else None


def read(folder: Path, record: str, annotator: str, rate_hz: float) -> Annotations:
    """The annotations in ``folder/record.annotator``.

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
        file = wfdb.rdann(str(folder / record), annotator)
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise RecordError(f"{path}: not a WFDB annotation file ({error})") from error
    if file.fs is not None and abs(file.fs - rate_hz) > 1e-6 * rate_hz:
        raise RecordError(
            f"{path}: written at {file.fs:g} Hz, the record has {rate_hz:g} Hz; write samples of the record"
        )
    try:
        return Annotations.of(file.sample, file.symbol, file.subtype.tolist(), file.aux_note)
    except ValueError as error:
        raise RecordError(f"{path}: {error}") from error
