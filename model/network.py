"""The network that reads the sentences of beats: embeddings -> LSTM -> dropout -> dense, and a last word a beat later.

Training only; at the bedside `model.lstm` runs the same weights in numba.

A beat is named twice. The first word falls when the beat is read and is what alarms act on. The last word falls when
the next beat has been read, which knows the pause after the beat: the first word's scores, corrected by a second dense
layer that is given the state and the embeddings of both beats.

Shapes: B sequences (beds), T beats, W words a beat, E embedding, H hidden, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from model.codes import CLASSES


@dataclass(frozen=True)
class NetworkConfig:
    """Sizes of the network.

    Attributes
    ----------
    sizes : tuple of int
        Words of each field: the shape words of both leads, then the measured words with their "cannot be told".
    embedding : int
        E, length of a word's embedding; the embeddings of a beat's words are added.
    hidden : int
        H, units of the LSTM, and of the dense layer.
    dropout : float
        Share of units dropped after embedding, LSTM and dense layer.
    classes : int
        C; the bedside's are `model.codes.CLASSES`.
    ordered : int
        From which field on levels have an order.
    level_smoothing : float
        How far, in levels, the embeddings of an ordered field are blended with their neighbours': what is said of one
        level then holds for those beside it, too.
    last_hidden : int
        A, units of the hidden layer of the last word; 0: there is none, and the first stands.
    """

    sizes: tuple[int, ...]
    embedding: int = 32
    hidden: int = 32
    dropout: float = 0.3
    classes: int = len(CLASSES)
    ordered: int = 0
    level_smoothing: float = 0.0
    last_hidden: int = 0


class RecurrentState(NamedTuple):
    """What is carried from beat to beat.

    Attributes
    ----------
    h, c : (1, B, H)
        State of the LSTM.
    x : (B, E)
        The last beat's words, embedded.
    scores : (B, C)
        Its first word.
    """

    h: Tensor
    c: Tensor
    x: Tensor
    scores: Tensor

    def detach(self) -> RecurrentState:
        """The same, without a way back for the gradient."""
        return RecurrentState(*(part.detach() for part in self))

    def select(self, sequences: Sequence[int]) -> RecurrentState:
        """That of some of its sequences."""
        some = torch.tensor(sequences, dtype=torch.long)
        return RecurrentState(self.h[:, some], self.c[:, some], self.x[some], self.scores[some])

    def concatenate(self, other: RecurrentState) -> RecurrentState:
        """That of its sequences, then of another's."""
        h, c = (torch.cat(parts, dim=1) for parts in ((self.h, other.h), (self.c, other.c)))
        return RecurrentState(h, c, torch.cat([self.x, other.x]), torch.cat([self.scores, other.scores]))


class Network(nn.Module):
    """Words of beats in order -> scores of the classes, with the state carried on."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.offsets = torch.tensor([sum(config.sizes[:i]) for i in range(len(config.sizes))])
        self.blend = Blend(config)
        self.embed = nn.EmbeddingBag(sum(config.sizes), config.embedding, mode="sum")
        self.bias = nn.Parameter(torch.zeros(config.embedding))
        self.lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.dense = nn.Linear(config.hidden + config.embedding, config.hidden)
        self.head = nn.Linear(config.hidden, config.classes)
        self.again = nn.Linear(config.hidden + 2 * config.embedding, config.last_hidden) if config.last_hidden else None
        self.last = nn.Linear(config.last_hidden, config.classes) if config.last_hidden else None
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.embed.weight, std=1.0 / len(config.sizes) ** 0.5)
        with torch.no_grad():  # remember by default: the forget gate starts open
            self.lstm.get_parameter("bias_ih_l0")[config.hidden : 2 * config.hidden] = 1.0

    def forward(self, words: Tensor, memory: RecurrentState) -> tuple[Tensor, Tensor, RecurrentState]:
        """(B, T, W) words and the memory -> first and last words, and the next memory.

        Both are (B, T, C) scores; the last words at T are those on the beat before T.
        """
        beats = (words + self.offsets).flatten(0, 1)  # (B T, W)
        x = nn.functional.embedding_bag(beats, self.table(), mode="sum").reshape(*words.shape[:2], -1)
        x = torch.relu(x + self.bias)  # (B, T, E)
        x = self.dropout(x)
        y, h, c = self.remember(x, memory)  # (B, T, H)
        y = self.dropout(y)
        both = torch.cat([y, x], dim=2)  # the beat itself beside what went before
        first = self.head(self.dropout(torch.relu(self.dense(both))))  # (B, T, C)
        last = torch.cat([memory.scores.unsqueeze(1), first[:, :-1]], dim=1)
        if self.again is not None and self.last is not None:
            before = torch.cat([memory.x.unsqueeze(1), x[:, :-1]], dim=1)  # (B, T, E)
            last = last + self.last(self.dropout(torch.relu(self.again(torch.cat([both, before], dim=2)))))
        return first, last, RecurrentState(h, c, x[:, -1], first[:, -1])

    def table(self) -> Tensor:
        """(words, E) the embedding of each word."""
        return self.blend(self.embed.weight)

    def remember(self, x: Tensor, memory: RecurrentState) -> tuple[Tensor, Tensor, Tensor]:
        """(B, T, E) embedded beats -> (B, T, H) what the LSTM makes of them, and its next state."""
        y, (h, c) = self.lstm(x, (memory.h, memory.c))
        return y, h, c

    def start(self, sequences: int) -> RecurrentState:
        """The memory of beds that have had no beat."""
        config = self.config
        zero = torch.zeros(1, sequences, config.hidden)
        return RecurrentState(
            zero, zero.clone(), torch.zeros(sequences, config.embedding), torch.zeros(sequences, config.classes)
        )


class Blend:
    """Blends the embeddings of each ordered field's levels with their neighbours'.

    "Cannot be told", a field's last word, is blended with nothing. Fields are padded to the size of the largest, so
    that all are blended at once.
    """

    def __init__(self, config: NetworkConfig) -> None:
        sizes = torch.tensor(config.sizes[config.ordered :]) if config.level_smoothing > 0.0 else torch.zeros(0).long()
        self.fields = len(sizes)
        self.first = sum(config.sizes) - int(sizes.sum())  # words before it are left as they are
        if not self.fields:
            return
        place = torch.arange(int(sizes.max()))
        starts = self.first + torch.cumsum(sizes, 0) - sizes
        #: (fields, places) the word in each place, and whether there is one.
        self.words = torch.minimum(starts[:, None] + place, torch.tensor(sum(config.sizes) - 1))
        self.there = place < sizes[:, None]
        near = torch.exp(-0.5 * ((place[:, None] - place) / config.level_smoothing) ** 2)
        told = place < sizes[:, None] - 1
        shares = near * (told[:, :, None] & told[:, None, :])
        shares = shares / shares.norm(dim=2, keepdim=True).clamp_min(1e-9)
        untold = (self.there & ~told).float()
        #: (fields, places, places) shares of the words in each other's embedding.
        self.shares = shares + torch.diag_embed(untold)

    def __call__(self, table: Tensor) -> Tensor:
        """(words, E) -> (words, E)."""
        if not self.fields:
            return table
        padded = table[self.words.flatten()].reshape(*self.words.shape, -1)
        blended = torch.bmm(self.shares, padded)[self.there]
        return torch.cat([table[: self.first], blended])


class StatelessNetwork(Network):
    """The same without the LSTM's memory: each beat is read as a bed's first. For ablations."""

    def remember(self, x: Tensor, memory: RecurrentState) -> tuple[Tensor, Tensor, Tensor]:
        """Each beat from a state of nothing; the state is as it was."""
        alone = x.flatten(0, 1).unsqueeze(1)  # (B T, 1, E)
        y, _ = self.lstm(alone)
        return y.reshape(*x.shape[:2], -1), memory.h, memory.c
