"""What `detector.memory` remembers once more, in plain Python, as the kernel's oracle."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from detector import memory
from detector.levels import MEDIAN_OF
from detector.reference_shape import Candidate, dot, second_differences
from detector.shape import POINTS, SAME, SHIFT, SHIFTS, UNKNOWN


class MemoryTwin:
    """The shape and the rhythm of beats that were sure, in all leads.

    Parameters
    ----------
    leads : int
    """

    def __init__(self, leads: int) -> None:
        self.leads = leads
        self.forget()

    def forget(self) -> None:
        """Nothing is remembered."""
        self.last, self.rested = -(10**9), 0
        self.rr: list[float] = []
        self.forget_shape()

    def forget_shape(self) -> None:
        """Beats may look like anything."""
        self.points: list[list[float] | None] = [None] * self.leads
        self.beats = self.unlike = 0

    def forget_lead(self, lead: int) -> None:
        """Nor does the lead's own past count."""
        self.points[lead] = None
        if not any(self.points):
            self.forget()

    def count_rest(self, unrest: float) -> None:
        """Take how restless the lead is that rests most."""
        self.rested += unrest < memory.AT_REST
        if self.rested >= memory.UNSURE_AT_REST:
            self.forget()

    def recall(self, one: Candidate, weights: Sequence[float], *, lost: bool) -> dict[str, float]:
        """Measures of a candidate against what is remembered."""
        parts = [
            (weight, waveform, points)
            for weight, waveform, points in zip(weights, one.waveform, self.points, strict=True)
            if weight > 0.0 and points is not None
        ]
        total = sum(weight for weight, _, _ in parts)
        for shift in range(SHIFTS if parts else 0):
            likeness = 0.0
            for weight, waveform, points in parts:
                part = waveform[shift : shift + POINTS]
                size = math.sqrt(sum(a * a for a in part) + 1e-9) * _size(points)
                likeness += weight * (dot(part, points) / size)
            if likeness / total > one.recalled:
                one.recalled, one.recalled_shift = likeness / total, shift
        shape = {"remembered": UNKNOWN, "remembered size": 0.0, "remembered sharp": UNKNOWN}
        shape["remembered sharp size"] = 0.0
        if parts and self.beats >= memory.FEW and not lost:
            size = sharp = sharp_size = 0.0
            for weight, waveform, points in parts:
                part = waveform[one.recalled_shift : one.recalled_shift + POINTS]
                bent, usual = second_differences(part), second_differences(points)
                squares, product = dot(usual, usual), dot(bent, usual)
                size += weight * (dot(part, points) / (_size(points) * _size(points)))
                sharp += weight * (product / (math.sqrt(dot(bent, bent)) * math.sqrt(squares) + 1e-9))
                sharp_size += weight * (product / (squares + 1e-9))
            shape["remembered"] = one.recalled
            shape["remembered size"] = math.log(max(size / total, 0.0) + memory.SMALLEST)
            shape["remembered sharp"] = sharp / total
            shape["remembered sharp size"] = math.log(max(sharp_size / total, 0.0) + memory.SMALLEST)
        return shape | self._rhythm(one.at, lost=lost)

    def _rhythm(self, at: int, *, lost: bool) -> dict[str, float]:
        if len(self.rr) < memory.FEW or lost:
            return {"in step": 0.0, "unsure": 0.0, "apart": 0.0}
        since = float(at - self.last)
        apart = since / statistics.median(self.rr[-MEDIAN_OF:])
        off = (apart - max(math.floor(apart + 0.5), 1.0)) / memory.STRAYS
        return {
            "in step": math.exp(-0.5 * off * off - since / memory.FORGETS),
            "unsure": min(since / memory.FORGETS, 1.0),
            "apart": min(apart, memory.MANY),
        }

    def learn(self, one: Candidate) -> None:
        """Learn from a beat, if it is sure."""
        if one.score <= memory.CONFIDENT_SCORE:
            return
        self.rested = 0
        if one.at - self.last < memory.LONG:
            self.rr.append(float(one.at - self.last))
        self.last = one.at
        if self.beats >= memory.FEW and -1.0 <= one.recalled <= SAME:
            self.unlike += 1
            if self.unlike < memory.CHANGED:
                return
            self.forget_shape()
        self.unlike = 0
        self.beats += 1
        shift = SHIFT if self.beats == 1 else one.recalled_shift
        for lead, (size, waveform) in enumerate(zip(one.sizes, one.waveform, strict=True)):
            if size > 0.0:
                part = [float(value) for value in waveform[shift : shift + POINTS]]
                points = self.points[lead]
                share = 1.0 if points is None else max(1.0 / self.beats, memory.MIX)
                old = points or [0.0] * POINTS
                self.points[lead] = [(1.0 - share) * a + share * b for a, b in zip(old, part, strict=True)]


def _size(points: Sequence[float]) -> float:
    return math.sqrt(dot(points, points) + 1e-9)
