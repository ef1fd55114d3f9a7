"""The benchmark of the step: it reads what training reads, and measures what it says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import wfdb

from benchmarks import beat_step as bench
from detector.types import LEADS
from model.dataset import labelled_passage
from model.ec57 import Annotations
from model.reader import Reader
from model.strip import read_strip
from model.train import words_of
from tests.model.hearts import heart

RATE = 250.0


def test_the_words_are_those_that_training_reads(tmp_path: Path) -> None:
    mv, _ = heart("NNVNS" * 8, 200)
    wfdb.wrsamp(
        "208",
        RATE,
        ["mV"] * LEADS,
        ["MLII", "V1"],
        mv.astype(np.float64),
        fmt=["16"] * LEADS,
        write_dir=str(tmp_path),
    )
    weights = Reader.load().weights
    strip = read_strip(tmp_path / "208")
    passage = labelled_passage(strip, Annotations.of([], ""), ("mitdb", "208", "plain"), RATE)
    words = bench.words_in(tmp_path / "208", weights)
    assert np.array_equal(words, words_of(passage, weights.vocabulary))


def test_torch_is_given_networks_of_the_same_make() -> None:
    reader = Reader.load()
    layers = reader.weights.layers
    networks = bench.networks_like(layers, reader.shapes)
    assert tuple(np.shape([network.table() for network in networks])) == layers.embed.shape
    assert sum(network.lstm.get_parameter("weight_hh_l0").numel() for network in networks) == layers.recurrent.size
    words = np.zeros((3, len(layers.offsets)), np.int64)
    assert bench.microseconds(bench.by_torch(networks, words), len(words), 2)["min"] > 0.0
