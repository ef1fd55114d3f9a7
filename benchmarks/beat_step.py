"""What the network's step costs a core, a beat: `python -m benchmarks.beat_step`, half a minute.

The words of one record are read a beat at a time by the step that runs at the bedside, one bed after the other on one
core, and by torch with networks of the same make, which is what a monitor without kernels of its own would call. Only
the step: the beat's pictures, its measurements and its words come before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch

from benchmarks import parts
from model.codes import CLASSES
from model.dataset import sentences_of
from model.lstm import Layers, classify_sequence
from model.network import Network, NetworkConfig
from model.reader import Reader, Weights, spell
from model.rhythm_head import RhythmHead, rhythm_log_odds
from model.state import LANGUAGE
from model.store import sizes_of
from model.strip import read_strip
from replay.records import find_records
from stream.settings import data_dirs

RECORD: Final = "mitdb/208"  # of the development records the one with most ventricular beats: no kind of word is rare
RUNS: Final = 9
BY_TORCH: Final = 300  # beats: it takes a hundred times as long


def words_in(path: Path, weights: Weights) -> npt.NDArray[np.int64]:
    """All words of a record's beats as the step takes them, int64 (n, W)."""
    _, texts, _, levels = sentences_of(read_strip(path))
    words = np.empty((len(texts), len(weights.layers.offsets)), np.int64)
    for beat, (text, level) in enumerate(zip(texts, levels, strict=True)):
        spell(weights.vocabulary, text, level, words[beat])
    return words


def networks_like(layers: Layers, shapes: int) -> list[Network]:
    """Torch's networks of the make of these layers, for so many shape words; what they say is of no meaning."""
    members, hidden = layers.recurrent.shape[:2]
    config = NetworkConfig(
        sizes_of(shapes), layers.bias.shape[1], hidden, classes=len(CLASSES), last_hidden=layers.again_bias.shape[1]
    )
    networks = [Network(config).eval() for _ in range(members)]
    for network in networks:  # the embeddings are blended once, as those of the model file are
        network.table = partial(torch.Tensor.detach, network.table())  # type: ignore[method-assign]
    return networks


def by_torch(networks: list[Network], words: npt.NDArray[np.int64]) -> Callable[[], None]:
    """What lets them read these words a beat at a time."""
    beats = torch.from_numpy(words)[:, None, None]

    @torch.no_grad()
    def read() -> None:
        memories = [network.start(1) for network in networks]
        for beat in beats:
            for m, network in enumerate(networks):
                _, _, memories[m] = network(beat, memories[m])

    return read


def _read_rhythms(layers: Layers, head: RhythmHead, words: npt.NDArray[np.int64]) -> None:
    rhythm_log_odds(layers, head, words)


def microseconds(read: Callable[[], None], beats: int, runs: int = RUNS) -> dict[str, float]:
    """µs of processor time a beat, minimum, median and maximum of some runs after one to warm up."""
    read()
    took = []
    for _ in range(runs):
        began = time.process_time()
        read()
        took.append((time.process_time() - began) / beats * 1e6)
    return parts.spread(took, 2)


def measure(data_dir: Path | None, model: Path | None) -> dict[str, Any]:
    """The step's cost, torch's, and the bytes a bed keeps."""
    torch.set_num_threads(1)
    reader = Reader.load(model)
    layers, head = reader.weights.layers, reader.weights.rhythm
    (path,) = find_records(data_dirs(data_dir), [RECORD])
    words = words_in(path, reader.weights)
    follows = np.ones(len(words), np.bool_)
    few = words[:BY_TORCH]
    return {
        "machine": parts.machine(),
        "members": len(layers.bias),
        "hidden": layers.recurrent.shape[1],
        "beats": len(words),
        "step_us": microseconds(lambda: classify_sequence(layers, words, follows) and None, len(words)),
        "with_rhythm_us": microseconds(partial(_read_rhythms, layers, head, words), len(words)),
        "torch_us": microseconds(by_torch(networks_like(layers, reader.shapes), few), len(few), 3),
        "state_bytes": LANGUAGE.itemsize,
    }


def show(figures: dict[str, Any]) -> None:
    """Print the figures, each with its spread over the runs."""
    print(f"{figures['members']} networks of {figures['hidden']} units, {figures['beats']} beats of {RECORD}, one core")
    for name, key in (
        ("step", "step_us"),
        ("and the rhythm head", "with_rhythm_us"),
        ("the same by torch", "torch_us"),
    ):
        print(f"{name:>20}  {parts.spread_text(figures[key])} µs a beat")
    print(f"{'a bed keeps':>20}  {figures['state_bytes']} bytes")


def main() -> None:
    """Read the command line, measure, print."""
    parts.read_beats("Measure what the network's step costs a core, a beat.", measure, show)


if __name__ == "__main__":
    main()
