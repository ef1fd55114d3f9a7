"""The ward over WFDB files: how a record is judged by the very code that runs at the bedside."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from replay.framing import frames, held, origin_us
from replay.records import Record, read_record
from stream import outputs
from stream.annotations import check, remove, shut_down, write_alerts, write_annotations, write_beats
from stream.errors import RecordError, TelebeatError
from stream.limits import Limits
from stream.ward import Ward
from stream.wire import Alert, Beat, Mark, Revision
from stream.workers import map_records

FRAME_MS: Final = 1000  # the longest there is: the cutting does not matter, so the fewest calls serve best


@dataclass(frozen=True)
class Annotated:
    """What became of one record.

    Attributes
    ----------
    name : str
    seconds : float
        Signal analysed.
    took : float
        Wall-clock seconds for reading, analysing and writing.
    beats : int
    alerts : Counter
        Raised, by rule.
    error : str
        Why it could not be done; empty: it was.
    """

    name: str
    seconds: float
    took: float
    beats: int
    alerts: Counter[str]
    error: str = ""


@dataclass(frozen=True)
class RecordOutput:
    """All that a ward says of one record."""

    beats: list[Beat]
    revisions: list[Revision]
    marks: list[Mark]
    alerts: list[Alert]


def analyse(record: Record, ward: Ward) -> RecordOutput:
    """Run one record, its end held, through a ward; it becomes one of its beds, and is forgotten at the end."""
    said = RecordOutput([], [], [], [])
    try:
        for frame in frames(held(record), record.name, origin_us=origin_us(record, "record"), frame_ms=FRAME_MS):
            ward.detect([frame])
            output = ward.judge()
            for batch in output.batches:
                said.beats.extend(batch.beats)
                said.revisions.extend(batch.revisions)
                said.marks.extend(batch.marks)
            said.alerts.extend(output.alerts)
    finally:
        ward.forget(record.name)
    return said


def annotate(path: Path, out: Path, ward: Ward, *, shutdown: bool = False, table: bool = False) -> Annotated:
    """Run one record through a ward and write ``OUT/NAME.tb`` and ``OUT/NAME.alerts.jsonl``.

    Files of these names from before are removed first, and what is written if not all of it can be, so that none is
    left where the record cannot be read or something is missing.

    Parameters
    ----------
    path : Path
        The record, without extension.
    out : Path
        Folder; must exist.
    ward : Ward
        Has no bed of the record's name.
    shutdown : bool
        Tell no beats where they are in doubt (`shut_down`); the alerts stay.
    table : bool
        Write ``OUT/NAME.beats.csv``, too.

    Raises
    ------
    TelebeatError
        The record cannot be read, or the output not be written.
    """
    started = time.perf_counter()
    remove(out, path.name)
    record = read_record(path)
    said = analyse(record, ward)
    beats, marks = shut_down(said.beats, said.marks) if shutdown else (said.beats, said.marks)
    try:
        write_annotations(out, record.name, record.rate_mHz / 1000, beats, said.revisions, marks)
        write_alerts(out, record.name, said.alerts)
        if table:
            write_beats(out, record.name, record.rate_mHz / 1000, beats, said.revisions)
    except RecordError:
        remove(out, record.name)
        raise
    raised = Counter(alert.rule for alert in said.alerts if alert.state == "raised")
    return Annotated(record.name, record.seconds, time.perf_counter() - started, len(beats), raised)


def annotate_all(
    paths: Sequence[Path],
    out: Path,
    model: Path | None,
    limits: Limits,
    jobs: int,
    *,
    shutdown: bool = False,
    table: bool = False,
) -> Iterator[Annotated]:
    """Run `annotate` over many records in `jobs` processes; a record that fails stops no other.

    Raises
    ------
    RecordError
        If two of them have the same name: one would write over what the other has written; or if nothing can be written
        in `out`, or a folder has the name of a file to come.
    ModelError
        The model cannot be read.
    """
    times = Counter(path.name for path in paths)
    if twice := [path.as_posix() for path in paths if times[path.name] > 1]:
        raise RecordError(
            f"{len(twice)} records share their names with others ({twice[0]}, ...) and would write the same files; "
            "choose one database with --database, and a folder for each with --out"
        )
    outputs.folder(out)
    for path in paths:
        check(out, path.name)
    yield from map_records(partial(_one, out=out, shutdown=shutdown, table=table), paths, model, limits, jobs)


def _one(path: Path, *, ward: Ward, out: Path, shutdown: bool, table: bool) -> Annotated:
    try:
        return annotate(path, out, ward, shutdown=shutdown, table=table)
    except TelebeatError as error:
        return Annotated(path.name, 0.0, 0.0, 0, Counter(), str(error))
    except Exception as error:  # whatever one record does to the libraries below, the others are judged
        return Annotated(path.name, 0.0, 0.0, 0, Counter(), f"record {path.name}: {error!r}; please report it")
