"""The network that reads the sentences of beats: embeddings -> LSTM -> dropout -> dense.

Training only; at the bedside `model.lstm` runs the same weights in numba.

Shapes: B sequences (beds), T beats, W words a beat, E embedding, H hidden, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

CLASSES = 5


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
        Share of units dropped behind embedding, LSTM and dense layer.
    classes : int
        C; the bedside's are `model.reader.CLASSES`.
    """

    sizes: tuple[int, ...]
    embedding: int = 48
    hidden: int = 48
    dropout: float = 0.3
    classes: int = CLASSES


class Network(nn.Module):
    """Words of beats in order -> scores of the classes, with the state carried on."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.offsets = torch.tensor([sum(config.sizes[:i]) for i in range(len(config.sizes))])
        self.embed = nn.EmbeddingBag(sum(config.sizes), config.embedding, mode="sum")
        self.bias = nn.Parameter(torch.zeros(config.embedding))
        self.lstm = nn.LSTM(config.embedding, config.hidden, batch_first=True)
        self.dense = nn.Linear(config.hidden + config.embedding, config.hidden)
        self.head = nn.Linear(config.hidden, config.classes)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.embed.weight, std=1.0 / len(config.sizes) ** 0.5)
        with torch.no_grad():  # remember by default: the forget gate starts open
            self.lstm.get_parameter("bias_ih_l0")[config.hidden : 2 * config.hidden] = 1.0

    def forward(self, words: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, W) words and the state (1, B, H) twice -> (B, T, C) scores and the next state."""
        beats = (words + self.offsets).flatten(0, 1)  # (B T, W)
        x = torch.relu(self.embed(beats).unflatten(0, words.shape[:2]) + self.bias)  # (B, T, E)
        x = self.dropout(x)
        y, state = self.lstm(x, state)  # (B, T, H)
        both = torch.cat([self.dropout(y), x], dim=2)  # the beat itself beside what went before
        return self.head(self.dropout(torch.relu(self.dense(both)))), state

    def start(self, sequences: int) -> tuple[Tensor, Tensor]:
        """The state of beds that have had no beat."""
        zero = torch.zeros(1, sequences, self.config.hidden)
        return zero, zero.clone()


class Forgetful(Network):
    """The same without memory: each beat is read as a bed's first. For ablations."""

    def forward(self, words: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """(B, T, W) words -> (B, T, C) scores; the state is as it was."""
        alone = words.flatten(0, 1).unsqueeze(1)  # (B T, 1, W)
        scores, _ = super().forward(alone, self.start(len(alone)))
        return scores.reshape(*words.shape[:2], -1), state
