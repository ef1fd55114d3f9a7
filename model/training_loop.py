"""A course of training: gradient steps over sequences of words with the state carried on, until nothing gets better.

What is read, in which order, and how a round is judged is the subclass's: `model.train.Trainer` for the beats of a
bed's whole life, `model.heartbeat_train.HeartbeatTrainer` for single beats. A course is seeded, keeps its learning
curve and a checkpoint, and goes on from there under the same configuration.

A sequence is read from its first word. Many run side by side in lanes; after each chunk the gradient is cut but the
state goes on (truncated back-propagation). Lanes that have ended are padded and masked.
"""

from __future__ import annotations

import copy
import csv
import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence, Sized
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from detector.types import LEADS
from model.dataset import UNTAUGHT
from model.network import Network, NetworkConfig

if TYPE_CHECKING:
    from model.reader import Weights
    from model.train import TrainingConfig

THREADS: Final = 1  # of torch: the order of its sums, and so the weights, depend on it; more only wait for each other


def fingerprint(config: TrainingConfig) -> str:
    """Of a configuration; a training is only resumed under the same."""
    return hashlib.blake2b(json.dumps(asdict(config), sort_keys=True).encode(), digest_size=8).hexdigest()


class Member(NamedTuple):
    """One network that learns, the running mean of its weights, which is what is judged and kept, and its optimizer."""

    network: Network
    mean: Network
    optimizer: torch.optim.AdamW

    @classmethod
    def begin(cls, network: Network, config: TrainingConfig) -> Member:
        """A network that has learned nothing."""
        optimizer = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.decay)
        return cls(network, copy.deepcopy(network).eval(), optimizer)

    @torch.no_grad()
    def average(self, most: float) -> None:
        """Move the mean weights towards the current ones; early on faster, in the end by 1 - `most`."""
        steps = next(iter(self.optimizer.state.values()))["step"].item()
        memory = min(most, (1 + steps) / (10 + steps))
        for mean, now in zip(self.mean.parameters(), self.network.parameters(), strict=True):
            mean.lerp_(now, 1 - memory)


class Course(ABC):
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
        What each step is taught to say, or `UNTAUGHT`: as the first word on it, as the last on the step before.
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
        self.folder = folder
        self.report = report
        self.rng = np.random.default_rng(config.seed)
        network_config = NetworkConfig(
            sizes, config.embedding, config.hidden, config.dropout, classes, self.ordered, config.blend, config.again
        )
        self.members = [Member.begin(self.network_type(network_config), config) for _ in range(config.members)]
        self.curve: list[Any] = []
        self.best: list[dict[str, torch.Tensor]] = []

    @abstractmethod
    def order(self) -> list[int]:
        """The sequences of the next round, in the order in which they are read."""

    @abstractmethod
    def blur(self, words: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """A sequence as another recorder might have said it."""

    @abstractmethod
    def judge(self, loss: float) -> Any:
        """A line of the learning curve: the mean weights on what is held out."""

    @abstractmethod
    def weights(self) -> Weights:
        """The mean weights as the bedside takes them."""

    def run(self) -> Weights:
        """Train to the end, from the checkpoint if there is one; the best weights of the run."""
        self._resume()
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
        """One round of each member; the mean loss of a taught step."""
        total = weight = 0.0
        for member in self.members:
            order = self.order()
            for first in range(0, len(order), self.config.lanes):
                lanes = order[first : first + self.config.lanes]
                done = (epoch + first / len(order)) / self.config.epochs
                for group in member.optimizer.param_groups:
                    warm = min(1.0, (epoch + first / len(order) + 0.2) / 2.0)
                    group["lr"] = self.config.rate * warm * (0.51 + 0.49 * math.cos(math.pi * min(done, 1.0)))
                loss, beats = self._read_lanes(member, lanes)
                total += loss
                weight += beats
        return total / max(weight, 1.0)

    def _read_lanes(self, member: Member, lanes: list[int]) -> tuple[float, float]:
        """Gradient steps over some sequences side by side; summed loss and weight of their beats."""
        longest = max(len(self.words[i]) for i in lanes)
        words = np.zeros((len(lanes), longest, len(self.sizes)), np.int64)
        labels = np.full((len(lanes), longest, 2), UNTAUGHT, np.int64)
        for lane, i in enumerate(lanes):
            words[lane, : len(self.words[i])] = self.blur(self.words[i])
            labels[lane, : len(self.words[i])] = self.labels[i]
        class_weights = torch.tensor(self.config.class_weights)
        network = member.network
        memory = network.start(len(lanes))
        network.train()
        total = beats = 0.0
        for start in range(0, longest, self.config.chunk):
            part = torch.from_numpy(labels[:, start : start + self.config.chunk])
            first, last, memory = network(torch.from_numpy(words[:, start : start + self.config.chunk]), memory)
            memory = memory.cut()
            count = float((part != UNTAUGHT).sum())
            if not count:
                continue
            scores = torch.stack([first, last], dim=2)  # (B, T, 2, C)
            loss = functional.cross_entropy(
                scores.flatten(0, 2), part.flatten(), class_weights, ignore_index=UNTAUGHT, reduction="sum"
            )
            member.optimizer.zero_grad()
            torch.autograd.backward(loss / (len(lanes) * self.config.chunk))
            torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            member.optimizer.step()
            member.average(self.config.memory)
            total += float(loss.detach())
            beats += count
        return total, beats

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
            "config": fingerprint(self.config),
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

    def _resume(self) -> None:
        path = self.folder / "checkpoint.pt" if self.folder is not None else None
        if path is None or not path.exists():
            return
        kept: dict[str, Any] = torch.load(path, weights_only=True)
        if kept["config"] != fingerprint(self.config):
            return
        for member, parts in zip(self.members, kept["members"], strict=True):
            for part, state in parts.items():
                getattr(member, part).load_state_dict(state)
        self.best = kept["best"]
        torch.set_rng_state(kept["torch"])
        self.rng.bit_generator.state = json.loads(kept["numpy"])
        self.curve = [self.line(**line) for line in kept["curve"]]
