"""Cross-validation by subject: every heart is read by a network that has never met it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from model.codes import CLASSES
from model.dataset import Passage
from model.ec57 import BeatTable, Ratio
from model.self_training import TACHYCARDIA, rhythms, self_train
from model.train import TrainingConfig, judge, split

T = TypeVar("T")

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
    """

    first: dict[str, BeatTable]
    last: dict[str, BeatTable]
    moved: dict[str, BeatTable]
    tachycardia: dict[str, Ratio]

    @classmethod
    def empty(cls) -> Tables:
        """No record yet."""
        return cls({}, {}, {}, {})

    def add(self, other: Tables) -> None:
        """Take in the tables of other records."""
        self.first.update(other.first)
        self.last.update(other.last)
        self.moved.update(other.moved)
        self.tachycardia.update(other.tachycardia)

    def of(self, database: str) -> Tables:
        """The tables of a database's records."""
        return Tables(
            first=_some(self.first, database),
            last=_some(self.last, database),
            moved=_some(self.moved, database),
            tachycardia=_some(self.tachycardia, database),
        )


def _some(records: dict[str, T], database: str) -> dict[str, T]:
    return {name: told for name, told in records.items() if name.startswith(f"{database}/")}


def called_ventricular(passage: Passage, probabilities: npt.NDArray[np.float32]) -> Ratio:
    """How many of the beats in what a reader has marked as ventricular tachycardia are called ventricular."""
    marked = np.array([rhythm == TACHYCARDIA for rhythm in rhythms(passage)], np.bool_)
    called = probabilities.argmax(axis=1) == CLASSES.index("V")
    return Ratio(int(np.count_nonzero(called & marked)), int(np.count_nonzero(marked)))


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
        results.append(tables)
        keep(number, chosen, words)
        report(number, tables)
    return results
