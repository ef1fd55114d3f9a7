"""Records judged as they run at the bedside: the ward's own annotations, and the probabilities behind its labels.

`stream.both_paths` listens; here is what is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from model.dataset import Passage
from model.ec57 import RecordScore, Score
from model.evaluation import baselines
from model.evaluation.ablation import KIND_WORDS, RR_WORDS, Ablation, withheld
from model.evaluation.judging import Judged, Probabilities, judge, key, spread, summary
from model.lstm import classify_sequence
from model.reader import Reader
from model.subjects import may_be, subject_of
from replay.folders import DATABASES
from stream.both_paths import BothPaths

#: How a record stands to the model that is judged.
TRAINED, STOPPED, NEW, UNKNOWN, UNSCORED = "trained on", "decided when to stop", "new", "not known", "not scored"
#: Of these the records are scored.
STANDINGS: Final = (TRAINED, STOPPED, NEW, UNKNOWN)


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

    def row(self) -> dict[str, Any]:
        """A row of a CSV table: name, meaning, number of folds, figures and their SD over the folds."""
        figures = {k: v for k, v in self.figures.items() if not isinstance(v, dict)}
        spreads = {f"{k}_sd": self.spread(k) if self.folds else None for k in figures}
        told = {k: "" if v is None else round(v, 4) for k, v in (figures | spreads).items()}
        return {"name": self.name, "meaning": self.meaning, "folds": len(self.folds), **told}

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
        Everything trained anew and judged on unseen subjects (`model.evaluation.arms`).
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
        groups = {which: self.standing(which) for which in STANDINGS}
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


def evaluate(runs: Sequence[BothPaths], reader: Reader, *, start_s: float, about: Mapping[str, Any]) -> Evaluation:
    """Judge what `run_both` gave, and has scored from `start_s` on, too; nothing is trained."""
    from model.train import read_passage, words_of  # noqa: PLC0415 - torch is only needed here

    weights = reader.weights
    plain = [one.passage for one in runs]
    both = {key(p): read_passage(p, weights) for p in plain}
    readings = {name: words.last for name, words in both.items()}
    rows = []
    for one in runs:
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
            lambda p: classify_sequence(weights.layers, words_of(p, weights.vocabulary), p.follows, alone=True).last,
            plain,
        ),
        line(
            "oracle beats",
            "beats of the reference instead of detected ones",
            lambda p: read_passage(p, weights).last,
            [one.oracle for one in runs],
        ),
        line("rules", "baseline: RR and template rules, no network", baselines.rules, plain),
    ]
    scored = Score.of([row.score for row in rows if row.standing != UNSCORED])
    return Evaluation(rows, scored, judged, same, _delays(runs), about)


def standing(p: Passage, card: Mapping[str, Any]) -> str:
    """How a record stands to a model, by the model's card.

    In a folder of another name than its database's, such as a choice of records of two, nobody can tell whose heart a
    record is that is called like one of the card's: it is not known.
    """
    if not p.scored:
        return UNSCORED
    named = (*card.get("trained_on", ()), *card.get("self_trained_on", ()))
    trained = {subject_of(*name.split("/", 1)) for name in named}
    stopped = {subject_of(*name.split("/", 1)) for name in card.get("stopped_by", ())}
    if p.subject in trained:
        return TRAINED
    if p.subject in stopped:
        return STOPPED
    databases = DATABASES | {name.split("/")[0] for name in (*named, *stopped)}
    if p.database not in databases and may_be(p.record, trained | stopped):
        return UNKNOWN
    return NEW


def _delays(runs: Sequence[BothPaths]) -> dict[str, float]:
    """Percentiles over all beats of all records, ms."""
    told = {}
    for name in ("found_ms", "known_ms", "last_ms"):
        times = np.concatenate([np.zeros(0), *(getattr(one, name) for one in runs)])
        times = times[np.isfinite(times)]
        for percentile in (50, 99, 100):
            if len(times):
                told[f"{name.removesuffix('_ms')}_p{percentile}"] = float(np.percentile(times, percentile))
    return told
