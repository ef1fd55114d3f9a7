"""The shapes of `detector.shape` once more, in plain Python, as the kernel's oracle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from detector import candidate, shape
from detector.envelope import PER_BAND
from detector.shape import SHIFT


@dataclass
class Candidate:
    """A peak of the feature and what is known of it."""

    at: int
    score: float = candidate.UNLIKELY
    slope: float = 0.0
    sizes: list[float] = field(default_factory=list)
    waveform: list[list[int]] = field(default_factory=list)
    shape: int = -1
    sharpness: float = 0.0
    shift: int = 0
    fit: float = -2.0
    known: bool = False
    envelopes: list[float] = field(default_factory=list)
    sharps: list[float] = field(default_factory=list)
    recalled: float = -2.0
    recalled_shift: int = SHIFT


class ShapesTwin:
    """The usual shape of a beat and the ectopic one, in all leads.

    Parameters
    ----------
    leads : int
    """

    def __init__(self, leads: int) -> None:
        self.leads = leads
        self.forget()

    def forget(self) -> None:
        """No shape is known."""
        self.points = [[[0.0] * shape.POINTS for _ in range(self.leads)] for _ in range(shape.SHAPES)]
        self.seen = [0.0] * shape.SHAPES

    def compare(self, one: Candidate, weights: Sequence[float]) -> float:
        """Likeness to the shapes that count; which one fits best at which shift is noted."""
        counted = -2.0
        for which, seen in enumerate(self.seen):
            if seen <= 0.0:
                continue
            for shift in range(shape.SHIFTS):
                total = 0.0
                for weight, waveform, points in zip(weights, one.waveform, self.points[which], strict=True):
                    part = waveform[shift : shift + shape.POINTS]
                    size = math.sqrt(sum(a * a for a in part) + 1e-9) * math.sqrt(dot(points, points) + 1e-9)
                    total += weight * (dot(part, points) / size)
                likeness = total / sum(weights)
                if likeness > one.fit:
                    one.fit, one.shape, one.shift = likeness, which, shift
                if seen >= shape.TRUSTED:
                    counted = max(counted, likeness)
        return counted

    def sharpness(self, one: Candidate, weights: Sequence[float]) -> tuple[float, float] | None:
        """How sharp a candidate is for its size, against its shape, and how alike in that."""
        total = sharpness = likeness = 0.0
        for weight, waveform, points in zip(weights, one.waveform, self.points[one.shape], strict=True):
            template_curvature = second_differences(points)
            known = math.sqrt(dot(template_curvature, template_curvature))
            if weight > 0.0 and known > 0.0:
                part = waveform[one.shift : one.shift + shape.POINTS]
                bends = second_differences(part)
                bent = math.sqrt(dot(bends, bends))
                sizes = (bent, math.sqrt(dot(points, points) + 1e-9), known, math.sqrt(dot(part, part) + 1e-9))
                sharp, whole, template_sharp, template_whole = (value * PER_BAND + shape.SHARP_UV for value in sizes)
                total += weight
                sharpness += weight * math.log(sharp * whole / (template_sharp * template_whole))
                likeness += weight * (dot(bends, template_curvature) / (bent * known + 1e-9))
        return (sharpness / total, likeness / total) if total > 0.0 else None

    def learn(self, one: Candidate) -> None:
        """Learn the shape of a candidate that is a beat, in the leads that are used."""
        which, shift = one.shape, one.shift
        fresh = which < 0 or one.fit < shape.SAME
        if fresh:
            which, shift = 0 if self.seen[0] <= self.seen[1] else 1, shape.SHIFT
        share = 1.0 if fresh else max(shape.LEARN, 1.0 / (self.seen[which] + 1.0))
        for size, waveform, points in zip(one.sizes, one.waveform, self.points[which], strict=True):
            for k in range(shape.POINTS):
                if size > 0.0:
                    points[k] = (1.0 - share) * points[k] + share * waveform[k + shift]
                elif fresh:
                    points[k] = 0.0
        self.seen[which] = 1.0 if fresh else min(self.seen[which] + 1.0, shape.OFTEN)
        self.seen[1 - which] *= shape.WANE


def dot(waveform: Sequence[float], points: Sequence[float]) -> float:
    """Sum of products, in the kernel's order."""
    sums = [0.0] * 4
    for k in range(shape.POINTS):
        sums[k % 4 if k < shape.POINTS // 4 * 4 else 0] += waveform[k] * points[k]
    return (sums[0] + sums[1]) + (sums[2] + sums[3])


def second_differences(values: Sequence[float]) -> list[float]:
    """Second differences, as many as values: the last two are 0."""
    return [a - 2.0 * b + c for a, b, c in zip(values, values[1:], values[2:], strict=False)] + [0.0, 0.0]
