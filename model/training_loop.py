"""A course of training: gradient steps over sequences of words with the state carried on, until nothing gets better.

What is read, in which order, and how a round is judged is the subclass's: `model.train.Trainer` for the beats of a
bed's whole life, `model.heartbeat_train.HeartbeatTrainer` for single beats. A course is seeded, keeps its learning
curve and a checkpoint, and goes on from there when configuration and material are the same.

A sequence is read from its first beat. Many run side by side in the slots of a batch; after each chunk the gradient is
cut but the state goes on (truncated back-propagation). Where a sequence has ended, the next begins in its slot with an
empty state: records of five minutes and of thirty are read together, and a step meets some beds that have just been
connected and some that have been there for long. The last chunk of a sequence is padded and masked.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Sized
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from detector.types import LEADS
from model.dataset import UNLABELLED
from model.network import Network, NetworkConfig, RecurrentState

if TYPE_CHECKING:
    from model.reader import Weights
    from model.train import TrainingConfig

THREADS: Final = 1  # of torch: the order of its sums, and so the weights, depend on it; more only wait for each other


def fingerprint(config: TrainingConfig) -> str:
    """Digest of a configuration."""
    return hashlib.blake2b(json.dumps(asdict(config), sort_keys=True).encode(), digest_size=8).hexdigest()


class Member(NamedTuple):
    """One network that learns, the running mean of its weights, which is what is judged and kept, and its optimizer."""

    network: Network
    mean: Network
    optimizer: torch.optim.AdamW

    @classmethod
    def begin(cls, network: Network, config: TrainingConfig) -> Member:
        """A network that has learned nothing."""
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay)
        return cls(network, copy.deepcopy(network).eval(), optimizer)

    @torch.no_grad()
    def average(self, most: float) -> None:
        """Move the mean weights towards the current ones; early on faster, in the end by 1 - `most`."""
        steps = next(iter(self.optimizer.state.values()))["step"].item()
        memory = min(most, (1 + steps) / (10 + steps))
        for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now, 1 - memory)


@dataclass(eq=False)
class Slot:
    """A sequence that is being read.

    Attributes
    ----------
    words : int64 (T, W)
    labels : integer (T, 2)
    read : int
        Beats of it that have been read.
    """

    words: npt.NDArray[np.int64]
    labels: npt.NDArray[Any]
    read: int = 0

    @property
    def left(self) -> int:
        """Beats of it still to be read."""
        return len(self.words) - self.read

    def next(self, most: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[Any]]:
        """Words and labels of its next beats, at most so many."""
        part = slice(self.read, self.read + most)
        return self.words[part], self.labels[part]

    def advance(self, most: int) -> int:
        """Go on by at most so many beats; by how many."""
        by = min(most, self.left)
        self.read += by
        return by


class TrainingRun(ABC):
    """One training run.

    A subclass sets `words`, `labels` and `held_out` before `run`.

    Parameters
    ----------
    config : TrainingConfig
    sizes : tuple of int
        Words of each field.
    classes : int
    folder : Path or None
        Where the learning curve and the checkpoint are kept, and found again.
    report : callable
        Called with each line of the learning curve.

    Attributes
    ----------
    words : sequence of int64 (T, W)
        Of each sequence.
    labels : sequence of integer (T, 2)
        What each step is trained to say, or `UNLABELLED`: as the first word on it, as the last on the step before.
    held_out : sized
        What decides when to stop; nothing when it is empty.
    line : type
        A frozen dataclass with at least ``epoch``, ``loss`` and ``score``: a line of the learning curve.
    members : list of Member
        The networks that learn.
    ordered : int
        Fields before the first whose words have an order: the shape words.
    network_type : type
        The network that learns.
    """

    line: ClassVar[type[Any]]
    network_type: type[Network] = Network
    ordered: int = LEADS
    words: Sequence[npt.NDArray[np.int64]]
    labels: Sequence[npt.NDArray[Any]]
    held_out: Sized

    def __init__(
        self,
        config: TrainingConfig,
        sizes: tuple[int, ...],
        classes: int,
        folder: Path | None,
        report: Callable[[Any], None],
    ) -> None:
        torch.set_num_threads(THREADS)
        torch.manual_seed(config.seed)
        torch.use_deterministic_algorithms(True)
        self.config = config
        self.sizes = sizes
        self.class_weights = torch.tensor(config.weights_of(classes))
        self.folder = folder
        self.report = report
        self.rng = np.random.default_rng(config.seed)
        network_config = NetworkConfig(
            sizes,
            config.embedding,
            config.hidden,
            config.dropout,
            classes,
            self.ordered,
            config.level_smoothing,
            config.last_hidden,
        )
        self.members = [Member.begin(self.network_type(network_config), config) for _ in range(config.members)]
        self.curve: list[Any] = []
        self.best: list[dict[str, torch.Tensor]] = []
        self._stamp = ""

    @abstractmethod
    def order(self) -> list[int]:
        """The sequences of the next round, in the order in which they are read."""

    @abstractmethod
    def augment(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A sequence as another recorder might have said it."""

    @abstractmethod
    def judge(self, loss: float) -> Any:
        """A line of the learning curve: the mean weights on what is held out."""

    @abstractmethod
    def weights(self) -> Weights:
        """The mean weights as the bedside takes them."""

    def run(self) -> Weights:
        """Train to the end, from the checkpoint if there is one; the best weights of the run."""
        if self.folder is not None:
            self._stamp = f"{fingerprint(self.config)} {self._data_digest()}"
            self._resume(self.folder / "checkpoint.pt")
        while len(self.curve) < self.config.epochs and not self._exhausted():
            loss = self._epoch(len(self.curve))
            self._close(loss)
        for member, best in zip(self.members, self.best, strict=False):  # none yet where no round was any good
            member.mean.load_state_dict(best)
        return self.weights()

    def _exhausted(self) -> bool:
        best = max(range(len(self.curve)), key=lambda i: self.curve[i].score, default=0)
        return len(self.held_out) > 0 and len(self.curve) - 1 - best >= self.config.patience

    def _epoch(self, epoch: int) -> float:
        """One round of each member; the mean loss of a labelled step."""
        rounds = [self._round(member, epoch) for member in self.members]
        return sum(loss for loss, _ in rounds) / max(sum(count for _, count in rounds), 1.0)

    def _round(self, member: Member, epoch: int) -> tuple[float, float]:
        """Gradient steps over every sequence of a round; summed loss and number of their labelled steps."""
        order = [i for i in self.order() if len(self.words[i])]
        beats_in_all = sum(len(self.words[i]) for i in order)
        waiting = iter(order)
        slots: list[Slot] = []
        memory = member.network.start(0)
        member.network.train()
        loss = trained = beats_read = 0.0
        while True:
            going_on = [n for n, slot in enumerate(slots) if slot.left]
            free = self.config.batch_size - len(going_on)
            begun = [Slot(self.augment(self.words[i]), self.labels[i]) for i in islice(waiting, free)]
            slots = [slots[n] for n in going_on] + begun
            if not slots:
                return loss, trained
            memory = memory.select(going_on).concatenate(member.network.start(len(begun)))
            self._set_learning_rate(member, epoch + beats_read / beats_in_all)
            memory, step_loss, step_count = self._step(member, slots, memory)
            loss += step_loss
            trained += step_count
            beats_read += sum(slot.advance(self.config.bptt_length) for slot in slots)

    def _set_learning_rate(self, member: Member, rounds: float) -> None:
        """Set the learning rate by the rounds that have been read: a cosine, less in the first two."""
        warm = min(1.0, (rounds + 0.2) / 2.0)
        done = min(rounds / self.config.epochs, 1.0)
        for group in member.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * warm * (0.51 + 0.49 * math.cos(math.pi * done))

    def _step(
        self, member: Member, slots: Sequence[Slot], memory: RecurrentState
    ) -> tuple[RecurrentState, float, float]:
        """One gradient step over the slots' next chunks; memory after them, summed loss, number of labelled steps."""
        longest = min(max(slot.left for slot in slots), self.config.bptt_length)
        words = np.zeros((len(slots), longest, len(self.sizes)), np.int64)
        labels = np.full((len(slots), longest, 2), UNLABELLED, np.int64)
        for slot, (said, told) in enumerate(one.next(longest) for one in slots):
            words[slot, : len(said)] = said
            labels[slot, : len(told)] = told
        network = member.network
        first, last, memory = network(torch.from_numpy(words), memory)
        part = torch.from_numpy(labels)
        count = float((part != UNLABELLED).sum())
        if not count:
            return memory.detach(), 0.0, 0.0
        scores = torch.stack([first, last], dim=2)  # (B, T, 2, C)
        loss = functional.cross_entropy(
            scores.flatten(0, 2), part.flatten(), self.class_weights, ignore_index=UNLABELLED, reduction="sum"
        )
        member.optimizer.zero_grad()
        torch.autograd.backward(loss / (self.config.batch_size * self.config.bptt_length))
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        member.optimizer.step()
        member.average(self.config.ema_decay)
        return memory.detach(), float(loss.detach()), count

    def _close(self, loss: float) -> None:
        """Judge the mean weights and keep the round."""
        line = self.judge(loss)
        if line.score >= max((r.score for r in self.curve), default=0.0):
            self.best = [{k: v.clone() for k, v in m.mean.state_dict().items()} for m in self.members]
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
            "stamp": self._stamp,
            "members": [
                {part: getattr(member, part).state_dict() for part in Member._fields} for member in self.members
            ],
            "best": self.best,
            "torch": torch.get_rng_state(),
            "numpy": json.dumps(self.rng.bit_generator.state),
            "curve": [asdict(line) for line in self.curve],
        }
        part = self.folder / "checkpoint.part"
        torch.save(checkpoint, part)
        part.replace(self.folder / "checkpoint.pt")

    def _data_digest(self) -> str:
        """Digest of the training data: words of another vocabulary would go on from weights that know nothing of it."""
        sum_ = hashlib.blake2b(digest_size=12)
        for told in (*self.words, *self.labels):
            sum_.update(repr(told.shape).encode())
            sum_.update(np.ascontiguousarray(told).tobytes())
        return sum_.hexdigest()

    def _resume(self, path: Path) -> None:
        """Go on from a checkpoint of the same configuration and the same words; begin anew beside any other."""
        if not path.exists():
            return
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        if kept.get("stamp") != self._stamp:
            return
        for member, parts in zip(self.members, kept["members"], strict=True):
            for part, state in parts.items():
                getattr(member, part).load_state_dict(state)
        self.best = kept["best"]
        torch.set_rng_state(kept["torch"])
        self.rng.bit_generator.state = json.loads(kept["numpy"])
        self.curve = [self.line(**line) for line in kept["curve"]]
