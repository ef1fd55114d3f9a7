"""The arms of a comparison: the whole language, the language with parts out or in, and plain baselines.

Every arm is trained on the same annotated subjects, by the same recipe where it is a network, and judged on subjects it
has never seen (`run`). The first, which ships, is self-trained on hearts without annotated beats besides, some with a
reader's rhythms. All of them get the very beats and measurements that the online code made.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from model.codes import CLASSES
from model.cross_validation import DEAL, folds
from model.dataset import Passage
from model.evaluation import baselines
from model.evaluation.ablated import AblatedTrainer
from model.evaluation.ablation import KIND_WORDS, RR_WORDS, WHOLE, Ablation
from model.evaluation.baselines import Read
from model.evaluation.judging import Probabilities, key
from model.self_training import self_train
from model.train import Round, TrainingConfig
from model.training_loop import fingerprint

RecordProbabilities = dict[str, Probabilities]  # of each record, keyed as `judging.key` does
Report = Callable[[Round], None]
Fit = Callable[[Sequence[Passage], TrainingConfig, Report], Read]


@dataclass(frozen=True)
class Arm:
    """One way of reading beats.

    Attributes
    ----------
    name : str
        Short, and of letters, digits and ``-``.
    meaning : str
        What is different.
    fit : callable
        Passages to learn from, configuration and a callback for each round -> what reads a passage.
    oracle : bool
        It is given the reference's beats instead of detected ones.
    network : bool
        It is trained in rounds, and that takes long.
    unannotated : bool
        It is given hearts whose beats nobody has annotated, too, and trains itself on them (`model.self_training`).
    """

    name: str
    meaning: str
    fit: Fit
    oracle: bool = False
    network: bool = True
    unannotated: bool = False

    def rounds(self, passages: Sequence[Passage], config: TrainingConfig) -> int:
        """Of its training on these passages, at most."""
        twice = self.unannotated and not all(p.annotated for p in passages)
        return config.epochs * (1 + twice)


def _shipped(passages: Sequence[Passage], config: TrainingConfig, report: Report) -> Read:
    trainer = self_train(passages, config, report=lambda line, _: report(line))
    return lambda passage: trainer.read(passage).last


def _network(name: str, meaning: str, ablation: Ablation, *, oracle: bool = False) -> Arm:
    def fit(passages: Sequence[Passage], config: TrainingConfig, report: Report) -> Read:
        trainer = AblatedTrainer(passages, config, ablation, report)
        trainer.run()
        return lambda passage: trainer.read(passage).last

    return Arm(name, meaning, fit, oracle)


#: The first is what ships; the second is what all others are compared with, which are not self-trained either.
ARMS: Final = (
    Arm("whole", "the language as it ships, trained anew in each fold", _shipped, unannotated=True),
    _network("annotated", "no heart without annotation, as in all arms below", WHOLE),
    _network("no-text", "no shape words: measured words only", Ablation(text=False)),
    _network("no-tfidf", "shape words from plain counts of n-grams", Ablation(tfidf=False)),
    _network("no-rr", "no word that speaks of time", Ablation(silent=RR_WORDS)),
    _network("no-kinds", "no word of the patient's kinds of beat", Ablation(silent=KIND_WORDS)),
    _network("no-state", "the LSTM's state is reset before every beat", Ablation(memory=False)),
    _network("first-word", "the first word only: nothing is corrected a beat later", Ablation(again=False)),
    _network("oracle-beats", "beats of the reference instead of detected ones", WHOLE, oracle=True),
    _network("future-rr", "the RR interval behind the beat is told, too", Ablation(future=True)),
    Arm("rules", "baseline: RR and template rules", lambda *_: baselines.rules, network=False),
    Arm(
        "logistic",
        "baseline: logistic regression on the raw measurements",
        lambda passages, config, _: baselines.logistic(passages, config.weights_of(len(CLASSES))),
        network=False,
    ),
    Arm(
        "boosting",
        "baseline: gradient boosting on the raw measurements",
        lambda passages, config, _: baselines.boosting(passages, config.weights_of(len(CLASSES)), config.seed),
        network=False,
    ),
)


def run(
    arm: Arm,
    passages: Sequence[Passage],
    config: TrainingConfig,
    parts: int,
    folder: Path | None = None,
    report: Report = lambda _: None,
) -> Iterator[RecordProbabilities]:
    """Teach an arm without each part of the subjects in turn; its readings of that part.

    Parameters
    ----------
    arm : Arm
    passages : sequence of Passage
        All records in all variants; of an arm with `oracle`, at the reference's beats.
    config : TrainingConfig
    parts : int
        Folds.
    folder : Path, optional
        Where readings are kept; those of the same arm, configuration and passages are not made again.
    report : callable
        Called with each round of a network's training.
    """
    kept = ProbabilityCache(folder, passages, parts) if folder is not None else None
    for number, (training, judged, chosen) in enumerate(folds(passages, config, parts)):
        reading = kept.take(arm.name, number, chosen) if kept is not None else None
        if reading is None:
            read = arm.fit([p for p in training if p.annotated or arm.unannotated], chosen, report)
            reading = {key(p): read(p) for p in judged}
            if kept is not None:
                kept.put(arm.name, number, chosen, reading)
        yield reading


class ProbabilityCache:
    """Each fold's readings in a folder, good as long as arm, configuration and passages are the same.

    `telebeat train --cross-validate` puts its own there as those of the arm ``whole``, which they are.
    """

    def __init__(self, folder: Path, passages: Sequence[Passage], parts: int) -> None:
        self._folder = folder
        self._said = digest(passages)
        self._parts = parts

    def take(self, arm: str, fold: int, config: TrainingConfig) -> RecordProbabilities | None:
        """Readings of a fold by an arm of this name, or None."""
        path = self._path(arm, fold)
        if not path.exists():
            return None
        with np.load(path) as arrays:
            if str(arrays["stamp"]) != self._stamp(arm, config):
                return None
            return {name: arrays[name] for name in arrays.files if name != "stamp"}

    def put(self, arm: str, fold: int, config: TrainingConfig, reading: RecordProbabilities) -> None:
        """Keep them."""
        path = self._path(arm, fold)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part.npz")
        np.savez_compressed(part, **reading, stamp=np.array(self._stamp(arm, config)))  # type: ignore[arg-type]
        part.replace(path)

    def _path(self, arm: str, fold: int) -> Path:
        return self._folder / f"{arm}-{fold + 1}of{self._parts}.npz"

    def _stamp(self, arm: str, config: TrainingConfig) -> str:
        return f"{self._said} {fingerprint(config)} {arm} {DEAL}"


def digest(passages: Sequence[Passage]) -> str:
    """Of everything that training takes from passages."""
    sum_ = hashlib.blake2b(digest_size=12)
    for p in passages:
        sum_.update(f"{key(p)} {p.kind}".encode())
        for array in (p.samples, p.texts, p.values, p.levels, p.labels):
            sum_.update(np.ascontiguousarray(array).tobytes())
        sum_.update(p.reference.samples.tobytes())
        sum_.update(repr((p.reference.symbols, p.reference.notes)).encode())  # rhythms count, too
    return sum_.hexdigest()
