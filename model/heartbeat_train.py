"""Teaching single beats: splits by beat and by patient, and the trainer of the bedside's network on short sentences.

The class of a beat is asked for once, at the last place of its sentence; what is padded is masked
(`model.training_loop`).

Class imbalance: four beats in five are N. Each round draws classes by the root of their number
(`HeartbeatTrainer.order`), so that rare beats are read more often and frequent ones by turns; the loss weighs all
alike. Probabilities are then those of the draw: rare classes are claimed with more confidence than they deserve.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from model.dataset import UNLABELLED
from model.evaluation.baselines import TREES
from model.heartbeat_words import PLACES, Sentences, learn_vocabulary, read_sentences, sizes_of, words_of
from model.heartbeats import Heartbeats
from model.reader import Weights
from model.train import TrainingConfig, export
from model.train import split as deal
from model.training_loop import TrainingRun

TEST: Final = 0.2  # of the beats: the published set has 21,892 of 109,446
HELD_OUT: Final = 0.1  # of the training side, to stop early
FOLDS: Final = 5  # parts of the patients, each judged by a network that has not met them
LEAST: Final = 3  # patients a class needs to be on every side of a split: training, held out, judged

#: The shipped recipe: the bedside's, with short sentences side by side and a vocabulary for parts of a beat.
RECIPE: Final = TrainingConfig(
    databases=(),
    variants=("plain",),
    unannotated=(),
    vocabulary_texts=60_000,
    clusters=64,
    ngrams=512,
    embedding=48,
    hidden=64,
    dropout=0.2,
    level_smoothing=0.0,
    last_hidden=0,
    level_jitter=0.1,
    word_dropout=0.02,
    field_dropout=0.0,
    class_weights=(1.0,),
    batch_size=128,
    bptt_length=PLACES,
    learning_rate=4e-3,
    weight_decay=0.01,
    epochs=12,
    patience=4,
    members=1,
    ema_decay=0.995,
    held_out=HELD_OUT,
)


@dataclass(frozen=True)
class Line:
    """A line of the learning curve, on the held-out beats, 0 to 1."""

    epoch: int
    loss: float
    accuracy: float
    recall: float
    score: float


@dataclass(frozen=True, eq=False)
class Split:
    """Which beats train, which decide when to stop, which are judged; indices."""

    training: npt.NDArray[np.int64]
    held_out: npt.NDArray[np.int64]
    judged: npt.NDArray[np.int64]


def split_beats(beats: Heartbeats, seed: int, held_out: float = HELD_OUT) -> Split:
    """The customary split: beats by lot, class by class; the files' own test part where they have one."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(beats))
    judged = _share(order, beats.labels, TEST) if beats.test is None else np.flatnonzero(beats.test)
    rest = order[~np.isin(order, judged)]
    stop = _share(rest, beats.labels, held_out)
    return Split(rest[~np.isin(rest, stop)], stop, np.sort(judged))


def _share(order: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], share: float) -> npt.NDArray[np.int64]:
    """The first `share` of each class in this order."""
    parts = [order[labels[order] == label] for label in np.unique(labels[order])]
    return np.concatenate([part[: round(share * len(part))] for part in parts] or [order[:0]])


def split_patients(beats: Heartbeats, folds: int, seed: int, held_out: float = HELD_OUT) -> list[Split]:
    """The honest split: no patient on two sides. Every beat is judged in one of the splits.

    Raises
    ------
    ValueError
        Where `why_not_by_patient` says why.
    """
    if (reason := why_not_by_patient(beats)) is not None or beats.subjects is None:
        raise ValueError(reason)
    names, of_beat = np.unique(beats.subjects, return_inverse=True)
    everyone = names.tolist()
    place = {name: i for i, name in enumerate(everyone)}

    def beats_of(some: Sequence[str]) -> npt.NDArray[np.int64]:
        return np.flatnonzero(np.isin(of_beat, [place[name] for name in some]))

    result = []
    for number, away in enumerate(deal(everyone, min(folds, len(everyone)), seed)):
        rest = [name for name in everyone if name not in set(away)]
        stop = deal(rest, max(round(1 / held_out), 2), seed + number)[0]
        result.append(Split(beats_of([n for n in rest if n not in set(stop)]), beats_of(stop), beats_of(away)))
    return result


def why_not_by_patient(beats: Heartbeats) -> str | None:
    """Why there is no honest split by patient of these beats; None where there is one."""
    if beats.subjects is None:
        return "these files do not tell whose beats they are: only the split by beats is possible"
    rich, told = 0, []
    for label, name in enumerate(beats.task.classes):
        patients = len(np.unique(beats.subjects[beats.labels == label]))
        rich += patients >= LEAST
        told.append(f"{patients} {name}")
    if rich >= 2:
        return None
    return (
        f"the beats come from too few patients ({', '.join(told)}): to train, to stop and to judge on different ones, "
        f"two classes need {LEAST} each; the split by beats is an exercise then and may tell patients, not classes; "
        f"fetch the whole database with `telebeat download {beats.task.database}`"
    )


class HeartbeatTrainer(TrainingRun):
    """One training run on single beats.

    Parameters
    ----------
    beats : Heartbeats
    sentences : Sentences
        Of `beats`.
    split : Split
    config : TrainingConfig
        `RECIPE` or one like it.
    folder : Path or None
        Where the learning curve and the checkpoint are kept, and found again.
    report : callable
        Called with each `Line`.
    """

    line = Line
    ordered = 1

    def __init__(
        self,
        beats: Heartbeats,
        sentences: Sentences,
        split: Split,
        config: TrainingConfig = RECIPE,
        folder: Path | None = None,
        report: Callable[[Line], None] = lambda _: None,
    ) -> None:
        classes = len(beats.task.classes)
        super().__init__(config, sizes_of(config.clusters), classes, folder, report)
        self.held_out = split.held_out
        self.split = split
        self.beats = beats
        self.vocabulary = learn_vocabulary(
            sentences, split.training, config.vocabulary_texts, config.clusters, config.ngrams, config.seed
        )
        self.said = words_of(sentences, self.vocabulary)
        self.lengths = sentences.lengths
        self.words = [self.said[i, : self.lengths[i]] for i in split.training]
        self.labels = [_at_the_end(int(self.lengths[i]), int(beats.labels[i])) for i in split.training]
        training = beats.labels[split.training]
        self.of_class = [np.flatnonzero(training == label) for label in np.unique(training)]

    def order(self) -> list[int]:
        """As many beats as train, by lot; a class as often as the root of its number says."""
        total = sum(map(len, self.of_class))
        roots = np.sqrt([len(members) for members in self.of_class])
        chosen = []
        for members, share in zip(self.of_class, roots / roots.sum(), strict=True):
            wanted = round(share * total)
            rounds = [self.rng.permutation(members) for _ in range(-(-wanted // len(members)))]
            chosen.append(np.concatenate(rounds)[:wanted])
        return [int(i) for i in self.rng.permutation(np.concatenate(chosen))]

    def augment(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Words as another recorder might have said them: some levels off by one, some words not told."""
        unknown = np.array(self.sizes) - 1
        slips = self.rng.random(words.shape) < self.config.level_jitter
        slips[:, 0] = False  # a shape word has no neighbour
        moved = np.clip(words + self.rng.choice((-1, 1), words.shape), 0, unknown - 1)
        hushed = self.rng.random(words.shape) < self.config.word_dropout
        return np.where(hushed, unknown, np.where(slips, moved, words))

    def judge(self, loss: float) -> Line:
        """Accuracy and mean recall on what is held out; the score is their mean, so that neither is bought dearly."""
        answer = self.read(self.split.held_out, self.weights()).argmax(axis=1)
        truth = self.beats.labels[self.split.held_out]
        accuracy = float((answer == truth).mean())
        recall = float(np.mean([(answer[truth == label] == label).mean() for label in np.unique(truth)]))
        return Line(len(self.curve) + 1, loss, accuracy, recall, (accuracy + recall) / 2)

    def weights(self) -> Weights:
        """The mean weights as the bedside takes them."""
        return export([member.mean for member in self.members], self.vocabulary)

    def read(self, chosen: npt.NDArray[np.int64], weights: Weights) -> npt.NDArray[np.float32]:
        """Probabilities of some beats by the bedside's arithmetic, float32 (k, C)."""
        return read_sentences(weights.layers, self.said[chosen], self.lengths[chosen])


def _at_the_end(length: int, label: int) -> npt.NDArray[Any]:
    labels = np.full((length, 2), UNLABELLED, np.int64)
    labels[-1, 0] = label
    return labels


@dataclass(frozen=True, eq=False)
class SplitResult:
    """What came of one way to split.

    Attributes
    ----------
    way : {"random", "patient"}
    chosen : int64 (m,)
        The judged beats, each once.
    probabilities : float32 (m, C)
    parts : int64 (m,)
        Which training judged each.
    curves : tuple of tuple of Line
        Learning curve of each training.
    """

    way: str
    chosen: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float32]
    parts: npt.NDArray[np.int64]
    curves: tuple[tuple[Line, ...], ...]


def study(
    beats: Heartbeats,
    sentences: Sentences,
    way: str,
    splits: Sequence[Split],
    config: TrainingConfig = RECIPE,
    report: Callable[[int, Line], None] = lambda *_: None,
) -> SplitResult:
    """Train on each split and judge the beats that were kept away.

    Parameters
    ----------
    beats : Heartbeats
    sentences : Sentences
        Of `beats`.
    way : str
        Name of the way to split.
    splits : sequence of Split
    config : TrainingConfig
    report : callable
        Called with the number of the split and each `Line`.
    """
    chosen, probabilities, parts, curves = [], [], [], []
    for number, split in enumerate(splits):
        trainer = HeartbeatTrainer(
            beats,
            sentences,
            split,
            replace(config, seed=config.seed + number),
            report=lambda line, number=number: report(number, line),  # type: ignore[misc]
        )
        weights = trainer.run()
        chosen.append(split.judged)
        probabilities.append(trainer.read(split.judged, weights))
        parts.append(np.full(len(split.judged), number))
        curves.append(tuple(trainer.curve))
    return SplitResult(way, np.concatenate(chosen), np.concatenate(probabilities), np.concatenate(parts), tuple(curves))


def boosted(
    beats: Heartbeats, way: str, splits: Sequence[Split], seed: int, report: Callable[[], None] = lambda: None
) -> SplitResult:
    """A plain baseline on the same splits: gradient boosted trees on the 187 samples; it is not stopped early."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # noqa: PLC0415 - only training needs scikit-learn

    probabilities = []
    for split in splits:
        model = HistGradientBoostingClassifier(**TREES, random_state=seed)
        model.fit(beats.rows[split.training], beats.labels[split.training])
        told = np.zeros((len(split.judged), len(beats.task.classes)), np.float32)
        told[:, model.classes_] = model.predict_proba(beats.rows[split.judged])
        probabilities.append(told)
        report()
    parts = [np.full(len(split.judged), number) for number, split in enumerate(splits)]
    chosen = np.concatenate([split.judged for split in splits])
    return SplitResult(way, chosen, np.concatenate(probabilities), np.concatenate(parts), ())
