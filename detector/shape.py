"""The shape of a candidate, against two shapes learned from the beats found: of the usual beat and of the ectopic one.

A shape is the signal without baseline around the middle of the QRS complex, in all leads together. Likeness is the
weighted mean of the leads' correlations at the best of a few shifts. Electrodes that move make waves as high as a QRS
complex and seldom as *sharp*: so the second differences of the signal (20 to 43 Hz), for its size, are set against
those of the likest shape, and their likeness is taken.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from detector import simd
from detector.envelope import PER_BAND, SPAN
from detector.jit import hot
from detector.score import M_SHARP_LIKENESS, M_SHARPNESS
from detector.simd import F64_LANES
from detector.types import LEADS, Array, Row

HALF: Final = 7  # steps of a shape to each side of its centre (120 ms in all: a wide QRS complex)
POINTS: Final = 2 * HALF + 1
SHIFT: Final = 1  # steps by which a beat may lie beside the centre of its envelope
SHIFTS: Final = 2 * SHIFT + 1
WAVEFORM: Final = POINTS + SHIFTS - 1
CENTRE_BACK: Final = SPAN // 2 + 1  # steps from the envelope's peak back to the middle of the filtered QRS
SHAPES: Final = 2  # the usual beat and the ectopic one
SAME: Final = 0.7  # likeness from which on a beat is of a known shape
LEARN: Final = 0.15  # share of a new beat in its shape
KNOWN: Final = 4.0  # beats that make the shapes count
TRUSTED: Final = 2.0  # beats of a shape that counts
OFTEN: Final = 30.0  # beats of a shape remembered at most
UNKNOWN: Final = 0.7  # likeness while no shape is known: as of a common beat
WANE: Final = 0.98  # what the other shape keeps of its count at each beat
SHARP_UV: Final = 5.0  # µV below which neither a second difference nor the size it is set against says anything

SHAPE = np.dtype(
    [
        ("points", "f8", (SHAPES, LEADS, POINTS)),  # in `PER_BAND` µV
        ("size", "f8", (SHAPES, LEADS)),  # root of the sum of their squares
        ("beats", "f8", (SHAPES,)),
    ],
    align=True,
)


@hot
def begin(shape: Row) -> None:
    """No shape is known."""
    shape.points[:] = 0.0
    shape.size[:] = 1.0
    shape.beats[:] = 0.0


@hot
def _sizes(waveform: Array, out: Array) -> None:
    """Roots of the sums of squares at each shift: the squares are of whole numbers, and their sums exact in float64."""
    part = simd.load(waveform, 0)
    sums = part * part
    for k in range(F64_LANES, POINTS - F64_LANES + 1, F64_LANES):
        part = simd.load(waveform, k)
        sums = simd.multiply_add(part, part, sums)
    total = simd.reduce_add(sums)
    for k in range(POINTS // F64_LANES * F64_LANES, POINTS):
        total += waveform[k] * waveform[k]
    out[0] = math.sqrt(total + 1e-9)
    for shift in range(1, SHIFTS):
        total += waveform[shift + POINTS - 1] * waveform[shift + POINTS - 1] - waveform[shift - 1] * waveform[shift - 1]
        out[shift] = math.sqrt(total + 1e-9)


@hot
def compare(state: Row, scratch: Row) -> None:
    """Likeness to the shapes: the best of those that count, and which one fits best at which shift."""
    candidate = state.candidate
    best = likest = -2.0
    which, where = candidate.shape, candidate.shift
    weights = 0.0
    for lead in range(LEADS):
        if scratch.gain[lead] > 0.0:
            weights += state.levels[lead].weight
            _sizes(candidate.waveform[lead], scratch.size[lead])
    for shape in range(SHAPES):
        if state.shape.beats[shape] <= 0.0:
            continue
        for shift in range(SHIFTS):
            total = 0.0
            for lead in range(LEADS):
                if scratch.gain[lead] > 0.0:
                    product = dot(candidate.waveform[lead], shift, state.shape.points[shape, lead])
                    size = scratch.size[lead, shift] * state.shape.size[shape, lead]
                    total += state.levels[lead].weight * (product / size)
            likeness = total / weights
            better = likeness > best  # no branches: a mispredicted one costs more than both sides
            which, where = shape if better else which, shift if better else where
            best = likeness if better else best
            trusted = state.shape.beats[shape] >= TRUSTED and likeness > likest
            likest = likeness if trusted else likest
    candidate.fit, candidate.likeness = best, likest
    candidate.shape, candidate.shift = which, where


@hot
def sharpen(state: Row, scratch: Row) -> None:
    """How sharp the signal is for its size, and how alike in that, against the likest shape.

    As was set before where none is known. Set against its size, it says nothing of how high the shape's beats were.
    """
    candidate = state.candidate
    weights = sharpness = likeness = 0.0
    for lead in range(LEADS):
        if scratch.gain[lead] > 0.0:
            second_differences(state.shape.points[candidate.shape, lead], 0, scratch.template_curvature)
            template_bent = math.sqrt(dot(scratch.template_curvature, 0, scratch.template_curvature))
            if template_bent > 0.0:
                second_differences(candidate.waveform[lead], candidate.shift, scratch.curvature)
                bent = math.sqrt(dot(scratch.curvature, 0, scratch.curvature))
                size = scratch.size[lead, candidate.shift]
                weight = state.levels[lead].weight
                weights += weight
                sharp = (bent * PER_BAND + SHARP_UV) * (state.shape.size[candidate.shape, lead] * PER_BAND + SHARP_UV)
                flat = (template_bent * PER_BAND + SHARP_UV) * (size * PER_BAND + SHARP_UV)
                sharpness += weight * math.log(sharp / flat)
                product = dot(scratch.curvature, 0, scratch.template_curvature)
                likeness += weight * (product / (bent * template_bent + 1e-9))
    if weights > 0.0:
        candidate.measures[M_SHARPNESS] = sharpness / weights
        candidate.measures[M_SHARP_LIKENESS] = likeness / weights


@hot
def second_differences(values: Array, first: int, out: Array) -> None:
    """Second differences of the `POINTS` values from `first` on; the last two of `out` are 0."""
    for k in range(POINTS - 2):
        out[k] = values[first + k] - 2.0 * values[first + k + 1] + values[first + k + 2]
    out[POINTS - 2 :] = 0.0


@hot
def dot(waveform: Array, shift: int, points: Array) -> float:
    """Sum of products, in four sums side by side that need not wait for one another."""
    sums = simd.load(waveform, shift) * simd.load(points, 0)
    for k in range(F64_LANES, POINTS - F64_LANES + 1, F64_LANES):
        sums = sums + simd.load(waveform, shift + k) * simd.load(points, k)
    first = simd.extract(sums, 0)
    for k in range(POINTS // F64_LANES * F64_LANES, POINTS):
        first += waveform[np.uint64(shift + k)] * points[np.uint64(k)]
    return float((first + simd.extract(sums, 1)) + (simd.extract(sums, 2) + simd.extract(sums, 3)))


@hot
def mix(points: Array, waveform: Array, shift: int, share: float) -> float:
    """Mix a share of a waveform into a shape; returns its size then, the root of the sum of its squares."""
    kept, new = simd.broadcast(1.0 - share), simd.broadcast(share)
    for k in range(0, POINTS - F64_LANES + 1, F64_LANES):
        simd.store(points, k, kept * simd.load(points, k) + new * simd.load(waveform, shift + k))
    for k in range(POINTS // F64_LANES * F64_LANES, POINTS):
        points[k] = (1.0 - share) * points[k] + share * waveform[shift + k]
    return math.sqrt(dot(points, 0, points) + 1e-9)


@hot
def learn(shape: Row, candidate: Row) -> None:
    """Learn the shape of a candidate that is a beat, in the leads that are used."""
    which = candidate.shape
    fresh = which < 0 or candidate.fit < SAME
    if fresh:
        which = 0 if shape.beats[0] <= shape.beats[1] else 1
    share = 1.0 if fresh else max(LEARN, 1.0 / (shape.beats[which] + 1.0))
    shift = SHIFT if fresh else candidate.shift
    for lead in range(LEADS):
        if candidate.size[lead] > 0.0:
            shape.size[which, lead] = mix(shape.points[which, lead], candidate.waveform[lead], shift, share)
        elif fresh:
            shape.points[which, lead, :] = 0.0
            shape.size[which, lead] = 1.0
    shape.beats[which] = 1.0 if fresh else min(shape.beats[which] + 1.0, OFTEN)
    shape.beats[1 - which] *= WANE


assert HALF + SHIFT - CENTRE_BACK <= 1, "a candidate would look ahead"
