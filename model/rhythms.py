"""The plan of a composed record: the RR interval, P wave and origin of each beat. `model.compose` renders it.

It is made of passages that are told from each other hardest: single premature beats and pairs, bigeminy and its like,
whose beats are hardly early, runs of seconds to minutes, some with so few sinus beats between them that the early ones
are the rule; and, lest "early" alone comes to mean supraventricular, breathing sinus rhythm, fibrillation and sinus
arrest, whose beats stay normal ones, and ventricular beats.

Half of the plans hold one rhythm from begin to end: a heart may have known nothing else since it is watched, and then
no memory of its own pace tells what is early.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

SHORTEST_S: Final = 0.28  # shortest RR interval planned
AROUND: Final = 20  # beats on either side that the own RR is the median of
#: What a passage is of, and its share. More than half have no supraventricular beat, so that "early" alone means none.
PASSAGES: Final = {
    "as it was": 0.18,
    "singles": 0.15,
    "bigeminy": 0.11,
    "runs": 0.11,
    "breathing": 0.14,
    "fibrillation": 0.14,
    "ventricular": 0.15,
    "arrest": 0.02,
}
LIFELONG: Final = 0.5  # share of plans that hold one rhythm from begin to end: there is no other to measure it by
#: What that is of, and its share; all of their runs are of a sick node.
SINGLE_RHYTHMS: Final = {
    "singles": 0.08,
    "bigeminy": 0.1,
    "runs": 0.2,
    "breathing": 0.15,
    "fibrillation": 0.34,  # with less of it than that, the sick node made more beats of fibrillating hearts be called S
    "ventricular": 0.08,
    "arrest": 0.05,
}
SICK: Final = 0.3  # share of other passages of runs in which the sinus node is slow and hardly beats between them
SLOWEST: Final = 1.5  # times the own RR: that of a sick node at most
LONGEST_RUN: Final = 150  # beats
LONGEST_SICK: Final = 40  # beats of a run whose sinus node is sick
TACHYCARDIA: Final = 0.1  # share of a ventricular focus's salvoes that are a tachycardia
LONGEST_TACHYCARDIA: Final = 40  # beats
ROOM_S: Final = 0.21  # s, times the breadth of its beats: from beat to beat of a salvo at least


@dataclass
class BeatPlan:
    """When each beat comes and what is before it.

    Attributes
    ----------
    rr : float64 (n,)
        RR interval before each beat, s.
    p : float64 (n, leads)
        Factor on the P wave before it.
    pr : float64 (n,)
        By how much it is nearer to the QRS, s.
    early : bool (n,)
        Whether it is a premature supraventricular beat now.
    waves : float64 (n,)
        Height of fibrillation's waves before it, of the QRS.
    focus : int64 (n,)
        The ventricular focus it comes from now, in `foci`; -1: none.
    foci : list of Ventricle
    """

    rr: Floats
    p: Floats
    pr: Floats
    early: npt.NDArray[np.bool_]
    waves: Floats
    focus: npt.NDArray[np.int64]
    foci: list[Ventricle]


@dataclass(frozen=True)
class Ventricle:
    """How the beats of a ventricular focus look beside the own normal beat."""

    turn: Floats  # (leads, leads) the QRS in each lead, from those of the own beat
    recover: Floats  # (leads, leads) its T wave likewise
    broad: float  # times as broad
    ratio: float  # of the RR before it over the own


def plan_beats(
    rr: Floats, free: npt.NDArray[np.bool_], leads: int, rng: np.random.Generator, rhythm: str | None
) -> BeatPlan:
    """Plan passages of several kinds, one after another, or one from begin to end.

    Raises
    ------
    ValueError
        `rhythm` is none of `SINGLE_RHYTHMS`.
    """
    if rhythm is not None and rhythm not in SINGLE_RHYTHMS:
        raise ValueError(f"no rhythm {rhythm} to plan; there are {', '.join(SINGLE_RHYTHMS)}")
    n = len(rr)
    plan = BeatPlan(rr.copy(), np.ones((n, leads)), np.zeros(n), np.zeros(n, bool), np.zeros(n), np.full(n, -1), [])
    focus = _focus(leads, rng)
    lifelong = rng.random() < LIFELONG or rhythm is not None
    shares = SINGLE_RHYTHMS if lifelong else PASSAGES
    at = 0
    while at < n:
        end = n if lifelong else min(at + int(rng.integers(40, 240)), n)
        kind = list(shares)[rng.choice(len(shares), p=list(shares.values()))] if rhythm is None else rhythm
        if rng.random() < 0.3:
            focus = _focus(leads, rng)
        own = np.array([np.median(rr[max(i - AROUND, 1) : i + AROUND]) for i in range(at, end)])
        match kind:
            case "singles":
                _singles(plan, at, own, focus, rng)
            case "bigeminy":
                _alternate(plan, at, own, focus, rng)
            case "runs":
                _run(plan, at, own, focus, rng, sick=lifelong or rng.random() < SICK)
            case "breathing":
                _breathe(plan, at, own, rng)
            case "fibrillation":
                _fibrillate(plan, at, own, rng)
            case "ventricular":
                _ventricular(plan, at, own, rng)
            case "arrest":
                _arrest(plan, at, own, rng)
        at = end
    plan.rr = np.where(free, np.maximum(plan.rr, SHORTEST_S), rr)
    plan.early &= free
    plan.focus[~free] = -1
    return plan


@dataclass(frozen=True)
class _Focus:
    """Where premature beats come from: how their P wave looks, and how early they are."""

    p: Floats  # factor in each lead
    pr: float  # s
    ratio: float  # of their RR over the own


def _focus(leads: int, rng: np.random.Generator) -> _Focus:
    kind = rng.random()
    if kind < 0.2:  # lost in the QRS
        p = np.zeros(leads)
    elif kind < 0.55:  # turned over in one lead at least
        p = rng.uniform(-1.2, 0.3, leads)
    else:
        p = rng.uniform(0.1, 1.6, leads)
    return _Focus(p, rng.uniform(-0.05, 0.06), rng.choice([rng.uniform(0.5, 0.8), rng.uniform(0.75, 0.92)]))


def _early(plan: BeatPlan, i: int, rr: float, focus: _Focus, rng: np.random.Generator) -> None:
    plan.rr[i] = rr
    plan.p[i] = focus.p * rng.uniform(0.85, 1.15)
    plan.pr[i] = focus.pr + rng.normal(0, 0.005)
    plan.early[i] = True


def _pause(own: float, rng: np.random.Generator) -> float:
    """RR after a premature beat: the sinus node begins anew, and takes a moment for the way."""
    return float(own * rng.uniform(1.0, 1.3))


def _singles(plan: BeatPlan, at: int, own: Floats, focus: _Focus, rng: np.random.Generator) -> None:
    often = rng.uniform(0.02, 0.16)
    i = 0
    while i < len(own):
        if rng.random() < often:
            for _ in range(1 + int(rng.choice(3, p=(0.7, 0.2, 0.1)))):
                if i < len(own):
                    _early(plan, at + i, own[i] * np.clip(focus.ratio * rng.normal(1, 0.06), 0.4, 0.93), focus, rng)
                    i += 1
            if i < len(own):
                plan.rr[at + i] = _pause(own[i], rng)
        i += 1


def _alternate(plan: BeatPlan, at: int, own: Floats, focus: _Focus, rng: np.random.Generator) -> None:
    period = int(rng.choice([2, 3, 4], p=(0.7, 0.2, 0.1)))
    ratio = focus.ratio
    rest = rng.uniform(1.0, 1.3)
    for i in range(len(own)):
        if i % period == 1:
            _early(plan, at + i, own[i] * ratio * rng.normal(1, 0.025), focus, rng)
        elif i % period == 2 % period and i:
            plan.rr[at + i] = own[i] * rest * rng.normal(1, 0.02)


def _run(plan: BeatPlan, at: int, own: Floats, focus: _Focus, rng: np.random.Generator, *, sick: bool) -> None:
    longest = LONGEST_SICK if sick else LONGEST_RUN
    if sick:  # those of the sinus node as well
        slow = rng.uniform(1.0, SLOWEST)
        own = own * slow
        plan.rr[at : at + len(own)] *= slow
    i = int(rng.integers(0, 10))
    while i < len(own):
        length = int(np.exp(rng.uniform(np.log(3), np.log(longest))))
        ratio = rng.uniform(0.45, 0.8)
        wander = rng.uniform(0.005, 0.03)
        for _ in range(length):
            if i < len(own):
                _early(plan, at + i, own[i] * ratio * rng.normal(1, wander), focus, rng)
                i += 1
        if i < len(own):
            plan.rr[at + i] = _pause(own[i], rng) * (rng.uniform(1.0, 2.0) if sick else 1.0)
        i += int(rng.integers(1, 5)) if sick else int(rng.integers(5, 60))


def _breathe(plan: BeatPlan, at: int, own: Floats, rng: np.random.Generator) -> None:
    breath = rng.uniform(2.5, 6.0)  # beats
    depth = rng.uniform(0.05, 0.22)
    phase = np.cumsum(rng.normal(1.0, 0.15, len(own))) * 2 * np.pi / breath
    plan.rr[at : at + len(own)] = own * np.exp(depth * np.sin(phase) + rng.normal(0, 0.02, len(own)))


def _arrest(plan: BeatPlan, at: int, own: Floats, rng: np.random.Generator) -> None:
    """Sinus arrest: pauses with no premature beat before them; P waves tell it from a sick node's runs."""
    often = rng.choice([rng.uniform(0.02, 0.1), rng.uniform(0.1, 0.5)])
    slow = rng.uniform(0.9, 1.4)
    wander = rng.uniform(0.01, 0.04)
    pause = rng.uniform(1.5, 2.4)
    for i in range(len(own)):
        rr = own[i] * slow * rng.normal(1, wander)
        plan.rr[at + i] = rr * pause * rng.normal(1, wander) if rng.random() < often else rr


def _fibrillate(plan: BeatPlan, at: int, own: Floats, rng: np.random.Generator) -> None:
    here = slice(at, at + len(own))
    plan.rr[here] = own * rng.uniform(0.6, 1.05) * np.exp(rng.normal(0, rng.uniform(0.12, 0.28), len(own)))
    plan.p[here] = 0.0
    plan.waves[here] = rng.uniform(0.01, 0.08)


def _ventricular(plan: BeatPlan, at: int, own: Floats, rng: np.random.Generator) -> None:
    leads = plan.p.shape[1]
    turn = np.diag(rng.choice([-1.0, 1.0], leads) * rng.uniform(0.6, 1.7, leads)) + rng.uniform(
        -0.6, 0.6, (leads, leads)
    )
    plan.foci.append(Ventricle(turn, -turn * rng.uniform(0.5, 1.3), rng.uniform(1.2, 2.1), rng.uniform(0.5, 0.95)))
    focus = plan.foci[-1]
    every = int(rng.choice([2, 3, 4, 0], p=(0.2, 0.1, 0.1, 0.6)))
    often = rng.uniform(0.03, 0.15)
    i = 2
    while i < len(own) - 1:
        if (i % every == 0) if every else rng.random() < often:
            length = 1 if every else 1 + int(rng.choice(3, p=(0.75, 0.15, 0.1)))
            ratio = focus.ratio
            if not every and rng.random() < TACHYCARDIA:
                length = int(np.exp(rng.uniform(np.log(3), np.log(LONGEST_TACHYCARDIA))))
                ratio = rng.uniform(0.35, 0.75)
            for beat in range(length):
                if i < len(own) - 1:
                    least = ROOM_S * focus.broad if beat else 0.0
                    plan.rr[at + i] = max(own[i] * np.clip(ratio * rng.normal(1, 0.05), 0.3, 1.0), least)
                    plan.p[at + i] = 0.0
                    plan.focus[at + i] = len(plan.foci) - 1
                    i += 1
            plan.rr[at + i] = max(2 * own[i] - plan.rr[at + i - 1], own[i])  # the sinus node goes on as it was
        i += 1
