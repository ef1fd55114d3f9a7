"""Plain classifiers that the language has to beat, on the same beats and the same measurements.

`rules` is what a textbook would do: a template of the patient's own beat and the RR interval. The other two are fitted
to the raw measurements behind the words (`Passage.values`), each beat alone, but for what the measurements remember.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.codes import CLASSES
from model.dataset import UNLABELLED, Passage
from model.evaluation.judging import Probabilities
from model.words import APART, BROAD_OWN, RR_OWN

Read = Callable[[Passage], Probabilities]

PREMATURE: Final = float(np.log2(0.85))  # of RR over the own RR: 15 % early, beyond what breathing does
UNLIKE: Final = float(np.log2(0.3))  # of the QRS's difference from the own beat: correlation below 0.85
BROAD: Final = float(np.log2(1.25))  # of its breadth over the own beat's: 100 ms becomes 125

#: Size of the boosted trees; more of them gain nothing on some hundred thousand beats.
TREES: Final = {"max_iter": 150, "learning_rate": 0.1, "max_leaf_nodes": 31, "early_stopping": False}
STEPS: Final = 200  # of the logistic regression's solver at most


def rules(passage: Passage) -> Probabilities:
    """V for a beat unlike the own one that is early or broad, S for an early one like it, else N."""
    early = passage.values[:, RR_OWN] < PREMATURE
    unlike = passage.values[:, APART] > UNLIKE
    broad = passage.values[:, BROAD_OWN] > BROAD
    said = np.where(unlike & (early | broad), CLASSES.index("V"), np.where(early & ~unlike, CLASSES.index("S"), 0))
    return np.eye(len(CLASSES), dtype=np.float32)[said]


def boosting(passages: Sequence[Passage], weights: Sequence[float], seed: int) -> Read:
    """Gradient boosting on the measurements (scikit-learn's histogram trees)."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - only training needs scikit-learn

    return _fitted(HistGradientBoostingClassifier(**TREES, random_state=seed), "", passages, weights)


def logistic(passages: Sequence[Passage], weights: Sequence[float]) -> Read:
    """Logistic regression on the measurements; what cannot be told is the mean, and said so beside."""
    from sklearn.impute import SimpleImputer  # noqa: PLC0415
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    steps = make_pipeline(
        SimpleImputer(add_indicator=True, keep_empty_features=True),
        StandardScaler(),
        LogisticRegression(max_iter=STEPS, tol=1e-3),
    )
    return _fitted(steps, "logisticregression__", passages, weights)


def _fitted(model: Any, prefix: str, passages: Sequence[Passage], weights: Sequence[float]) -> Read:
    """Fit a classifier of scikit-learn to the labelled beats, each weighing as in the network's loss."""
    labels = np.concatenate([p.labels for p in passages])
    labelled = labels != UNLABELLED
    known = labels[labelled].astype(np.int64)
    if len(classes := np.unique(known)) < 2:  # there is nothing to tell apart, and some classifiers refuse
        return _always(int(classes[0]) if len(classes) else CLASSES.index("N"))
    measured = np.concatenate([_measured(p) for p in passages])[labelled]
    model.fit(measured, known, **{f"{prefix}sample_weight": np.asarray(weights)[known]})

    def read(passage: Passage) -> Probabilities:
        probabilities = np.zeros((len(passage.samples), len(CLASSES)), np.float32)
        if len(passage.samples):
            probabilities[:, model.classes_] = model.predict_proba(_measured(passage))
        return probabilities

    return read


def _always(label: int) -> Read:
    """What calls every beat the same, and is sure of it."""
    said = np.eye(len(CLASSES), dtype=np.float32)[label]
    return lambda passage: np.tile(said, (len(passage.samples), 1))


def _measured(passage: Passage) -> npt.NDArray[np.float32]:
    """The measurements of each beat; NaN for what cannot be told."""
    return np.where(np.isfinite(passage.values), passage.values, np.float32(np.nan))
