"""The two files a bed's output becomes: a WFDB annotation file and its alerts, one JSON object a line.

`telebeat annotate` writes them from a record, `telebeat tail --out` from Kafka; over the same samples they are the same
bytes, because both put events into one order here.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import wfdb

from model.codes import DOUBTED, UNREADABLE
from model.ec57 import files
from stream import outputs
from stream.errors import RecordError
from stream.wire import VF_RHYTHM, Alert, Beat, Mark, Revision, encode_alert

ANNOTATOR: Final = "tb"
ALERTS: Final = "alerts.jsonl"
BEATS: Final = "beats.csv"
#: Columns of a table of beats: when, both words and how sure they are, the shape word, and when all that was known.
COLUMNS: Final = (
    *("sample", "time_s", "first", "first_probability", "last", "last_probability", "token"),
    *("rr_ms", "found_ms", "known_ms", "last_known_ms"),
)

#: WFDB's symbols that stand at no beat: rhythm, quality, ST and T changes, comments, measurements, links.
NO_BEATS: Final = frozenset("+~sT*D=\"@'`^pt()u|x[]!")

#: A rhythm begins with its beat and fibrillation ends before the next: marks of one sample stand in this order. Of two
#: rhythms fibrillation is the last.
_ORDER: Final = {"]": 0, "~": 1, "+": 2, "[": 4}
_OF_FIBRILLATION: Final = 3
_BEAT: Final = 5


def check(folder: Path, bed: str) -> None:
    """See that nothing is in the way of a bed's files.

    Raises
    ------
    RecordError
        If one of them is a folder.
    """
    for path in _paths(folder, bed):
        outputs.no_folder(path)


def remove(folder: Path, bed: str) -> None:
    """Remove the files of a bed, where they are: what an earlier run said must not pass for what this one says.

    Raises
    ------
    RecordError
        If one of them cannot be removed.
    """
    for path in _paths(folder, bed):
        outputs.remove(path)


def _paths(folder: Path, bed: str) -> list[Path]:
    return [folder / f"{bed}.{suffix}" for suffix in (ANNOTATOR, ALERTS, BEATS)]


def write_annotations(
    folder: Path,
    bed: str,
    rate_hz: float,
    beats: Iterable[Beat],
    revisions: Iterable[Revision],
    marks: Iterable[Mark],
) -> Path:
    """Write ``FOLDER/BED.tb``: each beat by the last word on it, or by the first where there is no other.

    Parameters
    ----------
    folder : Path
        Must exist.
    bed : str
        Of the record, or of the bed.
    rate_hz : float
        Sampling rate in which the samples count; it is written into the file.
    beats, revisions, marks : iterable of Beat, Revision, Mark
        In any order.

    Raises
    ------
    RecordError
        If the file cannot be written.
    """
    rows = marks_of(beats, revisions, marks)
    path = folder / f"{bed}.{ANNOTATOR}"
    with outputs.aside(path) as part:
        if not rows:
            # An annotation file that says nothing: its end mark alone, which the library refuses to write.
            part.write_bytes(files.END)
            return path
        try:
            wfdb.wrann(
                part.stem,  # the library wants letters and digits alone, a record may be called otherwise
                ANNOTATOR,
                np.array([max(row.sample, 0) for row in rows]),
                symbol=[row.symbol for row in rows],
                aux_note=[row.aux for row in rows],
                subtype=np.array([row.subtype for row in rows]),
                fs=rate_hz,
                write_dir=str(part.parent),
            )
        except ValueError as error:
            raise RecordError(f"{path} cannot be written: {error}; please report it") from error
    return path


def write_beats(folder: Path, bed: str, rate_hz: float, beats: Sequence[Beat], revisions: Iterable[Revision]) -> Path:
    """Write ``FOLDER/BED.beats.csv``: a line a beat, columns `COLUMNS`; the last word is empty where none was said.

    Raises
    ------
    RecordError
        If the file cannot be written.
    """
    last = {revision.sample: revision for revision in revisions}
    path = folder / f"{bed}.{BEATS}"
    with outputs.aside(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for beat in beats:
            word = last.get(beat.sample)
            settled, known = ((word.label, word.probability), word.known_ms) if word is not None else (("", ""), "")
            first = (beat.sample, round(beat.sample / rate_hz, 4), beat.label, beat.probability)
            writer.writerow((*first, *settled, beat.token, beat.rr_ms, beat.found_ms, beat.known_ms, known))
    return path


def marks_of(beats: Iterable[Beat], revisions: Iterable[Revision], marks: Iterable[Mark]) -> list[Mark]:
    """All of it as annotations in the file's order: beats by the last word on each.

    Fibrillation is told some seconds after its begin. A rhythm that was told of these seconds before that was known is
    left out: it would end the fibrillation.
    """
    last = {revision.sample: revision.label for revision in revisions}
    rows = [(beat.sample, _BEAT, last.get(beat.sample, beat.label), "", 0) for beat in beats]
    rows += [(mark.sample, _place(mark), mark.symbol, mark.aux, mark.subtype) for mark in marks]
    told: list[Mark] = []
    fibrillating = False
    for sample, _, symbol, aux, subtype in sorted(rows):
        if symbol in ("[", "]"):
            fibrillating = symbol == "["
        if symbol != "+" or not fibrillating:
            told.append(Mark(sample, symbol, aux, subtype))
    return told


def _place(what: Beat | Mark) -> int:
    """Where it stands among what is told of one sample."""
    if isinstance(what, Beat):
        return _BEAT
    return _OF_FIBRILLATION if what.aux == VF_RHYTHM else _ORDER[what.symbol]


def shut_down(beats: Sequence[Beat], marks: Sequence[Mark]) -> tuple[list[Beat], list[Mark]]:
    """What is left where beats in doubt are suppressed: EC57's shutdown.

    No beat is told from a `~` of doubt, or of no readable signal, to the next `~` of neither. A rhythm that begins in
    between begins with its end. Fibrillation stays and breaks the shutdown: EC57 knows no `~` between `[` and `]`.

    Parameters
    ----------
    beats : sequence of Beat
    marks : sequence of Mark
        In any order.

    Returns
    -------
    list of Beat, list of Mark
        Each in the order of their samples.
    """
    kept: list[Beat] = []
    told: list[Mark] = []
    shut = fibrillating = False
    begun: Mark | None = None  # a rhythm, in between
    everything: list[Beat | Mark] = [*beats, *marks]
    everything.sort(key=lambda one: (one.sample, _place(one)))
    for one in everything:
        if isinstance(one, Mark) and one.symbol == "~":
            was, shut = shut, any(one.subtype & bits == bits for bits in (DOUBTED, UNREADABLE))
            if not fibrillating and (not shut or not was):  # the mark that follows one of shutdown is its end
                told.append(msgspec.structs.replace(one, subtype=one.subtype | UNREADABLE) if shut else one)
            if not shut and begun is not None:
                told.append(msgspec.structs.replace(begun, sample=one.sample))
                begun = None
        elif isinstance(one, Mark):
            if shut and one.symbol == "+" and one.aux != VF_RHYTHM:
                begun = one
            elif one.symbol in "[]":
                fibrillating = one.symbol == "["
                begun = None  # what was said of another rhythm up to here is over
                edge = [Mark(one.sample, "~", "", 0 if fibrillating else UNREADABLE)] if shut else []
                told += [*edge, one] if fibrillating else [one, *edge]
            else:
                told.append(one)
        elif not shut:
            kept.append(one)
    last = {mark.sample: k for k, mark in enumerate(told) if mark.symbol == "~"}  # of several at once, the last holds
    return kept, [mark for k, mark in enumerate(told) if mark.symbol != "~" or last[mark.sample] == k]


def write_alerts(folder: Path, bed: str, alerts: Iterable[Alert]) -> Path:
    """Write ``FOLDER/BED.alerts.jsonl``: every message of every alert, in the order of the decisions.

    Parameters
    ----------
    folder : Path
        Must exist.
    bed : str
    alerts : iterable of Alert
        In any order: a bed that moved has alerts on several partitions.

    Raises
    ------
    RecordError
        If the file cannot be written.
    """
    lines = sorted(alerts, key=_decision)
    path = folder / f"{bed}.{ALERTS}"
    with outputs.aside(path) as part:
        part.write_bytes(b"".join(encode_alert(alert) + b"\n" for alert in lines))
    return path


def read_labels(path: Path, annotator: str, rate_hz: float) -> list[tuple[int, str]]:
    """Sample and symbol of every annotation in ``PATH.ANNOTATOR`` that has its place at a beat.

    Raises
    ------
    RecordError
        If the file is missing or damaged, or counts at another rate than the record.
    """
    read = files.read(path.parent, path.name, annotator, rate_hz)
    return [(int(at), text) for at, text in zip(read.samples, read.symbols, strict=True) if text not in NO_BEATS]


def _decision(alert: Alert) -> tuple[int, int, str, bool]:
    # A beat that ends a pause may lie before the moment at which the pause was declared, and be found after it.
    at = max(alert.decided_sample, alert.cleared_sample or 0)
    return at, alert.onset_sample, alert.rule, alert.state == "cleared"
