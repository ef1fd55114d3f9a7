"""Cross-validation by subject: every heart is read by a network that has never met it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from model.dataset import Passage
from model.ec57 import BeatTable
from model.selftaught import teach
from model.train import TrainingConfig, judge, split


def folds(
    passages: Sequence[Passage], config: TrainingConfig, parts: int
) -> Iterator[tuple[list[Passage], list[Passage], TrainingConfig]]:
    """Each part of the subjects in turn: what is taught, what it is judged on, and the configuration of that fold."""
    subjects = sorted({p.subject for p in passages if p.scored})
    for number, part in enumerate(split(subjects, parts, config.seed)):
        away = set(part)
        taught = [p for p in passages if p.subject not in away]
        judged = [p for p in passages if p.subject in away and p.kind == "plain"]
        yield taught, judged, replace(config, seed=config.seed + number)


class Tables(NamedTuple):
    """EC57's table of each record, keyed ``database/record``: by the first words, by the last, by the last amid noise.

    `moved` are the records with electrodes moved now and then, where that variant has been heard.
    """

    first: dict[str, BeatTable]
    last: dict[str, BeatTable]
    moved: dict[str, BeatTable]

    @classmethod
    def empty(cls) -> Tables:
        """No record yet."""
        return cls({}, {}, {})


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
    for number, (taught, judged, chosen) in enumerate(folds(passages, config, parts)):
        trainer = teach(taught, chosen)
        tables = Tables.empty()
        words = {}
        for p in judged:
            both = trainer.read(p)
            words[f"{p.database}/{p.record}"] = both.last
            tables.first[f"{p.database}/{p.record}"] = judge(p, both.first)
            tables.last[f"{p.database}/{p.record}"] = judge(p, both.last)
        away = {p.subject for p in judged}
        for p in passages:
            if p.kind == "moved" and p.subject in away:
                tables.moved[f"{p.database}/{p.record}"] = judge(p, trainer.read(p).last)
        results.append(tables)
        keep(number, chosen, words)
        report(number, tables)
    return results
