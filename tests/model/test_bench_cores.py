"""Threads: the kernels let go of the interpreter, and what one thread says is what many say."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pytest

from model import bench_cores
from model.detector_runs import Beds
from tests.model.test_bench import strip_of_hearts

BEATS = 700  # ten minutes: one call takes long enough to be looked at from outside


def peaks(beds: Beds) -> list[npt.NDArray[np.int64]]:
    return [run.found["sample"].copy() for run in beds.run()]


def test_beds_in_threads_say_what_they_say_in_turn() -> None:
    parts = [Beds([strip_of_hearts(beats=60 + k, seed=k)[0]] * 3) for k in range(4)]
    alone = [peaks(part) for part in parts]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            for said, known in zip(pool.map(peaks, parts), alone, strict=True):
                assert all(np.array_equal(a, b) for a, b in zip(said, known, strict=True))


def test_the_interpreter_goes_on_while_a_kernel_runs() -> None:
    beds = Beds([strip_of_hearts(beats=BEATS)[0]] * 64)
    beds.run()  # compiles
    turns = 0
    ended = threading.Event()

    def work() -> None:
        beds.run()
        ended.set()

    worker = threading.Thread(target=work)
    worker.start()
    while not ended.wait(0.001):
        turns += 1
    worker.join()
    assert turns >= 5  # a kernel that held the interpreter would leave it one before and one behind


def test_the_gain_is_of_all_cores_over_one(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([3.0, 1.5, 4.0, 1.0])
    monkeypatch.setattr(bench_cores, "pass_s", lambda *_: next(times))
    assert bench_cores.scaling([strip_of_hearts(beats=10)[0]] * 2, 2).gains == [2.0, 4.0]


def test_each_round_is_one_core_and_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_cores, "LEAST_S", 0.0)
    monkeypatch.setattr(bench_cores, "cores", lambda: 3)
    rounds: list[None] = []
    found = bench_cores.scaling([strip_of_hearts(beats=10)[0]] * 8, 4, lambda: rounds.append(None))
    assert (found.beds, found.cores, len(found.gains), len(rounds)) == (8, 3, 4, 4)
    told = bench_cores.Scaling(8, 3, [1.0, 2.0, 4.0]).as_dict()
    assert told == {"beds": 8, "cores": 3, "gain_median": 2.0, "gain_min": 1.0, "gain_max": 4.0}
    assert bench_cores.scaling([strip_of_hearts(beats=10)[0]], 1).cores == 1  # no thread without a bed
