"""How much more the detector does on all cores at once: its kernels let go of the interpreter, so threads will do."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from model.bench import pass_s
from model.detector_runs import Beds
from model.strip import Strip

LEAST_S: Final = 0.5  # of one measurement: far above what it takes to start threads


@dataclass(frozen=True)
class Scaling:
    """Rounds of measurements, each of one core and then of all.

    Attributes
    ----------
    beds, cores : int
    gains : sequence of float
        How many times as many samples a second on all cores as on one, one each round.
    """

    beds: int
    cores: int
    gains: Sequence[float]

    def as_dict(self) -> dict[str, Any]:
        """The spread of the rounds."""
        least, middle, most = np.percentile(self.gains, (0, 50, 100))
        return {
            "beds": self.beds,
            "cores": self.cores,
            "gain_median": float(middle),
            "gain_min": float(least),
            "gain_max": float(most),
        }


def cores() -> int:
    """How many there are for this process."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def scaling(strips: Sequence[Strip], rounds: int, done: Callable[[], object] = lambda: None) -> Scaling:
    """Measure the beds on one core, and dealt out to a thread a core.

    Parameters
    ----------
    strips : sequence of Strip
        One a bed; the first lead is looked at.
    rounds : int
    done : callable
        Called after each round.
    """
    most = min(cores(), len(strips))
    parts = [Beds([strip.lead(0) for strip in strips[part::most]]) for part in range(most)]
    gains = []
    with ThreadPoolExecutor(most) as pool:
        for part in parts:
            part.run()  # compiles
        for _ in range(rounds):
            one_s = pass_s(lambda: [part.run() for part in parts], LEAST_S, time.perf_counter)
            all_s = pass_s(lambda: list(pool.map(Beds.run, parts)), LEAST_S, time.perf_counter)
            gains.append(one_s / all_s)
            done()
    return Scaling(len(strips), most, gains)
