"""Fitting the rhythm head (`model.rhythm_head`) to networks that have been trained, which stay as they are.

It learns from what readers have marked as the rhythm (`+` annotations) at each beat found, from what the description of
a database says of its recordings, and from composed fibrillation (`model.compose`). Of each reading as many beats are
taken at most, so that a record of half an hour does not count for sixty strips; the first ones among them, since a bed
that has just been connected has to be told from one that is irregular.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from model.codes import RHYTHMS
from model.dataset import UNLABELLED, Passage
from model.reader import Weights
from model.rhythm_head import F32, RhythmHead, memories
from model.self_training import rhythms
from model.train import words_of
from model.training_loop import THREADS

#: Marks of a rhythm that say nothing of it, or of no beats: unreadable, without beats, or not told.
UNTOLD: Final = frozenset({"", "(NOISE", "(ASYS", "(VF", "(VFL", "(VFIB"})
SAME: Final = {"(PM": "(P"}  # what vfdb calls a rhythm that mitdb calls otherwise
#: Recordings of afpdb without atrial fibrillation, as its description says: of patients who have none, and those of
#: others that do not lead into it. What follows the even ones (`p02c`) holds some, nobody has marked where.
WITHOUT: Final = {"afpdb": re.compile(r"n\d\dc?|p\d\d|p\d[13579]c")}
BEATS: Final = 600  # beats taken of a reading
FIRST: Final = 60  # of them the first ones of the record
HIDDEN: Final = 32  # units of its hidden layer
DROPOUT: Final = 0.3
EPOCHS: Final = 8
STEPS: Final = 1000  # gradient steps at least, where there are few records
BATCH: Final = 512
RATE: Final = 2e-3  # learning rate at the begin; it falls as a cosine
DECAY: Final = 0.05
LEAST: Final = 0.03  # added to the spread of what is remembered: what hardly ever stirs is not to speak loudly


def rhythm_labels(passage: Passage, names: Sequence[str] = RHYTHMS) -> npt.NDArray[np.int8]:
    """The rhythm at each beat found, int8 (n,): an index into `names`, 0 if it is none of them, or `UNLABELLED`."""
    without = WITHOUT.get(passage.database)
    if without is not None and not passage.annotated:
        label = 0 if without.fullmatch(passage.record) else UNLABELLED
        return np.full(len(passage.samples), label, np.int8)
    told = [SAME.get(rhythm, rhythm) for rhythm in rhythms(passage)]
    labels = [UNLABELLED if r in UNTOLD else names.index(r) if r in names else 0 for r in told]
    return np.array(labels, np.int8)


def fit_rhythms(passages: Sequence[Passage], weights: Weights, seed: int, names: Sequence[str] = RHYTHMS) -> RhythmHead:
    """A rhythm head for trained networks.

    Parameters
    ----------
    passages : sequence of Passage
        Records in all variants, with marks of rhythms or without.
    weights : Weights
        Of the networks.
    seed : int
    names : sequence of str
        What it is to tell, any other rhythm first; at the bedside it is `RHYTHMS`.

    Returns
    -------
    RhythmHead
        One that tells no rhythm where none is marked.
    """
    rng = np.random.default_rng(seed)
    inputs: list[F32] = []
    labels: list[npt.NDArray[np.int8]] = []
    for p in passages:
        told = rhythm_labels(p, names)
        chosen = _some_of(np.flatnonzero(told != UNLABELLED), rng)
        if len(chosen):
            inputs.append(memories(weights.layers, words_of(p, weights.vocabulary))[chosen])
            labels.append(told[chosen])
    if not inputs or not np.concatenate(labels).any():
        return RhythmHead.silent(weights.layers, len(names))
    known = torch.from_numpy(np.concatenate(inputs))
    inputs.clear()  # it is a gigabyte
    mean, spread = known.mean(dim=0), known.std(dim=0, correction=0) + LEAST
    known.sub_(mean).div_(spread)
    dense, out = _fit(known.flatten(1), np.concatenate(labels), len(names), seed)
    return _export(dense, out, mean, spread)


def _some_of(beats: npt.NDArray[np.int64], rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """At most `BEATS` of a reading's beats, the first among them."""
    if len(beats) <= BEATS:
        return beats
    return np.concatenate([beats[:FIRST], rng.choice(beats[FIRST:], BEATS - FIRST, replace=False)])


def _fit(inputs: torch.Tensor, labels: npt.NDArray[np.int8], rhythms: int, seed: int) -> tuple[nn.Linear, nn.Linear]:
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(seed)
    targets = torch.from_numpy(labels.astype(np.int64))
    dense, out = nn.Linear(inputs.shape[1], HIDDEN), nn.Linear(HIDDEN, rhythms)
    optimizer = torch.optim.AdamW([*dense.parameters(), *out.parameters()], lr=RATE, weight_decay=DECAY)
    batches = -(-len(inputs) // BATCH)
    epochs = max(EPOCHS, -(-STEPS // batches))
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * batches)
    for _ in range(epochs):
        order = torch.randperm(len(inputs))
        for some in (order[first : first + BATCH] for first in range(0, len(order), BATCH)):
            hidden = torch.relu(dense(functional.dropout(inputs[some], DROPOUT)))
            loss = functional.cross_entropy(out(functional.dropout(hidden, DROPOUT)), targets[some])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            falling.step()
    return dense, out


def _export(dense: nn.Linear, out: nn.Linear, mean: torch.Tensor, spread: torch.Tensor) -> RhythmHead:
    """The head as the bedside takes it: given what the networks remember as it is."""
    with torch.no_grad():
        by = dense.weight / spread.flatten()  # (D, M (H + E))
        bias = dense.bias - by @ mean.flatten()

        def array(tensor: torch.Tensor) -> F32:
            return np.ascontiguousarray(tensor.numpy(), np.float32)

        return RhythmHead(array(by.T.reshape(*mean.shape, -1)), array(bias), array(out.weight.T), array(out.bias))
