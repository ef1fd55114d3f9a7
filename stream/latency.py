"""Latency percentiles at 5 % resolution, in a few kilobytes, over any length of time.

Prometheus' histogram buckets must be few, so a percentile read from them is off by up to a quarter. This is the fine
picture the demo and the benchmarks read from `/latency`.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final

from stream.frames import Frame
from stream.metrics import Metrics, Stage
from stream.wire import Alert

STEP: Final = 1.05  # ratio of two neighbouring bucket bounds: the resolution
SMALLEST_MS: Final = 0.001  # 1 µs; anything quicker is counted as that
BUCKETS: Final = 420  # up to 1 µs x 1.05^420 = 13 minutes


class Percentiles:
    """Counts of durations in exponential buckets.

    Examples
    --------
    >>> p = Percentiles()
    >>> for ms in range(1, 101):
    ...     p.add(ms)
    >>> round(p.at(0.5)), p.count, p.summary()["max"]
    (49, 100, 100)
    """

    def __init__(self) -> None:
        self._buckets = [0] * (BUCKETS + 1)
        self.count = 0
        self._max = 0.0

    def add(self, ms: float) -> None:
        """Count one duration, ms; a negative one (two clocks) counts as 0."""
        self._max = max(self._max, ms)
        self.count += 1
        index = math.ceil(math.log(ms / SMALLEST_MS, STEP)) if ms > SMALLEST_MS else 0
        self._buckets[min(index, BUCKETS)] += 1

    def at(self, quantile: float) -> float:
        """The duration, ms, that this share of all did not exceed; within half a step, NaN when there are none."""
        if not self.count:
            return math.nan
        rank = max(1, math.ceil(quantile * self.count))
        index = bisect_left(list(itertools.accumulate(self._buckets)), rank)
        middle: float = SMALLEST_MS * STEP ** (index - 0.5)
        return min(self._max, middle)

    def summary(self) -> dict[str, float | int | None]:
        """`p50`, `p90`, `p99`, `max` in ms (None when nothing was counted) and `count`."""
        if not self.count:
            return {"p50": None, "p90": None, "p99": None, "max": None, "count": 0}
        named = {name: round(self.at(q), 3) for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))}
        return {**named, "max": round(self._max, 3), "count": self.count}


class Timings:
    """How long each stage took and an alert was on its way: for Prometheus, and finer for `/latency`."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._stages = {stage: Percentiles() for stage in Stage}
        self._alerts = Percentiles()

    def observe(self, stage: Stage, seconds: float) -> None:
        """A stage took so long."""
        self._metrics.stage(stage).observe(max(0.0, seconds))
        self._stages[stage].add(seconds * 1e3)

    def alerted(self, seconds: float) -> None:
        """An alert was acknowledged so long after the gateway's stamp in the frame that decided it."""
        self._metrics.frame_to_alert.observe(max(0.0, seconds))
        self._alerts.add(seconds * 1e3)

    def summary(self) -> dict[str, Any]:
        """Percentiles in ms of each stage, at 5 % resolution."""
        stages = {stage.value: percentiles.summary() for stage, percentiles in self._stages.items()}
        return stages | {"frame_to_alert": self._alerts.summary()}


def deciding(alert: Alert, frames: Sequence[Frame]) -> Frame | None:
    """The frame with the last sample the alert was decided on; of frames cut in a round, else the bed's last."""
    last = None
    for frame in frames:
        if frame.bed == alert.bed:
            last = frame
            if alert.decided_sample < frame.first_sample + frame.instants:
                break
    return last
