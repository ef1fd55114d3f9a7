"""Records by both paths, the bedside's and the training's, for `stream.evaluate` to judge.

A record is analysed twice in one process: by the ward, whose annotations EC57 judges, and by `model.dataset`, which
gives what training is given, and so the probabilities of all classes. The two must agree beat by beat
(`BothPaths.differences`); that they do is part of every evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from model.codes import CLASSES
from model.dataset import DS1, REFERENCE, Passage, is_annotated, passage
from model.ec57 import LEARNING_S, RecordScore, score_files
from model.lstm import BeatProbabilities
from replay.folders import database_of
from replay.folders import records as folder_records
from replay.records import find_records, read_record
from stream import limits
from stream.annotate import analyse
from stream.annotations import ANNOTATOR, remove, write_annotations
from stream.errors import RecordError, TelebeatError
from stream.ward import Ward
from stream.workers import map_records

DATABASES: Final = ("mitdb", "svdb")  # whose beats are annotated by class, and which the model was developed on


@dataclass(frozen=True, eq=False)
class BothPaths:
    """One record as the ward and as training analysed it.

    Attributes
    ----------
    passage, oracle : Passage
        What training is given: at the beats that were found, and at those of the reference.
    samples : int64 (n,)
        R peaks of the ward's beats.
    first, last : sequence of (str, float)
        The first and the last word on each beat and its probability, as the ward publishes them; the last is the first
        where no beat followed.
    found_ms, known_ms, last_ms : float64 (n,)
        From the R peak to its detection, to the first word and to the last; NaN where there is no last.
    seconds : float
    score : RecordScore
        EC57 of the ward's annotations, as `telebeat score` has it.
    """

    passage: Passage
    oracle: Passage
    samples: npt.NDArray[np.int64]
    first: Sequence[tuple[str, float]]
    last: Sequence[tuple[str, float]]
    found_ms: npt.NDArray[np.float64]
    known_ms: npt.NDArray[np.float64]
    last_ms: npt.NDArray[np.float64]
    seconds: float
    score: RecordScore

    def differences(self, read: BeatProbabilities) -> int:
        """Number of beats whose sample, label or probability differs between the two paths."""
        if len(self.samples) != len(self.passage.samples):
            return max(len(self.samples), len(self.passage.samples))
        same = self.samples == self.passage.samples
        for published, reading in ((self.first, read.first), (self.last, read.last)):
            ours = [(CLASSES[int(row.argmax())], round(float(row.max()), 4)) for row in reading]
            same &= np.array([a == b for a, b in zip(published, ours, strict=True)], np.bool_)
        return int((~same).sum())


def choose(
    folders: Sequence[Path],
    names: Sequence[str],
    databases: Sequence[str],
    annotator: str = REFERENCE,
    remark: Callable[[str], None] = lambda _: None,
) -> list[Path]:
    """The records to judge, each with its reference.

    Parameters
    ----------
    folders : sequence of Path
        Data folders, best first.
    names : sequence of str
        Records; without any, all annotated ones of the databases.
    databases : sequence of str
        Where to look; without any, and without names, what is there of `DATABASES`, of mitdb only DS1 if any of it is.
    annotator : str
        Suffix of the reference annotations.
    remark : callable
        Told which records are left out, and why.

    Raises
    ------
    RecordError
        If a record or its reference annotations are not there.
    """
    if names:
        places: Sequence[str | None] = databases or (None,)
        if len(places) > 1:
            raise RecordError("records are named in several databases; write them as mitdb/208, without --database")
        paths = find_records(folders, names, places[0])
        for path in paths:
            if not path.with_name(f"{path.name}.{annotator}").is_file():
                raise RecordError(
                    f"record {path.name} has no reference annotations {path}.{annotator}, so nothing can be judged; "
                    "name records that an expert has annotated, or another suffix with --reference-annotator"
                )
        return _each_once(paths)
    paths = []
    usual = [name for name in DATABASES if any(folder_records(folder, name) for folder in folders)]
    for database in databases or usual or DATABASES[:1]:
        there = find_records(folders, None, database)
        found = [p for p in there if p.with_name(f"{p.name}.{annotator}").is_file()]
        if not found and databases:
            raise RecordError(
                f"no record of {database} has reference annotations (*.{annotator}); choose another --database, or "
                f"another suffix with --reference-annotator"
            )
        if bare := [p.name for p in there if p not in found]:
            remark(f"{database}: {some_of(bare)} left out, without reference annotations (*.{annotator})")
        developed = [p for p in found if p.name in DS1]
        if database == "mitdb" and not databases and developed:
            if other := [p.name for p in found if p not in developed]:
                remark(f"mitdb: {some_of(other)} left out, not of DS1; name them, or say --database mitdb for all")
            found = developed
        paths += found
    if not databases and (absent := [name for name in DATABASES if name not in usual]):
        remark(f"{', '.join(absent)}: not there, left out")
    if not paths:
        raise RecordError(
            f"no record of {' or '.join(DATABASES)} has reference annotations (*.{annotator}); choose a --database, or "
            "another suffix with --reference-annotator"
        )
    return _each_once(paths)


def some_of(names: Sequence[str]) -> str:
    """How many there are, and the first of them."""
    return f"{len(names)} ({', '.join(names[:5])}{', ...' if len(names) > 5 else ''})"


def _each_once(paths: Sequence[Path]) -> list[Path]:
    """The same, none twice.

    Raises
    ------
    RecordError
        Two of them go by one name: they would be judged by one annotation file.
    """
    known: dict[tuple[str, str], Path] = {}
    for path in paths:
        database = database_of(path.parent)
        other = known.setdefault((database, path.name), path)
        if other.resolve() != path.resolve():
            raise RecordError(
                f"{other} and {path} are both called {database}/{path.name}; evaluate them one after the other"
            )
    return list(known.values())


def run_both(path: Path, out: Path, ward: Ward, annotator: str = REFERENCE, start_s: float = LEARNING_S) -> BothPaths:
    """Analyse one record both ways; the ward's annotations are written below `out`, in a folder of its database.

    They are scored from `start_s` on, here and at once: what cannot be scored must cost no other record.

    Raises
    ------
    RecordError
        A file cannot be read or written, or no beat has a reference.
    """
    record = read_record(path)
    if not is_annotated(path, annotator):
        raise RecordError(
            f"record {path.name} has no beat in its reference annotations {path}.{annotator}, so nothing can be judged"
        )
    said = analyse(record, ward)
    folder = out / database_of(path.parent)
    found, oracle = (passage(path.parent, path.name, annotator=annotator, oracle=beats) for beats in (False, True))
    folder.mkdir(parents=True, exist_ok=True)
    write_annotations(folder, record.name, record.rate_mHz / 1000, said.beats, said.revisions, said.marks)
    score = score_files(
        path.parent, folder, path.name, annotator=ANNOTATOR, reference_annotator=annotator, start_s=start_s
    )
    last = {revision.sample: revision for revision in said.revisions}
    words = [last.get(beat.sample, beat) for beat in said.beats]
    return BothPaths(
        found,
        oracle,
        np.array([beat.sample for beat in said.beats], np.int64),
        [(beat.label, beat.probability) for beat in said.beats],
        [(word.label, word.probability) for word in words],
        np.array([beat.found_ms for beat in said.beats]),
        np.array([beat.known_ms for beat in said.beats]),
        np.array([last[beat.sample].known_ms if beat.sample in last else np.nan for beat in said.beats]),
        record.seconds,
        score,
    )


def run_all(
    paths: Sequence[Path], out: Path, model: Path | None, annotator: str, start_s: float, jobs: int
) -> Iterator[tuple[Path, BothPaths | str]]:
    """`run_both` many records in order, in `jobs` processes; one that fails stops no other, and why is in its place."""
    chosen = limits.load()  # here, where a wrong one can still be told
    runs = map_records(partial(_one, out=out, annotator=annotator, start_s=start_s), paths, model, chosen, jobs)
    yield from zip(paths, runs, strict=True)


def _one(path: Path, *, ward: Ward, out: Path, annotator: str, start_s: float) -> BothPaths | str:
    try:
        remove(out / database_of(path.parent), path.name)
        return run_both(path, out, ward, annotator, start_s)
    except TelebeatError as error:
        return str(error)
    except Exception as error:  # whatever one record does to the libraries below, the others are judged
        return f"record {path}: {error!r}; please report it"
