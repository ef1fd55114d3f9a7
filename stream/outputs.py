"""Places to write to, tried before the work whose result they are for, so that nothing is lost at its end.

What is written aside is in its place only when it is complete.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from stream.errors import RecordError

PICTURES: Final = (".png", ".svg", ".pdf")  # what every installation of the plotting library can write


def folder(path: Path) -> Path:
    """Make a folder with its parents, unless it is there, and try that a file can be made in it.

    Raises
    ------
    RecordError
        If it is no folder, cannot be made, or takes no files.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise RecordError(f"nothing can be written in {path} ({_reason(error)}); name another folder") from error
    return path


def file(path: Path) -> Path:
    """Try that a file can be written, with the folders that it needs; one that is there keeps what is in it.

    Raises
    ------
    RecordError
        If it cannot be, or is named as the standard output is, which takes numbers alone (`numbers`).
    """
    if _is_stdout(path):
        raise RecordError("only --json is written to the standard output (-); name a file for what else is wanted")
    try:
        if not path.exists():
            folder(path.parent)
            return path
        if not path.is_fifo():  # opening one waits for its reader
            with path.open("ab"):
                pass
    except OSError as error:
        raise RecordError(f"{path} cannot be written ({_reason(error)}); name another file") from error
    return path


def numbers(path: Path | None) -> bool:
    """The same of a file of numbers, where one is wanted; whether it is the standard output, named ``-``.

    Nothing else may be written there then: tables go to the standard error.

    Raises
    ------
    RecordError
        If it cannot be.
    """
    if path is None:
        return False
    if _is_stdout(path):
        return True
    file(path)
    return False


def write_numbers(path: Path, found: Any, indent: int | None = 1) -> None:
    """Write a JSON text to a file, or to the standard output where that is named ``-``.

    Raises
    ------
    RecordError
        If it cannot be.
    """
    text = json.dumps(found, indent=indent) + "\n"
    if _is_stdout(path):
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RecordError(f"{path} cannot be written ({_reason(error)}); name another file") from error


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """Write rows of equal keys as CSV, the keys on top; without rows an empty file.

    Raises
    ------
    RecordError
        If it cannot be.
    """
    try:
        with path.open("w", newline="", encoding="utf-8") as out:
            if rows:
                writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)
    except OSError as error:
        raise RecordError(f"{path} cannot be written ({_reason(error)}); name another file") from error


def _is_stdout(path: Path) -> bool:
    return str(path) == "-"


def picture(path: Path) -> Path:
    """The same of a picture, whose kind its suffix names.

    Raises
    ------
    RecordError
        If no picture of that kind can be drawn, or it cannot be written.
    """
    if path.suffix.lower() not in PICTURES:
        raise RecordError(f"{path} is no picture; name a file that ends in {', '.join(PICTURES)}")
    return file(path)


def no_folder(path: Path) -> Path:
    """See that a file that is to be replaced is no folder.

    Raises
    ------
    RecordError
        If it is one.
    """
    if path.is_dir():
        raise RecordError(
            f"{path} is a folder, and a file of this name is to be written; move it or name another place"
        )
    return path


def remove(path: Path) -> None:
    """Remove a file, where it is.

    Raises
    ------
    RecordError
        If it cannot be removed.
    """
    try:
        no_folder(path).unlink(missing_ok=True)
    except OSError as error:
        raise RecordError(f"{path} cannot be replaced ({_reason(error)}); name another folder") from error


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """A file to write to instead of `path`, in whose place it comes when all of it is written.

    Raises
    ------
    RecordError
        If it cannot be; there is nothing in its place that was not there before.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".telebeat-", dir=path.parent) as folder:
            part = Path(folder, f"new{path.suffix}")
            yield part
            os.replace(part, path)  # noqa: PTH105 - atomic on every platform
    except OSError as error:
        raise RecordError(
            f"{path} cannot be written ({_reason(error)}); make room there, or name another folder"
        ) from error


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
