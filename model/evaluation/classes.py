"""Figures of a classifier from its probabilities and the truth: confusion, ratios, curves, calibration.

Nothing here knows of beats: the truth is an index for each case, and any number of classes will do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

BINS: Final = 10  # of a reliability diagram: one for each tenth of probability
POINTS: Final = 300  # of a curve at most: more than a printed one can show

Floats = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Curve:
    """A curve over all thresholds, and the area that sums it up.

    Attributes
    ----------
    x, y : float64 (n,)
        False and true positive rate of an ROC curve; recall and precision.
    area : float
        Under the ROC curve; average precision.
    """

    x: Floats
    y: Floats
    area: float

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {"area": self.area, "x": np.round(self.x, 5).tolist(), "y": np.round(self.y, 5).tolist()}


@dataclass(frozen=True, eq=False)
class Reliability:
    """What was claimed against what came true, in bins of equal width.

    Attributes
    ----------
    counts : int64 (BINS,)
    claimed, true : float64 (BINS,)
        Mean probability and share of true cases in each bin; NaN in an empty one.
    """

    counts: Counts
    claimed: Floats
    true: Floats

    @property
    def error(self) -> float | None:
        """Expected calibration error: mean distance of the two over the cases (Naeini et al., AAAI 2015)."""
        seen = self.counts > 0
        if not seen.any():
            return None
        return float(np.average(np.abs(self.claimed - self.true)[seen], weights=self.counts[seen]))

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON; None for an empty bin."""

        def told(values: Floats) -> list[float | None]:
            return [None if np.isnan(value) else round(float(value), 5) for value in values]

        return {
            "ece": self.error,
            "counts": self.counts.tolist(),
            "claimed": told(self.claimed),
            "true": told(self.true),
        }


def reliability(probabilities: npt.ArrayLike, true: npt.ArrayLike, bins: int = BINS) -> Reliability:
    """Compare probabilities (n,) with whether what they speak of was true (n,)."""
    claims = np.asarray(probabilities, np.float64)
    came = np.asarray(true, bool)
    place = np.clip((claims * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        claimed = np.bincount(place, claims, bins) / counts
        share = np.bincount(place, came, bins) / counts
    return Reliability(counts.astype(np.int64), claimed, share)


def confusion(truth: npt.ArrayLike, said: npt.ArrayLike, classes: int) -> Counts:
    """Cases by true class (row) and class said (column)."""
    cells = np.asarray(truth, np.int64) * classes + np.asarray(said, np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes).astype(np.int64)


def roc(truth: npt.NDArray[np.bool_], scores: npt.ArrayLike) -> Curve | None:
    """ROC curve of one class against the rest; None where there is no case of it, or nothing else."""
    from sklearn.metrics import auc, roc_curve  # noqa: PLC0415 - the monitor runs without scikit-learn

    if truth.all() or not truth.any():
        return None
    x, y, _ = roc_curve(truth, np.asarray(scores))
    return Curve(*_thinned(x, y), float(auc(x, y)))


def precision_recall(truth: npt.NDArray[np.bool_], scores: npt.ArrayLike) -> Curve | None:
    """Precision over recall of one class; None where there is no case of it."""
    from sklearn.metrics import average_precision_score, precision_recall_curve  # noqa: PLC0415

    if not truth.any():
        return None
    y, x, _ = precision_recall_curve(truth, np.asarray(scores))
    return Curve(*_thinned(x, y), float(average_precision_score(truth, np.asarray(scores))))


def _thinned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """At most `POINTS` points, evenly along the way, ends included."""
    if len(x) <= POINTS:
        return x, y
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    chosen = np.unique(np.searchsorted(way, np.linspace(0.0, way[-1], POINTS)).clip(0, len(x) - 1))
    chosen = np.unique(np.concatenate([[0], chosen, [len(x) - 1]]))
    return x[chosen], y[chosen]


def _ratio(part: float, whole: float) -> float | None:
    return 100.0 * part / whole if whole else None


def f1(precision: float | None, recall: float | None) -> float | None:
    """Their harmonic mean; None where there was neither a case nor a claim."""
    if precision is None and recall is None:
        return None
    p, r = precision or 0.0, recall or 0.0
    return 2 * p * r / (p + r) if p + r else 0.0


@dataclass(frozen=True, eq=False)
class ClassFigures:
    """How well each of some classes was told.

    Attributes
    ----------
    classes : tuple of str
        C names.
    counts : int64 (C, C)
        Cases by true class (row) and class said (column).
    roc, precision_recall : tuple of Curve or None
        Of each class against the rest.
    top : Reliability
        Of the probability of the class said.
    reliability : tuple of Reliability
        Of each class's probability over all cases.
    """

    classes: tuple[str, ...]
    counts: Counts
    roc: tuple[Curve | None, ...]
    precision_recall: tuple[Curve | None, ...]
    top: Reliability
    reliability: tuple[Reliability, ...]

    @classmethod
    def of(cls, truth: npt.ArrayLike, probabilities: npt.ArrayLike, classes: Sequence[str]) -> ClassFigures:
        """From the true class of each case (n,) and its probabilities (n, C); the likeliest class is what is said."""
        true = np.asarray(truth, np.int64)
        claims = np.asarray(probabilities, np.float64).reshape(len(true), len(classes))
        said = claims.argmax(axis=1)
        members = [true == k for k in range(len(classes))]
        return cls(
            tuple(classes),
            confusion(true, said, len(classes)),
            tuple(roc(member, claims[:, k]) for k, member in enumerate(members)),
            tuple(precision_recall(member, claims[:, k]) for k, member in enumerate(members)),
            reliability(claims.max(axis=1), said == true),
            tuple(reliability(claims[:, k], member) for k, member in enumerate(members)),
        )

    @property
    def support(self) -> Counts:
        """Cases of each class."""
        return np.asarray(self.counts.sum(axis=1), np.int64)

    @property
    def accuracy(self) -> float | None:
        """Cases told right, per cent; None without any."""
        return _ratio(float(np.trace(self.counts)), float(self.counts.sum()))

    @property
    def precision(self) -> tuple[float | None, ...]:
        """Of each class, per cent: claims of it that were right; None where it was never said."""
        return tuple(_ratio(float(self.counts[k, k]), float(self.counts[:, k].sum())) for k in range(len(self.classes)))

    @property
    def recall(self) -> tuple[float | None, ...]:
        """Of each class, per cent: its cases that were told; None where it has none."""
        return tuple(_ratio(float(self.counts[k, k]), float(self.counts[k].sum())) for k in range(len(self.classes)))

    @property
    def f1(self) -> tuple[float | None, ...]:
        """Of each class, per cent."""
        return tuple(f1(p, r) for p, r in zip(self.precision, self.recall, strict=True))

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the classes that have cases, per cent."""
        present = [value or 0.0 for value, cases in zip(self.f1, self.support, strict=True) if cases]
        return sum(present) / len(present) if present else None

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        each = {
            name: {
                "support": int(self.support[k]),
                "precision": self.precision[k],
                "recall": self.recall[k],
                "f1": self.f1[k],
                "roc": None if (curve := self.roc[k]) is None else curve.as_dict(),
                "precision_recall": None if (curve := self.precision_recall[k]) is None else curve.as_dict(),
                "reliability": self.reliability[k].as_dict(),
            }
            for k, name in enumerate(self.classes)
        }
        return {
            "cases": int(self.counts.sum()),
            "accuracy": self.accuracy,
            "macro_f1": self.macro_f1,
            "confusion": self.counts.tolist(),
            "reliability": self.top.as_dict(),
            "classes": each,
        }
