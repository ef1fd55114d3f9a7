"""Readings of records judged: EC57's table and the figures of the classes, the same for every way of reading.

A reading is the probabilities of the classes for each beat of a passage; whoever made it, this is who judges it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from model.codes import CLASSES
from model.dataset import Passage
from model.ec57 import LEARNING_S, Annotations, BeatTable, Period, gross, pair, tabulate
from model.evaluation.classes import ClassFigures, f1

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Judged:
    """A reading of some records, judged.

    Attributes
    ----------
    tables : dict
        EC57's table of each record, keyed ``database/record``.
    truth : int64 (n,)
        Reference class of each beat that both have, over all records.
    claims : float32 (n, 5)
        Its probabilities.
    """

    tables: dict[str, BeatTable]
    truth: npt.NDArray[np.int64]
    claims: Probabilities

    @property
    def gross(self) -> BeatTable:
        """The table of all records: each beat counts the same."""
        return gross(self.tables.values())

    @property
    def figures(self) -> ClassFigures:
        """Of the beats that both have; missed and extra beats are in the tables."""
        return ClassFigures.of(self.truth, self.claims, CLASSES)


def key(passage: Passage) -> str:
    """Name of a record among those of several databases."""
    return f"{passage.database}/{passage.record}"


def judge(passages: Iterable[Passage], readings: Mapping[str, Probabilities], start_s: float = LEARNING_S) -> Judged:
    """Judge readings, keyed as `key` does; passages without one, and those EC57 does not score, are left out."""
    tables: dict[str, BeatTable] = {}
    truth, claims = [np.zeros(0, np.int64)], [np.zeros((0, len(CLASSES)), np.float32)]
    for passage in passages:
        name = key(passage)
        if not passage.scored or name not in readings:
            continue
        reading = readings[name]
        said = [CLASSES[k] for k in reading.argmax(axis=1)]
        pairs = pair(passage.reference, Annotations.of(passage.samples, said), period_of(passage, start_s))
        tables[name] = tabulate(pairs, passage.rate_hz)
        both = (pairs.reference >= 0) & (pairs.test >= 0)
        truth.append(pairs.reference_class[both].astype(np.int64))
        claims.append(reading[pairs.test[both]])
    return Judged(tables, np.concatenate(truth), np.concatenate(claims))


def period_of(passage: Passage, start_s: float) -> Period:
    """What is judged of a record: from `start_s` to its end, as `model.ec57.score_files` has it."""
    if passage.length is None:
        return Period.of(passage.rate_hz, start_s=start_s)
    end_s = passage.length / passage.rate_hz
    return Period.of(passage.rate_hz, start_s=min(start_s, end_s), end_s=end_s)


def summary(table: BeatTable, figures: ClassFigures) -> dict[str, Any]:
    """What one line of a comparison says, per cent: EC57's ratios, and F1 of each class; None where undefined."""
    ratios = {
        "veb_se": table.veb_se.percent,
        "veb_ppv": table.veb_ppv.percent,
        "sveb_se": table.sveb_se.percent,
        "sveb_ppv": table.sveb_ppv.percent,
    }
    return {
        **ratios,
        "veb_f1": f1(ratios["veb_ppv"], ratios["veb_se"]),
        "sveb_f1": f1(ratios["sveb_ppv"], ratios["sveb_se"]),
        "accuracy": figures.accuracy,
        "macro_f1": figures.macro_f1,
        "ece": figures.top.error,
        "f1": dict(zip(figures.classes, figures.f1, strict=True)),
    }


def spread(parts: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """SD of a figure over folds; None of fewer than two."""
    values = [part[name] for part in parts if part[name] is not None]
    return float(np.std(values, ddof=1)) if len(values) > 1 else None
