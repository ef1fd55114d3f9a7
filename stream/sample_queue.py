"""Samples of a ward's beds that wait for the detector, and how much signal each bed has that waits to be judged."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from stream.bed import JOB

QUEUE_MS: Final = 1400  # signal a bed's queues hold between two judgements: 16 epochs, less a begun one


class SampleQueue:
    """Stretches of samples in the order in which they came, of any beds."""

    def __init__(self) -> None:
        self._unjudged_ms: dict[str, int] = {}
        self._jobs: list[tuple[int, int, int]] = []
        self._stretches: list[npt.NDArray[np.int16]] = []
        self._length = 0

    def has_room(self, bed: str, instants: int, rate_mHz: int) -> bool:
        """Whether so many more of a bed's instants can be detected before it has to be judged."""
        return self._unjudged_ms.get(bed, 0) + _millis(instants, rate_mHz) <= QUEUE_MS

    def put(self, row: int, bed: str, stretch: npt.NDArray[np.int16], rate_mHz: int) -> None:
        """Append samples, shape (LEADS, instants), of the bed in this row of the table."""
        instants = stretch.shape[1]
        self._unjudged_ms[bed] = self._unjudged_ms.get(bed, 0) + _millis(instants, rate_mHz)
        self._jobs.append((row, self._length, instants))
        self._stretches.append(stretch)
        self._length += instants

    def drop(self, row: int, bed: str) -> None:
        """Forget what there is of a bed."""
        kept = [(job[0], part) for job, part in zip(self._jobs, self._stretches, strict=True) if job[0] != row]
        self._jobs, self._stretches, self._length = [], [], 0
        for other, part in kept:
            self._jobs.append((other, self._length, part.shape[1]))
            self._stretches.append(part)
            self._length += part.shape[1]
        self._unjudged_ms.pop(bed, None)

    def take(self) -> tuple[npt.NDArray[Any], npt.NDArray[np.int16]] | None:
        """What waits for the detector (`JOB` and the samples); none of it waits any more."""
        if not self._jobs:
            return None
        jobs, samples = np.array(self._jobs, JOB), np.concatenate(self._stretches, axis=1)
        self._jobs, self._stretches, self._length = [], [], 0
        return jobs, samples

    def take_unjudged(self) -> list[str]:
        """The beds with signal that waits to be judged; none of it waits any more."""
        beds = list(self._unjudged_ms)
        self._unjudged_ms.clear()
        return beds


def _millis(instants: int, rate_mHz: int) -> int:
    return instants * 1_000_000 // rate_mHz + 1
