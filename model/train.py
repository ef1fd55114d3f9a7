"""Training: passages -> vocabulary -> network, by gradient steps over long sequences with the state carried on.

A sequence is a record in one of its variants, read from its first beat (`model.training_loop`): the state goes on from
chunk to chunk, so that the network learns to live with a state as old as the bed's.

Class imbalance: nine beats in ten are normal. The loss does not weigh ectopic beats for it: the full inverse frequency
would trade many normal beats for each of them, and EC57 counts both sides. Composed records (`model.compose`) have made
supraventricular beats many, ventricular tachycardias (`model.self_training`) ventricular ones. Fusion beats come almost
all from one patient and are given less weight, so that they do not eat the ventricular beats of others.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from detector.types import LEADS
from model.codes import CLASSES
from model.dataset import UNLABELLED, Passage
from model.ec57 import Annotations, BeatTable, Period, gross, pair, tabulate
from model.letters import BAR, FIRST_BAR, TEXT
from model.lstm import BeatProbabilities, Layers, classify_sequence
from model.network import Network
from model.reader import Weights
from model.rhythm_head import RhythmHead
from model.state import UNITS
from model.store import sizes_of
from model.training_loop import TrainingRun
from model.variants import VARIANTS
from model.vocabulary import Vocabulary, learn, shape_words
from model.words import FIELDS

#: Least and greatest value of what a training is told in numbers.
RANGES: Final = {
    "seed": (0, 2**32 - 1),  # what the libraries take
    **dict.fromkeys(("members", "embedding", "hidden"), (1, UNITS)),
    "clusters": (2, 4096),
    **dict.fromkeys(("vocabulary_texts", "ngrams", "epochs", "batch_size", "bptt_length"), (1, 10**7)),
    **dict.fromkeys(("patience", "last_hidden"), (0, 10**7)),
    **dict.fromkeys(("dropout", "level_jitter", "word_dropout", "field_dropout"), (0.0, 0.99)),
    **dict.fromkeys(("ema_decay", "held_out"), (0.0, 0.9999)),
    "level_smoothing": (0.0, 100.0),
    "learning_rate": (0.0, 1.0),
    "weight_decay": (0.0, 1.0),
}


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what comes out of a training, besides the data.

    Attributes
    ----------
    seed : int
        Of all randomness.
    databases, variants : tuple of str
        What is listened to (`model.dataset.passage`).
    unannotated : tuple of str
        Records whose beats nobody has annotated, ``database/pattern`` each, for self-training
        (`model.self_training`).
    pseudo_label_from : tuple of float
        Probability from which on what was said of their beats is a label, for each of N S V F Q. Supraventricular beats
        are hardly ever told with 0.9, and a second network trained on few of them finds fewer.
    vocabulary_texts, clusters, ngrams : int
        Texts the vocabulary is learned from, its shape words and n-grams.
    embedding, hidden, dropout, level_smoothing, last_hidden
        Of the network (`model.network.NetworkConfig`).
    level_jitter, word_dropout, field_dropout : float
        In training: share of measured words moved to a neighbouring level; of words replaced by "cannot be told"; and
        of kinds of word replaced so in a whole sequence, so that no reading hangs on one of them.
    class_weights : tuple of float
        Of N S V F Q in the loss, or one for all; of other classes (`model.heartbeats`) all weigh alike.
    batch_size, bptt_length : int
        Sequences side by side, and beats between two gradient steps.
    learning_rate, weight_decay : float
        Peak learning rate and weight decay of AdamW; the rate falls as a cosine.
    epochs, patience : int
        At most so many rounds over all records, and rounds without a better score after which it ends.
    members : int
        Networks trained apart, each with its own begin, order of records and augmentation; the model says their mean.
    ema_decay : float
        Of the running mean of the weights, per step; the mean is what is judged and kept.
    held_out : float
        Share of subjects that decide when to stop; 0: all train, for all `epochs`. The shipped recipe has none:
        seven hearts chose round 10 in one fold and 23 in the next, too few to choose by and too many to go without.
    """

    seed: int = 7
    databases: tuple[str, ...] = ("mitdb", "svdb", "cpsc2021")
    variants: tuple[str, ...] = VARIANTS
    unannotated: tuple[str, ...] = ("afpdb/p*", "vfdb/*")
    pseudo_label_from: tuple[float, ...] = (0.9, 0.6, 0.9, 0.9, 0.9)
    vocabulary_texts: int = 60_000
    clusters: int = 64
    ngrams: int = 512
    embedding: int = 32
    hidden: int = 32
    dropout: float = 0.3
    level_smoothing: float = 2.0
    last_hidden: int = 32
    level_jitter: float = 0.15
    word_dropout: float = 0.05
    field_dropout: float = 0.1
    class_weights: tuple[float, ...] = (1.0, 1.0, 1.0, 0.5, 0.5)
    batch_size: int = 32
    bptt_length: int = 64
    learning_rate: float = 4e-3
    weight_decay: float = 0.02
    epochs: int = 20
    patience: int = 12
    members: int = 6
    ema_decay: float = 0.995
    held_out: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what cannot be trained, before hours of records are analysed, or what the bedside could not read.

        Raises
        ------
        ValueError
            A value is out of its range, the bed's row has no room for so many networks or units, there is no such
            variant or pattern, or a class is left out.
        """
        if unknown := set(self.variants) - set(VARIANTS):
            raise ValueError(f"no variant {' or '.join(sorted(unknown))}; there are {', '.join(VARIANTS)}")
        if wrong := [pattern for pattern in self.unannotated if pattern.count("/") != 1]:
            raise ValueError(f"unannotated: {', '.join(wrong)} is not database/pattern, such as afpdb/p*")
        if len(self.pseudo_label_from) != len(CLASSES):
            raise ValueError(f"pseudo_label_from must be {len(CLASSES)} numbers, one for each of {' '.join(CLASSES)}")
        if len(self.class_weights) not in (1, len(CLASSES)) or not all(0 < w < math.inf for w in self.class_weights):
            raise ValueError(f"class_weights must be {len(CLASSES)} numbers above 0, or one for all")
        for name, (least, most) in RANGES.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"{name} must be {least:g} to {most:g}, not {getattr(self, name)}")
        if self.members * max(self.embedding, self.hidden) > UNITS:
            wide = max(self.embedding, self.hidden)
            raise ValueError(
                f"members times hidden or embedding is {self.members} x {wide}: a bed's row has room for {UNITS} units"
            )

    def weights_of(self, classes: int) -> tuple[float, ...]:
        """What each of so many classes weighs in the loss."""
        return self.class_weights if len(self.class_weights) == classes else (1.0,) * classes


@dataclass(frozen=True)
class Round:
    """A line of the learning curve; Se and +P in percent on the held-out subjects."""

    epoch: int
    loss: float
    veb_se: float
    veb_ppv: float
    sveb_se: float
    sveb_ppv: float
    score: float


def words_of(passage: Passage, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """A passage as the network takes it, int64 (n, LEADS + FIELDS); the same words as `model.reader.spell`."""
    words = np.empty((len(passage.samples), LEADS + FIELDS), np.int64)
    for lead in range(LEADS):
        column = np.empty(len(passage.samples), np.int64)
        shape_words(vocabulary, np.ascontiguousarray(passage.texts[:, lead]), column)
        column[passage.texts[:, lead, FIRST_BAR] != BAR] = len(vocabulary.norms)
        words[:, lead] = column
    words[:, LEADS:] = passage.levels
    return words


def training_labels(passage: Passage) -> npt.NDArray[np.int64]:
    """Labels of each beat (n, 2): for the first word on it, and for the last on the beat before if it follows."""
    labels = np.full((len(passage.labels), 2), UNLABELLED, np.int64)
    labels[:, 0] = passage.labels
    labels[1:, 1] = np.where(passage.follows[1:], passage.labels[:-1], UNLABELLED)
    return labels


def texts_of(passages: Sequence[Passage], config: TrainingConfig) -> npt.NDArray[np.uint8]:
    """Texts (n, TEXT) of readable leads of beats drawn by lot: what a vocabulary is learned from."""
    texts: npt.NDArray[np.uint8] = np.concatenate([p.texts.reshape(-1, TEXT) for p in passages])
    texts = texts[texts[:, FIRST_BAR] == BAR]
    drawn = np.random.default_rng(config.seed).permutation(len(texts))[: config.vocabulary_texts]
    return texts[drawn]


def learn_vocabulary(passages: Sequence[Passage], config: TrainingConfig) -> Vocabulary:
    """The vocabulary of shapes."""
    return learn(texts_of(passages, config), config.clusters, config.ngrams, config.seed)


def judge(passage: Passage, probabilities: npt.NDArray[np.float32]) -> BeatTable:
    """EC57's table of a passage read with these probabilities."""
    symbols = [CLASSES[i] for i in probabilities.argmax(axis=1)]
    test = Annotations.of(passage.samples, symbols)
    return tabulate(pair(passage.reference, test, Period.of(passage.rate_hz)), passage.rate_hz)


def read_passage(passage: Passage, weights: Weights) -> BeatProbabilities:
    """Both words on every beat of a passage, by the bedside's arithmetic."""
    return classify_sequence(weights.layers, words_of(passage, weights.vocabulary), passage.follows)


def export(networks: Sequence[Network], vocabulary: Vocabulary) -> Weights:
    """The weights of networks of one make as the bedside takes them: members of one model, with no rhythm head yet."""
    config = networks[0].config
    hidden, embedding, classes = config.hidden, config.embedding, config.classes

    def stacked(tensors: Iterable[torch.Tensor]) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(np.stack([t.detach().numpy() for t in tensors]), np.float32)

    def gates(tensors: Iterable[torch.Tensor]) -> npt.NDArray[np.float32]:
        """From torch's order to the one in which those with a logistic function lie side by side."""
        of_input, of_forget, of_cell, of_output = np.split(stacked(tensors), 4, axis=-1)
        return np.ascontiguousarray(np.concatenate([of_input, of_forget, of_output, of_cell], axis=-1))

    def linear(layers: Sequence[nn.Linear | None], inputs: int, outputs: int) -> tuple[npt.NDArray[np.float32], ...]:
        there = [layer for layer in layers if layer is not None]
        if not there:
            zero = np.zeros((len(layers), inputs, outputs), np.float32)
            return zero, zero.sum(axis=1)
        return stacked(layer.weight.T for layer in there), stacked(layer.bias for layer in there)

    dense, dense_bias = linear([n.dense for n in networks], hidden + embedding, hidden)
    head, head_bias = linear([n.head for n in networks], hidden, classes)
    again, again_bias = linear([n.again for n in networks], hidden + 2 * embedding, 0)
    last, last_bias = linear([n.last for n in networks], 0, classes)
    lstm = [n.lstm.get_parameter for n in networks]
    layers = Layers(
        offsets=np.ascontiguousarray(networks[0].offsets.numpy().astype(np.int64)),
        embed=stacked(n.table() for n in networks),
        bias=stacked(n.bias for n in networks),
        inputs=gates(of("weight_ih_l0").T for of in lstm),
        recurrent=gates(of("weight_hh_l0").T for of in lstm),
        gates=gates(of("bias_ih_l0") + of("bias_hh_l0") for of in lstm),
        dense=dense,
        dense_bias=dense_bias,
        head=head,
        head_bias=head_bias,
        again=again,
        again_bias=again_bias,
        last=last,
        last_bias=last_bias,
    )
    return Weights(vocabulary, layers, RhythmHead.silent(layers))


def split(subjects: Sequence[str], parts: int, seed: int) -> list[list[str]]:
    """Subjects dealt into parts, each database evenly."""
    rng = np.random.default_rng(seed)
    dealt: list[list[str]] = [[] for _ in range(parts)]
    position = 0
    for database in sorted({subject.split("/")[0] for subject in subjects}):
        members = sorted({subject for subject in subjects if subject.startswith(f"{database}/")})
        for member in rng.permutation(members):
            dealt[position % parts].append(str(member))
            position += 1
    return dealt


class Trainer(TrainingRun):
    """One training run on the beats of many beds.

    Parameters
    ----------
    passages : sequence of Passage
        All records in all variants.
    config : TrainingConfig
    folder : Path or None
        Where the learning curve and the checkpoint are kept, and found again.
    report : callable
        Called with each `Round`.
    """

    line = Round
    held_out: set[str]

    def __init__(
        self,
        passages: Sequence[Passage],
        config: TrainingConfig,
        folder: Path | None = None,
        report: Callable[[Round], None] = lambda _: None,
    ) -> None:
        super().__init__(config, self.fields(config), len(CLASSES), folder, report)
        subjects = sorted({p.subject for p in passages if p.scored})
        count = max(round(1 / config.held_out), 2) if config.held_out else 0
        self.held_out = set(split(subjects, count, config.seed)[0]) if count else set()
        self.training = [p for p in passages if p.subject not in self.held_out]
        self.judged = [p for p in passages if p.subject in self.held_out and p.kind == "plain"]
        self.vocabulary = self.learn([p for p in self.training if p.kind == "plain"])
        self.words = [self.say(p) for p in self.training]
        self.labels = [training_labels(p) for p in self.training]
        self.records = sorted({(p.database, p.record) for p in self.training})
        self.by_record = {
            r: [i for i, p in enumerate(self.training) if (p.database, p.record) == r] for r in self.records
        }

    def fields(self, config: TrainingConfig) -> tuple[int, ...]:
        """Words of each field of a beat's sentence."""
        return sizes_of(config.clusters)

    def learn(self, passages: Sequence[Passage]) -> Vocabulary:
        """The vocabulary of shapes."""
        return learn_vocabulary(passages, self.config)

    def say(self, passage: Passage) -> npt.NDArray[np.int64]:
        """A passage in words, int64 (n, W)."""
        return words_of(passage, self.vocabulary)

    def read(self, passage: Passage) -> BeatProbabilities:
        """Both words on a passage by the mean weights."""
        return read_passage(passage, self.weights())

    def order(self) -> list[int]:
        """Each record once, in a variant drawn by lot."""
        chosen = [int(self.rng.choice(self.by_record[r])) for r in self.records]
        return [chosen[i] for i in self.rng.permutation(len(chosen))]

    def augment(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Words as another recorder might have said them: some levels off by one, some not told."""
        out = words.copy()
        unknown = np.array(self.sizes[LEADS:]) - 1
        measured = out[:, LEADS:]
        told = measured != unknown
        moved = measured + self.rng.choice((-1, 1), measured.shape)
        slips = told & (self.rng.random(measured.shape) < self.config.level_jitter)
        measured = np.where(slips, np.clip(moved, 0, unknown - 1), measured)
        hushed = self.rng.random(measured.shape) < self.config.word_dropout
        hushed |= self.rng.random(measured.shape[1]) < self.config.field_dropout
        out[:, LEADS:] = np.where(hushed, unknown, measured)
        hushed = self.rng.random((len(out), LEADS)) < self.config.word_dropout
        out[:, :LEADS] = np.where(hushed, self.sizes[0] - 1, out[:, :LEADS])
        return out

    def judge(self, loss: float) -> Round:
        """EC57 on the held-out subjects."""
        table = gross(judge(p, self.read(p).last) for p in self.judged)
        veb_se, veb_ppv, sveb_se, sveb_ppv = (value or 0.0 for value in figures(table))
        return Round(len(self.curve) + 1, loss, veb_se, veb_ppv, sveb_se, sveb_ppv, merit(table))

    def weights(self) -> Weights:
        """The mean weights as the bedside takes them."""
        return export([member.mean for member in self.members], self.vocabulary)


def figures(table: BeatTable) -> tuple[float | None, float | None, float | None, float | None]:
    """VEB Se, +P, SVEB Se, +P in percent; None where there is nothing to count."""
    return table.veb_se.percent, table.veb_ppv.percent, table.sveb_se.percent, table.sveb_ppv.percent


def merit(table: BeatTable) -> float:
    """Mean of the F1 of ventricular and supraventricular ectopic beats, 0 to 1: what a round is chosen by.

    What is not defined is 0 here: of two rounds one has to be the better.
    """
    veb_se, veb_ppv, sveb_se, sveb_ppv = (value or 0.0 for value in figures(table))
    veb = 2 * veb_se * veb_ppv / (veb_se + veb_ppv) if veb_se + veb_ppv else 0.0
    sveb = 2 * sveb_se * sveb_ppv / (sveb_se + sveb_ppv) if sveb_se + sveb_ppv else 0.0
    return (veb + sveb) / 200.0
