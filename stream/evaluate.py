"""Records judged as they run at the bedside: the ward's own annotations, and the probabilities behind its labels.

A record is heard twice in one process: by the ward, whose annotations EC57 judges, and by `model.dataset`, which gives
what training is given, and so the probabilities of all classes. The two must agree beat by beat (`Heard.differences`);
that they do is part of every evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.codes import CLASSES
from model.dataset import DS1, Passage, passage, subject_of
from model.ec57 import LEARNING_S, RecordScore, Score, score_files
from model.evaluation import baselines
from model.evaluation.ablation import KIND_WORDS, RR_WORDS, Ablation, withheld
from model.evaluation.judging import Judged, Probabilities, judge, key, spread, summary
from model.lstm import BothWords, read_words
from model.reader import Reader
from replay.records import find_records, read_record
from stream import limits
from stream.annotate import analyse
from stream.annotations import ANNOTATOR, remove, write_annotations
from stream.errors import RecordError, TelebeatError
from stream.ward import Ward
from stream.workers import over_records

DATABASES: Final = ("mitdb", "svdb")  # whose beats are annotated by class, and which the model was developed on

#: How a record stands to the model that is judged.
TAUGHT, STOPPED, NEW, UNSCORED = "taught", "decided when to stop", "new", "paced, not scored"


@dataclass(frozen=True, eq=False)
class Heard:
    """One record as the ward and as training heard it.

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

    def differences(self, read: BothWords) -> int:
        """Beats whose place, or a word on them as it was published, is not that of a reading of the passage."""
        if len(self.samples) != len(self.passage.samples):
            return max(len(self.samples), len(self.passage.samples))
        same = self.samples == self.passage.samples
        for published, reading in ((self.first, read.first), (self.last, read.last)):
            ours = [(CLASSES[int(row.argmax())], round(float(row.max()), 4)) for row in reading]
            same &= np.array([a == b for a, b in zip(published, ours, strict=True)], np.bool_)
        return int((~same).sum())


def choose(
    folders: Sequence[Path], names: Sequence[str], databases: Sequence[str], annotator: str = "atr"
) -> list[Path]:
    """The records to judge, each with its reference.

    Parameters
    ----------
    folders : sequence of Path
        Data folders, best first.
    names : sequence of str
        Records; without any, all annotated ones of the databases, of mitdb those of DS1.
    databases : sequence of str
        Where to look; without any, `DATABASES` if no record is named.

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
    for database in databases or DATABASES:
        found = [p for p in find_records(folders, None, database) if p.with_name(f"{p.name}.{annotator}").is_file()]
        if database == "mitdb":
            found = [p for p in found if p.name in DS1]
        if not found:
            raise RecordError(
                f"no record of {database} has reference annotations (*.{annotator}); choose another --database, or "
                f"another suffix with --reference-annotator"
            )
        paths += found
    return _each_once(paths)


def _each_once(paths: Sequence[Path]) -> list[Path]:
    """The same, none twice.

    Raises
    ------
    RecordError
        Two of them go by one name: they would be judged by one annotation file.
    """
    known: dict[tuple[str, str], Path] = {}
    for path in paths:
        other = known.setdefault((path.parent.name, path.name), path)
        if other.resolve() != path.resolve():
            raise RecordError(
                f"{other} and {path} are both called {path.parent.name}/{path.name}; evaluate them one after the other"
            )
    return list(known.values())


def hear(path: Path, out: Path, ward: Ward, annotator: str = "atr", start_s: float = LEARNING_S) -> Heard:
    """Hear one record both ways; the ward's annotations are written below `out`, in a folder of its database.

    They are scored from `start_s` on, here and at once: what cannot be scored must cost no other record.

    Raises
    ------
    RecordError
        A file cannot be read or written.
    """
    record = read_record(path)
    said = analyse(record, ward)
    folder = out / path.parent.name
    found, oracle = (passage(path.parent, path.name, annotator=annotator, oracle=beats) for beats in (False, True))
    folder.mkdir(parents=True, exist_ok=True)
    write_annotations(folder, record.name, record.rate_mhz / 1000, said.beats, said.revisions, said.marks)
    score = score_files(
        path.parent, folder, path.name, annotator=ANNOTATOR, reference_annotator=annotator, start_s=start_s
    )
    last = {revision.sample: revision for revision in said.revisions}
    words = [last.get(beat.sample, beat) for beat in said.beats]
    return Heard(
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


def hear_all(
    paths: Sequence[Path], out: Path, model: Path | None, annotator: str, start_s: float, jobs: int
) -> Iterator[tuple[Path, Heard | str]]:
    """`hear` many records in order, in `jobs` processes; one that fails stops no other, and why comes in its place."""
    chosen = limits.load()  # here, where a wrong one can still be told
    heard = over_records(partial(_one, out=out, annotator=annotator, start_s=start_s), paths, model, chosen, jobs)
    yield from zip(paths, heard, strict=True)


def _one(path: Path, *, ward: Ward, out: Path, annotator: str, start_s: float) -> Heard | str:
    remove(out / path.parent.name, path.name)
    try:
        return hear(path, out, ward, annotator, start_s)
    except TelebeatError as error:
        return str(error)
    except Exception as error:  # whatever one record does to the libraries below, the others are judged
        return f"record {path}: {error!r}; please report it"


@dataclass(frozen=True, eq=False)
class Line:
    """One way of reading the beats, judged.

    Attributes
    ----------
    name, meaning : str
    figures : dict
        `model.evaluation.judging.summary`, over all records.
    folds : sequence of dict
        The same of each fold; empty where nothing was trained.
    """

    name: str
    meaning: str
    figures: Mapping[str, Any]
    folds: Sequence[Mapping[str, Any]] = ()

    @classmethod
    def of(cls, name: str, meaning: str, judged: Judged, folds: Sequence[Judged] = ()) -> Line:
        """From readings that were judged."""
        return cls(
            name,
            meaning,
            summary(judged.gross, judged.figures),
            [summary(fold.gross, fold.figures) for fold in folds],
        )

    def spread(self, figure: str) -> float | None:
        """SD of a figure over the folds."""
        return spread(self.folds, figure)

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        spreads = {name: self.spread(name) for name, value in self.figures.items() if not isinstance(value, dict)}
        return {
            "name": self.name,
            "meaning": self.meaning,
            **self.figures,
            "folds": [dict(fold) for fold in self.folds],
            "spread": spreads if self.folds else None,
        }


@dataclass(frozen=True, eq=False)
class Row:
    """One record's results."""

    record: str
    standing: str
    score: RecordScore
    accuracy: float | None
    differences: int

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {
            **self.score.as_dict(),
            "record": self.record,
            "standing": self.standing,
            "accuracy": self.accuracy,
            "differences": self.differences,
        }


@dataclass(frozen=True, eq=False)
class Evaluation:
    """All that is known of a model on some records.

    Attributes
    ----------
    rows : sequence of Row
    score : Score
        EC57 of the records it scores, by the ward's annotation files.
    judged : Judged
        The same records with the probabilities of every beat, also where the ward has declared fibrillation.
    same_weights : sequence of Line
        The model with words withheld, without state, on reference beats, and the rules: nothing trained.
    arms : sequence of Line
        Everything taught anew and judged on unseen subjects (`model.evaluation.arms`).
    delays : dict
        Percentiles of the time from R peak to detection and to class, ms.
    about : dict
        What was asked.
    unseen : Judged or None
        The recipe that ships, each subject read by a network that has never seen it; needs the arm ``whole``.
    """

    rows: Sequence[Row]
    score: Score
    judged: Judged
    same_weights: Sequence[Line]
    delays: Mapping[str, float]
    about: Mapping[str, Any]
    arms: Sequence[Line] = field(default_factory=list)
    unseen: Judged | None = None

    @property
    def differences(self) -> int:
        """Beats that training would not have been given as the ward has read them."""
        return sum(row.differences for row in self.rows)

    def standing(self, which: str) -> Score | None:
        """EC57 of the scored records of one standing; None without any."""
        some = [row.score for row in self.rows if row.standing == which]
        return Score.of(some) if some else None

    def as_dict(self) -> dict[str, Any]:
        """Everything as plain numbers for JSON."""
        total = self.score.as_dict()
        groups = {which: self.standing(which) for which in (TAUGHT, STOPPED, NEW)}
        return {
            "about": dict(self.about),
            "ec57": {"gross": total["gross"], "average": total["average"]},
            "by_standing": {name: some.gross.as_dict() for name, some in groups.items() if some is not None},
            "classes": self.judged.figures.as_dict(),
            "delays_ms": dict(self.delays),
            "same_weights": [line.as_dict() for line in self.same_weights],
            "arms": [line.as_dict() for line in self.arms],
            "unseen": None if self.unseen is None else _unseen(self.unseen),
            "online_equals_offline": {"beats_that_differ": self.differences, "records": len(self.rows)},
            "records": [row.as_dict() for row in self.rows],
        }


def _unseen(judged: Judged) -> dict[str, Any]:
    """Classes, and EC57's counts of each record by label (`model.ec57.LABELS`), as plain numbers."""
    return {
        "classes": judged.figures.as_dict(),
        "counts": {name: table.counts.tolist() for name, table in judged.tables.items()},
    }


def evaluate(heard: Sequence[Heard], reader: Reader, *, start_s: float, about: Mapping[str, Any]) -> Evaluation:
    """Judge what `hear` has heard, and has scored from `start_s` on, too; nothing is trained."""
    from model.train import read_passage, words_of  # noqa: PLC0415 - torch is only needed here

    weights = reader.weights
    plain = [one.passage for one in heard]
    both = {key(p): read_passage(p, weights) for p in plain}
    readings = {name: words.last for name, words in both.items()}
    rows = []
    for one in heard:
        p = one.passage
        name = key(p)
        accuracy = judge([p], readings, start_s).figures.accuracy
        rows.append(Row(name, standing(p, reader.card), one.score, accuracy, one.differences(both[name])))
    judged = judge(plain, readings, start_s)

    def line(name: str, meaning: str, read: Callable[[Passage], Probabilities], passages: Sequence[Passage]) -> Line:
        return Line.of(name, meaning, judge(passages, {key(p): read(p) for p in passages}, start_s))

    def first(p: Passage) -> Probabilities:
        return both[key(p)].first

    def without(ablation: Ablation) -> Callable[[Passage], Probabilities]:
        return lambda p: read_passage(withheld(p, ablation), weights).last

    same = [
        Line.of("as it is", "the model on the beats that were found, by the last word on each", judged),
        line("first word", "what alarms act on: nothing later than 300 ms after the R peak", first, plain),
        line("no text", "shape words withheld", without(Ablation(text=False)), plain),
        line("no RR words", "words that speak of time withheld", without(Ablation(silent=RR_WORDS)), plain),
        line("no kinds", "words of the patient's kinds of beat withheld", without(Ablation(silent=KIND_WORDS)), plain),
        line(
            "no state",
            "the LSTM's state reset before every beat",
            lambda p: read_words(weights.layers, words_of(p, weights.vocabulary), p.follows, alone=True).last,
            plain,
        ),
        line(
            "oracle beats",
            "beats of the reference instead of detected ones",
            lambda p: read_passage(p, weights).last,
            [one.oracle for one in heard],
        ),
        line("rules", "baseline: RR and template rules, no network", baselines.rules, plain),
    ]
    scored = Score.of([row.score for row in rows if row.standing != UNSCORED])
    return Evaluation(rows, scored, judged, same, _delays(heard), about)


def standing(p: Passage, card: Mapping[str, Any]) -> str:
    """How a record stands to a model, by the model's card."""
    if not p.scored:
        return UNSCORED
    taught = (*card.get("trained_on", ()), *card.get("taught_itself_on", ()))
    if p.subject in {subject_of(*name.split("/", 1)) for name in taught}:
        return TAUGHT
    if p.subject in card.get("stopped_by", ()):
        return STOPPED
    return NEW


def _delays(heard: Sequence[Heard]) -> dict[str, float]:
    """Percentiles over all beats of all records, ms."""
    told = {}
    for name in ("found_ms", "known_ms", "last_ms"):
        times = np.concatenate([np.zeros(0), *(getattr(one, name) for one in heard)])
        times = times[np.isfinite(times)]
        for percentile in (50, 99, 100):
            if len(times):
                told[f"{name.removesuffix('_ms')}_p{percentile}"] = float(np.percentile(times, percentile))
    return told
