"""Cross-validation by subject: every heart is judged by networks, and by a rhythm head, that have never met it.

Only of hearts whose beats are not judged (paced ones, cpsc2021, afpdb) the networks have learned the beats, though the
rhythm head has not met them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from model.codes import CLASSES, RHYTHMS
from model.dataset import UNLABELLED, Passage
from model.ec57 import BeatTable, Ratio
from model.reader import Weights
from model.rhythm_head import rhythm_log_odds
from model.rhythm_training import fit_rhythms, rhythm_labels
from model.self_training import TACHYCARDIA, rhythms, self_train
from model.train import TrainingConfig, judge, split, words_of

T = TypeVar("T")
Counts = npt.NDArray[np.int64]

DEAL: Final = 7  # seed by which subjects are dealt into parts: one for all trainings, which are compared part by part


def folds(
    passages: Sequence[Passage], config: TrainingConfig, parts: int
) -> Iterator[tuple[list[Passage], list[Passage], TrainingConfig]]:
    """Each part of the subjects in turn: what is trained on, what is judged, and the configuration of that fold.

    The parts are the same whatever the configuration is, so that two of them can be compared part by part.

    Subjects of whom a reader has told the rhythms only are dealt, too, but by themselves: the parts of the others do
    not depend on them. Nothing in them is judged beat by beat.
    """
    scored = split(sorted({p.subject for p in passages if p.scored}), parts, DEAL)
    marked = split(sorted({p.subject for p in passages if p.rhythm_only}), parts, DEAL)
    for number, part in enumerate(zip(scored, marked, strict=True)):
        away = set(chain.from_iterable(part))
        training = [p for p in passages if p.subject not in away]
        judged = [p for p in passages if p.subject in away and p.scored and p.kind == "plain"]
        yield training, judged, replace(config, seed=config.seed + number)


class Tables(NamedTuple):
    """EC57's table of each record, keyed ``database/record``: by the first words, by the last, by the last amid noise.

    `moved` are the records with electrodes moved now and then, where that variant has been analysed. `tachycardia` are
    those of which a reader has told the rhythms only: beats in ventricular tachycardia that are called ventricular.
    `rhythms` are all whose rhythm is known: beats by what it is (rows) and what is read (columns), as `RHYTHMS`.
    """

    first: dict[str, BeatTable]
    last: dict[str, BeatTable]
    moved: dict[str, BeatTable]
    tachycardia: dict[str, Ratio]
    rhythms: dict[str, Counts]

    @classmethod
    def empty(cls) -> Tables:
        """No record yet."""
        return cls({}, {}, {}, {}, {})

    def add(self, other: Tables) -> None:
        """Take in the tables of other records."""
        self.first.update(other.first)
        self.last.update(other.last)
        self.moved.update(other.moved)
        self.tachycardia.update(other.tachycardia)
        self.rhythms.update(other.rhythms)

    def of(self, database: str) -> Tables:
        """The tables of a database's records."""
        return Tables(
            first=_some(self.first, database),
            last=_some(self.last, database),
            moved=_some(self.moved, database),
            tachycardia=_some(self.tachycardia, database),
            rhythms=_some(self.rhythms, database),
        )


def _some(records: dict[str, T], database: str) -> dict[str, T]:
    return {name: told for name, told in records.items() if name.startswith(f"{database}/")}


def called_ventricular(passage: Passage, probabilities: npt.NDArray[np.float32]) -> Ratio:
    """How many of the beats in what a reader has marked as ventricular tachycardia are called ventricular."""
    marked = np.array([rhythm == TACHYCARDIA for rhythm in rhythms(passage)], np.bool_)
    called = probabilities.argmax(axis=1) == CLASSES.index("V")
    return Ratio(int(np.count_nonzero(called & marked)), int(np.count_nonzero(marked)))


def read_rhythms(passage: Passage, weights: Weights) -> Counts:
    """Beats of known rhythm, by what it is and what is read of it at each; int64 (R, R), as `RHYTHMS`."""
    log_odds = rhythm_log_odds(weights.layers, weights.rhythm, words_of(passage, weights.vocabulary))
    told = rhythm_labels(passage)
    known = told != UNLABELLED
    counts = np.zeros((len(RHYTHMS), len(RHYTHMS)), np.int64)
    np.add.at(counts, (told[known], log_odds.argmax(axis=1)[known]), 1)
    return counts


def rhythm_figures(tables: Iterable[Counts]) -> dict[str, dict[str, Any]]:
    """Of each rhythm that is told: beats in it, and Se and +P in percent, None where there is nothing to count."""
    counts = np.sum(list(tables), axis=0)
    return {
        name: {
            "beats": int(counts[k].sum()),
            "Se": Ratio(int(counts[k, k]), int(counts[k].sum())).percent,
            "+P": Ratio(int(counts[k, k]), int(counts[:, k].sum())).percent,
        }
        for k, name in enumerate(RHYTHMS)
        if name
    }


def rhythm_tables(
    passages: Sequence[Passage], training: Sequence[Passage], weights: Weights, number: int, parts: int, seed: int
) -> dict[str, Counts]:
    """Fit a rhythm head to a fold's networks, and read the rhythms of hearts it was not fitted to.

    These are the subjects that the fold's networks have not met, and a part of the others whose rhythm is known but who
    are in no part: of cpsc2021 and afpdb, of which the networks have learned the beats.
    """
    known = {p.subject for p in training}
    others = {p.subject for p in passages if p.subject in known and not (p.scored or p.rhythm_only)}
    met = known - set(split(sorted(others), parts, DEAL)[number])
    weights = weights._replace(rhythm=fit_rhythms([p for p in training if p.subject in met], weights, seed))
    return {
        f"{p.database}/{p.record}": counts
        for p in passages
        if p.kind == "plain" and p.subject not in met and (counts := read_rhythms(p, weights)).any()
    }


def cross_validate(
    passages: Sequence[Passage],
    config: TrainingConfig,
    parts: int,
    report: Callable[[int, Tables], None] = lambda *_: None,
    keep: Callable[[int, TrainingConfig, dict[str, npt.NDArray[np.float32]]], None] = lambda *_: None,
) -> list[Tables]:
    """Train without each part of the subjects in turn and judge it on that part.

    `report` is called with each part's number and tables, `keep` with its number, configuration and last words.

    Returns
    -------
    list of Tables
        For each part. Every scored record is in one.
    """
    results = []
    for number, (training, judged, chosen) in enumerate(folds(passages, config, parts)):
        trainer = self_train(training, chosen)
        tables = Tables.empty()
        words = {}
        for p in judged:
            both = trainer.read(p)
            words[f"{p.database}/{p.record}"] = both.last
            tables.first[f"{p.database}/{p.record}"] = judge(p, both.first)
            tables.last[f"{p.database}/{p.record}"] = judge(p, both.last)
        known = {p.subject for p in training}
        for p in passages:
            if p.kind == "moved" and p.scored and p.subject not in known:
                tables.moved[f"{p.database}/{p.record}"] = judge(p, trainer.read(p).last)
            elif p.kind == "plain" and p.rhythm_only and p.subject not in known:
                tables.tachycardia[f"{p.database}/{p.record}"] = called_ventricular(p, trainer.read(p).last)
        tables.rhythms.update(rhythm_tables(passages, training, trainer.weights(), number, parts, chosen.seed))
        results.append(tables)
        keep(number, chosen, words)
        report(number, tables)
    return results
