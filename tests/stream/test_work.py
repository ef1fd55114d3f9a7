"""Bounded work: no signal makes the ward work much longer than a steady heart does.

Times are compared within one process, in turns, by their minima: a busy machine slows all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

import numpy as np
import numpy.typing as npt
import pytest

from stream.frames import INVALID, Frame
from stream.ward import Ward
from tests.detector.hearts import ecg
from tests.stream.wards import reader

RATE: Final = 250
SECONDS: Final = 60
BIT: Final = 0.005
ROUNDS: Final = 3
MOST: Final = 3.0  # times what a steady heart of 75 a minute costs: beats cost, too, and there may be four a second

Samples = npt.NDArray[np.int16]


def steady() -> Samples:
    mv, _ = ecg(SECONDS, 75, noise_mv=0.01)
    return np.rint(mv[: SECONDS * RATE] / BIT).astype(np.int16)


def random(height: float) -> Samples:
    values = np.random.default_rng(1).normal(0.0, height / BIT, (SECONDS * RATE, 2))
    return np.clip(np.rint(values), -32767, 32767).astype(np.int16)


def train(hz: float, width: int, height_mv: float) -> Samples:
    """Pulses so often, so many samples wide."""
    out = np.zeros((SECONDS * RATE, 2), np.int16)
    for at in np.arange(0, SECONDS * RATE - width, RATE / hz).astype(int):
        out[at : at + width] = round(height_mv / BIT)
    return out


def torn(every: int) -> Samples:
    """A steady heart whose leads come and go in turn."""
    out = steady()
    gone = np.arange(len(out)) // every % 2 == 0
    out[gone, 0] = INVALID
    out[~gone, 1] = INVALID
    return out


def waves(hz: float) -> Samples:
    t = np.arange(SECONDS * RATE) / RATE
    return np.rint(np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)], axis=1) / BIT).astype(np.int16)


HOSTILE: Final[dict[str, Callable[[], Samples]]] = {
    "noise of 0.1 mV": lambda: random(0.1),
    "noise of 5 mV": lambda: random(5.0),
    "noise of all there is": lambda: random(80.0),
    "pulses, 4 a second": lambda: train(4.0, 3, 2.0),
    "pulses, 20 a second": lambda: train(20.0, 2, 2.0),
    "square waves": lambda: train(5.0, 25, 1.0),
    "flutter": lambda: waves(5.0),
    "hum": lambda: waves(50.0),
    "leads come and go with each sample": lambda: torn(1),
    "leads come and go every 100 ms": lambda: torn(25),
    "nothing": lambda: np.full((SECONDS * RATE, 2), INVALID, np.int16),
    "a flat line": lambda: np.zeros((SECONDS * RATE, 2), np.int16),
    "a rail": lambda: np.full((SECONDS * RATE, 2), 32767, np.int16),
}


def frames(samples: Samples) -> list[Frame]:
    step = RATE // 2
    leads = ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V1")
    parts = [(at, samples[at : at + step]) for at in range(0, len(samples), step)]
    return [
        Frame("bed", k, at, at * 4000, at * 4000, RATE * 1000, leads, (BIT, BIT), part.tobytes())
        for k, (at, part) in enumerate(parts)
    ]


def work_s(some: list[Frame]) -> float:
    ward = Ward(reader())
    began = time.process_time()
    for frame in some:
        ward.detect([frame])
        ward.judge()
    return time.process_time() - began


@pytest.mark.parametrize("name", HOSTILE)
def test_no_signal_makes_much_more_work_than_a_heart(name: str) -> None:
    usual, hostile = frames(steady()), frames(HOSTILE[name]())
    work_s(usual[:4])  # compiles
    times = [(work_s(usual), work_s(hostile)) for _ in range(ROUNDS)]
    ours, theirs = (min(column) for column in zip(*times, strict=True))
    assert theirs < MOST * ours, f"{theirs / ours:.1f} times"
