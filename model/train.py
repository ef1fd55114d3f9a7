"""Training: passages -> vocabulary -> network, by gradient steps over long sequences with the state carried on.

A sequence is a record in one of its variants, read from its first beat. Many run side by side in lanes; after each
chunk of beats the gradient is cut but the state goes on (truncated back-propagation), so that the network learns to
live with a state as old as the bed's. Lanes that have ended are padded and masked.

Class imbalance: nine beats in ten are normal. The loss weighs classes mildly (`TrainingConfig.class_weights`); the
full inverse frequency would trade many normal beats for each ectopic one, and EC57 counts both sides. Fusion beats
come almost all from one patient and are given less weight, so that they do not eat the ventricular beats of others.
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from detector.types import LEADS
from model.dataset import UNTAUGHT, Passage
from model.ec57 import Annotations, BeatTable, Period, gross, pair, tabulate
from model.letters import BAR, P_LETTERS, TEXT
from model.lstm import Layers, read_sequence
from model.network import Network, NetworkConfig
from model.reader import CLASSES, Weights
from model.store import sizes_of
from model.vocabulary import Vocabulary, learn, shape_words
from model.words import FIELDS

_FIRST_BAR: Final = (P_LETTERS[1] - P_LETTERS[0]) // P_LETTERS[2]


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that decides what comes out of a training, besides the data.

    Attributes
    ----------
    seed : int
        Of all randomness.
    databases, variants : tuple of str
        What is listened to (`model.dataset.passages`).
    texts, shapes, terms : int
        Texts the vocabulary is learned from, its shape words and n-grams.
    embedding, hidden, dropout
        Of the network (`model.network.NetworkConfig`).
    slip, hush, mute : float
        In training: share of measured words moved to a neighbouring level; of words replaced by "cannot be told"; and
        of kinds of word replaced so in a whole sequence, so that no reading hangs on one of them.
    class_weights : tuple of float
        Of N S V F Q in the loss.
    lanes, chunk : int
        Sequences side by side, and beats between two gradient steps.
    rate, decay : float
        Peak learning rate and weight decay of AdamW; the rate falls as a cosine.
    epochs, patience : int
        At most so many rounds over all records, and rounds without a better score after which it ends.
    memory : float
        Of the running mean of the weights, per step; the mean is what is judged and kept.
    held_out : float
        Share of subjects that decide when to stop.
    """

    seed: int = 7
    databases: tuple[str, ...] = ("mitdb", "svdb")
    variants: tuple[str, ...] = ("plain", "swap", "noise", "pace", "single")
    texts: int = 60_000
    shapes: int = 64
    terms: int = 512
    embedding: int = 48
    hidden: int = 48
    dropout: float = 0.3
    slip: float = 0.15
    hush: float = 0.05
    mute: float = 0.1
    class_weights: tuple[float, ...] = (1.0, 1.5, 1.5, 0.5, 0.5)
    lanes: int = 32
    chunk: int = 64
    rate: float = 4e-3
    decay: float = 0.02
    epochs: int = 24
    patience: int = 12
    memory: float = 0.995
    held_out: float = 0.12


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


def fingerprint(config: TrainingConfig) -> str:
    """Of a configuration; a training is only resumed under the same."""
    return hashlib.blake2b(json.dumps(asdict(config), sort_keys=True).encode(), digest_size=8).hexdigest()


def words_of(passage: Passage, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """A passage as the network takes it, int64 (n, LEADS + FIELDS); the same words as `model.reader.spell`."""
    words = np.empty((len(passage.samples), LEADS + FIELDS), np.int64)
    for lead in range(LEADS):
        column = np.empty(len(passage.samples), np.int64)
        shape_words(vocabulary, np.ascontiguousarray(passage.texts[:, lead]), column)
        column[passage.texts[:, lead, _FIRST_BAR] != BAR] = len(vocabulary.norms)
        words[:, lead] = column
    words[:, LEADS:] = passage.levels
    return words


def learn_vocabulary(passages: Sequence[Passage], config: TrainingConfig) -> Vocabulary:
    """The vocabulary of shapes, from readable leads of beats drawn by lot."""
    texts = np.concatenate([p.texts.reshape(-1, TEXT) for p in passages])
    texts = texts[texts[:, _FIRST_BAR] == BAR]
    drawn = np.random.default_rng(config.seed).permutation(len(texts))[: config.texts]
    return learn(texts[drawn], config.shapes, config.terms, config.seed)


def judge(passage: Passage, probabilities: npt.NDArray[np.float32]) -> BeatTable:
    """EC57's table of a passage read with these probabilities."""
    symbols = [CLASSES[i] for i in probabilities.argmax(axis=1)]
    test = Annotations.of(passage.samples, symbols)
    return tabulate(pair(passage.reference, test, Period.of(passage.rate_hz)), passage.rate_hz)


def read_passage(passage: Passage, weights: Weights) -> npt.NDArray[np.float32]:
    """Probabilities of every beat of a passage, by the bedside's arithmetic."""
    probabilities = np.empty((len(passage.samples), len(CLASSES)), np.float32)
    read_sequence(weights.layers, words_of(passage, weights.vocabulary), probabilities)
    return probabilities


def export(network: Network, vocabulary: Vocabulary) -> Weights:
    """The weights as the bedside takes them."""

    def array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
        return np.ascontiguousarray(tensor.detach().numpy().astype(np.float32))

    lstm = network.lstm.get_parameter
    layers = Layers(
        offsets=np.ascontiguousarray(network.offsets.numpy().astype(np.int64)),
        embed=array(network.embed.weight),
        bias=array(network.bias),
        inputs=array(lstm("weight_ih_l0").T),
        recurrent=array(lstm("weight_hh_l0").T),
        gates=array(lstm("bias_ih_l0") + lstm("bias_hh_l0")),
        dense=array(network.dense.weight.T),
        dense_bias=array(network.dense.bias),
        head=array(network.head.weight.T),
        head_bias=array(network.head.bias),
    )
    return Weights(vocabulary, layers)


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


class Trainer:
    """One training run.

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

    def __init__(
        self,
        passages: Sequence[Passage],
        config: TrainingConfig,
        folder: Path | None = None,
        report: Callable[[Round], None] = lambda _: None,
    ) -> None:
        torch.manual_seed(config.seed)
        torch.use_deterministic_algorithms(True)
        self.config = config
        self.folder = folder
        self.report = report
        self.rng = np.random.default_rng(config.seed)
        subjects = sorted({p.subject for p in passages if p.scored})
        count = max(round(1 / config.held_out), 2) if config.held_out else 0
        self.held_out = set(split(subjects, count, config.seed)[0]) if count else set()
        self.taught = [p for p in passages if p.subject not in self.held_out]
        self.judged = [p for p in passages if p.subject in self.held_out and p.kind == "plain"]
        self.vocabulary = learn_vocabulary([p for p in self.taught if p.kind == "plain"], config)
        self.words = [words_of(p, self.vocabulary) for p in self.taught]
        self.sizes = sizes_of(config.shapes)
        network_config = NetworkConfig(self.sizes, config.embedding, config.hidden, config.dropout)
        self.network = Network(network_config)
        self.mean = Network(network_config)
        self.mean.load_state_dict(self.network.state_dict())
        self.records = sorted({(p.database, p.record) for p in self.taught})
        self.by_record = {
            r: [i for i, p in enumerate(self.taught) if (p.database, p.record) == r] for r in self.records
        }
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=config.rate, weight_decay=config.decay)
        self.curve: list[Round] = []
        self.best: dict[str, torch.Tensor] = {}

    def run(self) -> Weights:
        """Train to the end, from the checkpoint if there is one; the best weights of the run."""
        self._resume()
        while len(self.curve) < self.config.epochs and not self._exhausted():
            loss = self._epoch(len(self.curve))
            self._close(loss)
        if self.best:
            self.mean.load_state_dict(self.best)
        return export(self.mean.eval(), self.vocabulary)

    def _exhausted(self) -> bool:
        best = max(range(len(self.curve)), key=lambda i: self.curve[i].score, default=0)
        return bool(self.held_out) and len(self.curve) - 1 - best >= self.config.patience

    def _epoch(self, epoch: int) -> float:
        """Each record once, in a variant drawn by lot."""
        chosen = [int(self.rng.choice(self.by_record[r])) for r in self.records]
        order = [chosen[i] for i in self.rng.permutation(len(chosen))]
        total = weight = 0.0
        for first in range(0, len(order), self.config.lanes):
            lanes = order[first : first + self.config.lanes]
            done = (epoch + first / len(order)) / self.config.epochs
            for group in self.optimizer.param_groups:
                warm = min(1.0, (epoch + first / len(order) + 0.2) / 2.0)
                group["lr"] = self.config.rate * warm * (0.51 + 0.49 * math.cos(math.pi * min(done, 1.0)))
            loss, beats = self._read_lanes(lanes)
            total += loss
            weight += beats
        return total / max(weight, 1.0)

    def _read_lanes(self, lanes: list[int]) -> tuple[float, float]:
        """Gradient steps over some sequences side by side; summed loss and weight of their beats."""
        longest = max(len(self.words[i]) for i in lanes)
        words = np.zeros((len(lanes), longest, len(self.sizes)), np.int64)
        labels = np.full((len(lanes), longest), UNTAUGHT, np.int64)
        for lane, i in enumerate(lanes):
            words[lane, : len(self.words[i])] = self._blur(self.words[i])
            labels[lane, : len(self.words[i])] = self.taught[i].labels
        class_weights = torch.tensor(self.config.class_weights)
        state = self.network.start(len(lanes))
        self.network.train()
        total = beats = 0.0
        for start in range(0, longest, self.config.chunk):
            part = torch.from_numpy(labels[:, start : start + self.config.chunk])
            scores, state = self.network(torch.from_numpy(words[:, start : start + self.config.chunk]), state)
            state = (state[0].detach(), state[1].detach())
            count = float((part != UNTAUGHT).sum())
            if not count:
                continue
            loss = functional.cross_entropy(
                scores.flatten(0, 1), part.flatten(), class_weights, ignore_index=UNTAUGHT, reduction="sum"
            )
            self.optimizer.zero_grad()
            torch.autograd.backward(loss / (len(lanes) * self.config.chunk))
            torch.nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            self.optimizer.step()
            self._average()
            total += float(loss.detach())
            beats += count
        return total, beats

    def _blur(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Words as another recorder might have said them: some levels off by one, some not told."""
        out = words.copy()
        unknown = np.array(self.sizes[LEADS:]) - 1
        measured = out[:, LEADS:]
        told = measured != unknown
        moved = measured + self.rng.choice((-1, 1), measured.shape)
        slips = told & (self.rng.random(measured.shape) < self.config.slip)
        measured = np.where(slips, np.clip(moved, 0, unknown - 1), measured)
        hushed = self.rng.random(measured.shape) < self.config.hush
        hushed |= self.rng.random(measured.shape[1]) < self.config.mute
        out[:, LEADS:] = np.where(hushed, unknown, measured)
        hushed = self.rng.random((len(out), LEADS)) < self.config.hush
        out[:, :LEADS] = np.where(hushed, self.sizes[0] - 1, out[:, :LEADS])
        return out

    @torch.no_grad()
    def _average(self) -> None:
        """Move the mean weights towards the current ones; early on faster."""
        steps = next(iter(self.optimizer.state.values()))["step"].item()
        memory = min(self.config.memory, (1 + steps) / (10 + steps))
        for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now, 1 - memory)

    def _close(self, loss: float) -> None:
        """Judge the mean weights on the held-out subjects and keep the round."""
        weights = export(self.mean, self.vocabulary)
        table = gross(judge(p, read_passage(p, weights)) for p in self.judged)
        line = Round(len(self.curve) + 1, loss, *figures(table), score=merit(table))
        if line.score >= max((r.score for r in self.curve), default=0.0):
            self.best = {k: v.clone() for k, v in self.mean.state_dict().items()}
        self.curve.append(line)
        self.report(line)
        self._keep()

    def _keep(self) -> None:
        if self.folder is None:
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "curve.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(asdict(self.curve[0])))
            writer.writeheader()
            writer.writerows(asdict(line) for line in self.curve)
        checkpoint = {
            "config": fingerprint(self.config),
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "best": self.best,
            "optimizer": self.optimizer.state_dict(),
            "torch": torch.get_rng_state(),
            "numpy": json.dumps(self.rng.bit_generator.state),
            "curve": [asdict(line) for line in self.curve],
        }
        part = self.folder / "checkpoint.part"
        torch.save(checkpoint, part)
        part.replace(self.folder / "checkpoint.pt")

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt" if self.folder is not None else None
        if path is None or not path.exists():
            return
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        if kept["config"] != fingerprint(self.config):
            return
        self.network.load_state_dict(kept["network"])
        self.mean.load_state_dict(kept["mean"])
        self.best = kept["best"]
        self.optimizer.load_state_dict(kept["optimizer"])
        torch.set_rng_state(kept["torch"])
        self.rng.bit_generator.state = json.loads(kept["numpy"])
        self.curve = [Round(**line) for line in kept["curve"]]


def figures(table: BeatTable) -> tuple[float, float, float, float]:
    """VEB Se, +P, SVEB Se, +P in percent; 0 where there is nothing to count."""
    ratios = (table.veb_se, table.veb_ppv, table.sveb_se, table.sveb_ppv)
    return tuple(r.percent or 0.0 for r in ratios)  # type: ignore[return-value]


def merit(table: BeatTable) -> float:
    """Mean of the F1 of ventricular and supraventricular ectopic beats, 0 to 1: what a round is chosen by."""
    veb_se, veb_ppv, sveb_se, sveb_ppv = figures(table)
    veb = 2 * veb_se * veb_ppv / (veb_se + veb_ppv) if veb_se + veb_ppv else 0.0
    sveb = 2 * sveb_se * sveb_ppv / (sveb_se + sveb_ppv) if sveb_se + sveb_ppv else 0.0
    return (veb + sveb) / 200.0


def cross_validate(
    passages: Sequence[Passage],
    config: TrainingConfig,
    parts: int,
    report: Callable[[int, dict[str, BeatTable]], None] = lambda *_: None,
) -> list[dict[str, BeatTable]]:
    """Train without each part of the subjects in turn and judge it on that part.

    Returns
    -------
    list of dict
        For each part, EC57's table of each of its records, keyed ``database/record``. Every scored record is in one.
    """
    subjects = sorted({p.subject for p in passages if p.scored})
    results = []
    for number, part in enumerate(split(subjects, parts, config.seed)):
        away = set(part)
        trainer = Trainer([p for p in passages if p.subject not in away], replace(config, seed=config.seed + number))
        weights = trainer.run()
        tables = {
            f"{p.database}/{p.record}": judge(p, read_passage(p, weights))
            for p in passages
            if p.subject in away and p.kind == "plain"
        }
        results.append(tables)
        report(number, tables)
    return results
