"""The patient's own kinds of beat, learned as beats come, and how a beat is compared with them.

A kind is a mean picture of both leads with what was usual about its beats (`model.state.GROUP`). A beat belongs to the
kind its QRS differs least from, or begins a new one in the place of the kind seen least. The kind that is frequent,
narrow and not early is taken as the patient's own normal beat.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector.jit import kernel
from detector.measure import SPAN_BEFORE
from detector.types import LEADS, Array, Row
from model.state import GROUPS, P_TO, PICTURE, PICTURE_START, QRS_FROM, QRS_TO, STEP

SAME: Final = (0.1, 0.3)  # difference below which beats are of one kind (correlation 0.95, 0.85): quiet, noisy record
SAME_OVER: Final = 2.5  # log2: between these two, this far over the usual difference of the own normal beats
KNOWN: Final = 8  # own normal beats after which their usual values count
MERGE: Final = 0.06  # difference below which two kinds have become one
FADE: Final = 0.998  # weight a kind keeps per beat: a kind not seen for 500 beats has lost two thirds
INERTIA: Final = 40.0  # beats a kind's picture is averaged over at most: follows posture within a minute
SLIP: Final = 6  # ticks the R peak may be placed differently on two beats of one kind (24 ms)
LATE: Final = -0.15  # log2 of RR over own below which a beat is premature and the P wave is not learned from it
SLOWEST: Final = 0.05  # least weight of a beat in what a kind is known for: about 20 beats
UNLIKE: Final = 9.0  # difference that stands for "cannot be told": more than any that is measured


@kernel
def compare(y: Array, mv: Array, first: int, last: int, slip: int, line: int) -> tuple[float, float, float]:
    """Energies of a beat's part, of a picture's, and of their difference, each about its own mean (or line)."""
    n = last - first
    mean_y = mean_m = slope_y = slope_m = 0.0
    half = (n - 1) / 2.0
    for j in range(first, last):
        a = np.float64(y[SPAN_BEFORE + PICTURE_START + STEP * j + slip])
        b = np.float64(mv[j])
        mean_y += a
        mean_m += b
        slope_y += a * (j - first - half)
        slope_m += b * (j - first - half)
    mean_y /= n
    mean_m /= n
    scale = n * (n * n - 1) / 12.0
    slope_y = slope_y / scale if line else 0.0
    slope_m = slope_m / scale if line else 0.0
    energy_y = energy_m = apart = 0.0
    for j in range(first, last):
        x = j - first - half
        a = np.float64(y[SPAN_BEFORE + PICTURE_START + STEP * j + slip]) - mean_y - slope_y * x
        b = np.float64(mv[j]) - mean_m - slope_m * x
        energy_y += a * a
        energy_m += b * b
        apart += (a - b) * (a - b)
    return energy_y, energy_m, apart


@kernel
def _difference(ys: Array, good: Array, group: Row, slip: int) -> float:
    """How far a beat's QRS is from a kind, both leads: 0 the same, 2 nothing in common, `UNLIKE`: it cannot be told."""
    energy = apart = 0.0
    for lead in range(LEADS):
        if good[lead] and group.seen[lead] > 0:
            a, b, d = compare(ys[lead], group.mv[lead], QRS_FROM, QRS_TO, slip, 0)
            energy += 0.5 * (a + b)
            apart += d
    return apart / energy if energy > 0.0 else UNLIKE


@kernel
def kin(one: Row, other: Row) -> float:
    """The same between two kinds."""
    energy = apart = 0.0
    for lead in range(LEADS):
        if one.seen[lead] > 0 and other.seen[lead] > 0:
            mean_a = mean_b = 0.0
            for j in range(QRS_FROM, QRS_TO):
                mean_a += np.float64(one.mv[lead, j])
                mean_b += np.float64(other.mv[lead, j])
            mean_a /= QRS_TO - QRS_FROM
            mean_b /= QRS_TO - QRS_FROM
            for j in range(QRS_FROM, QRS_TO):
                a = np.float64(one.mv[lead, j]) - mean_a
                b = np.float64(other.mv[lead, j]) - mean_b
                energy += 0.5 * (a * a + b * b)
                apart += (a - b) * (a - b)
    return apart / energy if energy > 0.0 else UNLIKE


@kernel
def likeness(energy: float, other: float, apart: float) -> float:
    """-log2(1 - correlation), 0 for none and 6.4 for 0.988."""
    if energy <= 0.0 or other <= 0.0:
        return np.nan
    correlation = 0.5 * (energy + other - apart) / np.sqrt(energy * other)
    return float(max(-np.log2(max(1.0 - correlation, 1e-4)), -1.0))


@kernel
def closest(ys: Array, good: Array, group: Row) -> tuple[float, int]:
    """Difference of a beat's QRS from a kind where the two lie best upon each other, and the slip in ticks there."""
    least = UNLIKE
    slip = 0
    for s in range(-SLIP, SLIP + 1, 2):
        d = _difference(ys, good, group, s)
        if d < least:
            least = d
            slip = s
    return least, slip


@kernel
def nearest_kind(state: Row, ys: Array, good: Array) -> tuple[int, float, int]:
    """The kind a beat's QRS differs least from (-1: none), the difference and the slip."""
    group = -1
    nearest = UNLIKE
    slip = 0
    for g in range(GROUPS):
        if state.groups[g].weight <= 0.0:
            continue
        d, s = closest(ys, good, state.groups[g])
        if d < nearest:
            nearest = d
            group = g
            slip = s
    return group, nearest, slip


@kernel
def farthest(state: Row) -> float:
    """Difference up to which a beat is of a kind: wider where the own normal beats themselves differ more."""
    if state.usual_beats < KNOWN:
        return SAME[1]
    usual = np.exp2(np.float64(state.usual[0]) + SAME_OVER)  # the first usual value is that of `words.APART`
    return float(min(max(usual, SAME[0]), SAME[1]))


@kernel
def begin_kind(state: Row, breadth: float) -> int:
    """Begin a kind of beat in the place of the one seen least; that place."""
    group = 0
    for g in range(GROUPS):
        if state.groups[g].weight < state.groups[group].weight:
            group = g
    fresh = state.groups[group]
    fresh.seen[:] = 0
    fresh.mv[:] = 0.0
    fresh.weight = 0.0
    fresh.early = fresh.pause = 0.0
    fresh.breadth = breadth
    if state.normal == group + 1:
        state.normal = 0
    if state.last_group == group + 1:
        state.last_group = 0
    if state.before_group == group + 1:
        state.before_group = 0
    return group


@kernel
def _learn(group: Row, ys: Array, good: Array, slip: int, learn_p: bool) -> None:
    """Average a beat into its kind."""
    for lead in range(LEADS):
        if not good[lead]:
            continue
        level = 0.0
        for j in range(QRS_FROM, QRS_TO):
            level += np.float64(ys[lead, SPAN_BEFORE + PICTURE_START + STEP * j + slip]) / (QRS_TO - QRS_FROM)
        group.seen[lead] = min(group.seen[lead] + 1, 1 << 30)
        rate = max(1.0 / group.seen[lead], 1.0 / INERTIA)
        for j in range(PICTURE):
            if j < P_TO and not learn_p and group.seen[lead] > 1:
                continue
            value = np.float64(ys[lead, SPAN_BEFORE + PICTURE_START + STEP * j + slip]) - level
            group.mv[lead, j] += rate * (value - np.float64(group.mv[lead, j]))


@kernel
def learn_beat(
    state: Row, group: int, ys: Array, good: Array, slip: int, breadth: float, rr: float, early: float
) -> None:
    """Count a beat to its kind: its weight, how early it comes, its breadth and its picture; the others fade."""
    kind = state.groups[group]
    for g in range(GROUPS):
        state.groups[g].weight *= FADE
    kind.weight += 1.0
    rate = max(1.0 / np.float64(kind.weight), SLOWEST)
    if rr > 0.0:
        kind.early += rate * (min(max(early, -1.0), 1.0) - np.float64(kind.early))
    kind.breadth += rate * (breadth - np.float64(kind.breadth))
    _learn(kind, ys, good, slip, early > LATE)


@kernel
def learn_pause(state: Row, early: float) -> None:
    """Learn how long the pause was after the last beat's kind, once the next beat has come."""
    if state.last_group > 0:
        kind = state.groups[state.last_group - 1]
        rate = max(1.0 / max(np.float64(kind.weight), 1.0), SLOWEST)
        kind.pause += rate * (min(max(early, -1.0), 1.0) - np.float64(kind.pause))


@kernel
def merge(state: Row, group: int) -> None:
    """Join another kind to this one if they have become the same; one is looked at per beat, in turn."""
    kind = state.groups[group]
    other = state.beats % GROUPS
    if other != group and state.groups[other].weight > 0.0 and kin(kind, state.groups[other]) < MERGE:
        kind.weight += state.groups[other].weight
        state.groups[other].weight = 0.0
        if state.normal == other + 1:
            state.normal = group + 1
        if state.last_group == other + 1:
            state.last_group = group + 1


@kernel
def choose_normal(state: Row) -> int:
    """The kind that is the patient's own normal beat: frequent, narrow, not early."""
    narrowest = 1e9
    total = 0.0
    for g in range(GROUPS):
        total += np.float64(state.groups[g].weight)
    for g in range(GROUPS):
        if state.groups[g].weight > max(3.0, 0.03 * total):
            narrowest = min(narrowest, np.float64(state.groups[g].breadth))
    best = 0
    best_score = -1.0
    for g in range(GROUPS):
        if state.groups[g].weight <= 0.0:
            continue
        narrow = min(narrowest / max(np.float64(state.groups[g].breadth), 1.0), 1.0)
        early = min(np.float64(state.groups[g].early), 0.0)
        score = np.float64(state.groups[g].weight) * narrow * narrow * np.exp2(4.0 * early)
        if g == state.normal - 1:
            score *= 1.2  # no wavering between two equals
        if score > best_score:
            best_score = score
            best = g
    return best
