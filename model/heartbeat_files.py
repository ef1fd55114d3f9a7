"""The CSV files of the well-known set of single beats: 187 values between 0 and 1 and a label in each line.

``mitbih_train.csv`` and ``mitbih_test.csv`` (labels 0 to 4 for N S V F Q), ``ptbdb_normal.csv`` (0) and
``ptbdb_abnormal.csv`` (1). They tell no patient, so they can be split by beats only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from model.heartbeats import MITBIH, SAMPLES, Heartbeats, Task
from stream.errors import RecordError

FILES: Final = {
    "mitbih": ("mitbih_train.csv", "mitbih_test.csv"),
    "ptb": ("ptbdb_normal.csv", "ptbdb_abnormal.csv"),
}
LINES: Final = 2000  # read at once: some 10 MB of text
OVER: Final = 1e-3  # that a value may lie outside of 0 ... 1: rounding of whoever wrote it


def from_csv(folder: Path, task: Task, report: Callable[[int], None] = lambda _: None) -> Heartbeats:
    """Read a task's two files.

    Parameters
    ----------
    folder : Path
    task : Task
    report : callable
        Told how many characters were read since the last call.

    Raises
    ------
    RecordError
        A file is missing or empty; or a line has not 188 columns, something that is no number, a value outside of
        0 ... 1, or a label that the file cannot have. The message names file and line.
    """
    paths = [whole(folder, task) / name for name in FILES[task.name]]
    allowed = [range(len(task.classes))] * 2 if task is MITBIH else [range(1), range(1, 2)]
    parts = [_read(path, labels, report) for path, labels in zip(paths, allowed, strict=True)]
    rows = np.concatenate([rows for rows, _ in parts])
    labels = np.concatenate([labels for _, labels in parts])
    test = np.repeat([False, True], [len(labels) for _, labels in parts]) if task is MITBIH else None
    return Heartbeats(task, rows, labels, None, None, test, " and ".join(path.name for path in paths))


def whole(folder: Path, task: Task) -> Path:
    """A folder that has both files of a task.

    Raises
    ------
    RecordError
        It has not.
    """
    if absent := [name for name in FILES[task.name] if not (folder / name).is_file()]:
        raise RecordError(
            f"{folder} has no {' and no '.join(absent)}; --csv-dir wants the folder of the files "
            f"{', '.join(FILES[task.name])}; without it the beats are built from WFDB records"
        )
    return folder


def characters(folder: Path, task: Task) -> int:
    """How many characters the task's files hold, for a progress bar; 0 for those that are not there."""
    return sum((folder / name).stat().st_size for name in FILES[task.name] if (folder / name).is_file())


def _read(
    path: Path, labels: range, report: Callable[[int], None]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    blocks = []
    first = 1
    for lines in _blocks(path):
        blocks.append(_block(path, first, lines, labels))
        first += len(lines)
        report(sum(map(len, lines)))
    if not blocks:
        raise RecordError(f"{path}: the file is empty; copy it again")
    block = np.concatenate(blocks)
    return np.ascontiguousarray(np.clip(block[:, :SAMPLES], 0.0, 1.0)), block[:, SAMPLES].astype(np.int64)


def _blocks(path: Path) -> Iterator[list[str]]:
    try:
        with path.open(encoding="utf-8") as file:
            while lines := list(islice(file, LINES)):
                yield lines
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(f"{path} cannot be read as text ({error}); copy it again") from error


def _block(path: Path, first: int, lines: list[str], labels: range) -> npt.NDArray[np.float32]:
    """Some lines as numbers, float32 (n, SAMPLES + 1); the first line that is wrong is told."""
    for number, line in enumerate(lines, first):
        if (columns := line.count(",") + 1) != SAMPLES + 1:
            raise RecordError(
                f"{path}, line {number}: {columns} columns instead of {SAMPLES + 1} ({SAMPLES} values and a label); "
                "the file is cut short or not one of the set"
            )
    try:
        block = np.loadtxt(lines, dtype=np.float32, delimiter=",", comments=None, ndmin=2)
    except ValueError:
        for number, line in enumerate(lines, first):
            for column, text in enumerate(line.split(","), 1):
                if not _is_number(text):
                    raise RecordError(
                        f"{path}, line {number}: {text.strip()!r} in column {column} is no number; "
                        "the files of the set have no line of names"
                    ) from None
        raise
    values, given = block[:, :SAMPLES], block[:, SAMPLES]
    inside = (values >= -OVER) & (values <= 1.0 + OVER)  # False for NaN
    if not inside.all():
        row, column = (int(i) for i in np.argwhere(~inside)[0])
        raise RecordError(
            f"{path}, line {first + row}: {values[row, column]:g} in column {column + 1}, but values are 0 to 1; "
            "bring each beat to that range or remove the line"
        )
    known = np.isin(given, list(labels))
    if not known.all():
        row = int(np.argmin(known))
        raise RecordError(
            f"{path}, line {first + row}: label {given[row]:g}, but this file has "
            f"{' '.join(map(str, labels))}; is it the right file?"
        )
    return block


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
