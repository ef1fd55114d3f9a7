"""The language of scripted patients: what a script can say, and how it is written.

See ``docs/scripts.md`` for its grammar and every word with an example. `replay.script_parser.parse` and `render` are
inverse: a script that was rendered to text parses to itself.
"""

from __future__ import annotations

import dataclasses
from typing import Final

import numpy as np

LONGEST_S: Final = 7200.0  # of a script; more is better had by looping it, and two hours of 12 leads fit in memory
FOCI: Final = 3  # ventricular foci that a patient can have

#: Rhythms that go on by themselves, each with the ventricular rates (beats/min) it occurs at.
RATES: Final = {
    "sinus": (20.0, 220.0),
    "af": (30.0, 220.0),
    "flutter": (50.0, 180.0),
    "svt": (100.0, 280.0),
    "junctional": (20.0, 130.0),
    "ivr": (15.0, 120.0),
    "vt": (100.0, 300.0),
    "paced": (30.0, 150.0),
    "bigeminy": (40.0, 140.0),
    "trigeminy": (40.0, 140.0),
    "block": (15.0, 120.0),
}
BASES: Final = ("sinus", "af", "junctional", "paced")  # rhythms that ectopic beats can come into
ECTOPICS: Final = ("pvc", "pac", "fusion", "couplet", "triplet", "salvo")
DEGREES: Final = ("first", "mobitz1", "mobitz2", "third")
RATIOS: Final = {"mobitz1": (3, 8), "mobitz2": (2, 6)}  # P waves to one dropped beat that these blocks may have
DEFAULT_RATIO: Final = {"mobitz1": 5, "mobitz2": 3}
GRAINS: Final = ("coarse", "fine")
NOISES: Final = ("wander", "muscle", "electrode", "mains")
LONGEST_SALVO: Final = 30
WORDS: Final = (*RATES, "vf", "asystole", "pause", *ECTOPICS)
VENTRICULAR: Final = ("pvc", "couplet", "triplet", "salvo", "vt", "bigeminy", "trigeminy")  # words that take a focus


@dataclasses.dataclass(frozen=True)
class Patient:
    """Who the script is about and how the signal is sampled.

    Attributes
    ----------
    name : str
        Letters, digits, hyphens and underscores: it becomes a WFDB record's name.
    rate : float
        Samples per second and lead, 100 to 1000 Hz, whole millihertz.
    leads : tuple of str
        Of `replay.synth.LEADS`, all different.
    seed : int
        Of everything random: anatomy, heart rate variability, noise. The same script gives the same samples.
    resolution : float
        Steps per mV.
    breathing : float
        Breaths per minute.
    size : float
        Height of the complexes against an average heart.
    """

    name: str
    rate: float = 250.0
    leads: tuple[str, ...] = ("II", "V1")
    seed: int = 1
    resolution: float = 200.0
    breathing: float = 15.0
    size: float = 1.0


@dataclasses.dataclass(frozen=True)
class Modifier:
    """What is laid over an episode: ``noise``, ``st``, ``leadoff``, ``flat`` or ``saturated``.

    Attributes
    ----------
    word : str
        Which of these.
    leads : tuple of str
        The leads concerned; empty for all.
    kind : str or None
        Of `NOISES`, for ``noise``.
    amount : float or None
        Signal to noise ratio in dB, or ST shift in mV.
    over : float
        Seconds in which an ST shift grows, and in which it goes back at the end.
    start : float
        Seconds after the begin of the episode.
    seconds : float or None
        How long it lasts; None to the end of the episode.
    """

    word: str
    leads: tuple[str, ...] = ()
    kind: str | None = None
    amount: float | None = None
    over: float = 0.0
    start: float = 0.0
    seconds: float | None = None


@dataclasses.dataclass(frozen=True)
class Episode:
    """A stretch of one rhythm, or one ectopic event in the rhythm that goes on.

    Attributes
    ----------
    word : str
        Of `WORDS`.
    rate : float or None
        Beats per minute.
    seconds : float or None
        Its length; None for a single ectopic event, which ends with the beat after it.
    kind : str or None
        Of `DEGREES` for ``block``, of `GRAINS` for ``vf``.
    ratio : int or None
        P waves to each dropped beat of a second degree block.
    focus : int
        Ventricular focus 1 to `FOCI`; 0: another one each time (``multiform``).
    ront : bool
        The ectopic beat falls on the T wave before it.
    count : int or None
        Beats of a ``salvo``.
    every : int or None
        The ectopic event comes after so many beats of `base`.
    base : str or None
        Of `BASES`.
    modifiers : tuple of Modifier
        What is laid over it.
    """

    word: str
    rate: float | None = None
    seconds: float | None = None
    kind: str | None = None
    ratio: int | None = None
    focus: int = 1
    ront: bool = False
    count: int | None = None
    every: int | None = None
    base: str | None = None
    modifiers: tuple[Modifier, ...] = ()


@dataclasses.dataclass(frozen=True)
class Script:
    """A patient and the episodes of its course."""

    patient: Patient
    episodes: tuple[Episode, ...]


def plain(value: float) -> str:
    """The shortest decimal number that reads back as `value`."""
    return np.format_float_positional(value, trim="-")


def render(script: Script) -> str:
    """The script as text, one episode a line."""
    p = script.patient
    first = (
        f'patient "{p.name}" rate {plain(p.rate)} Hz leads {" ".join(p.leads)} seed {p.seed} '
        f"resolution {plain(p.resolution)} /mV breathing {plain(p.breathing)} /min size {plain(p.size)}"
    )
    return "\n".join([first, *map(render_episode, script.episodes)]) + "\n"


def render_episode(episode: Episode) -> str:
    """One episode as text."""
    e = episode
    words = [e.word]
    if e.count is not None:
        words.append(str(e.count))
    if e.ront:
        words.append("ront")
    if e.focus == 0:
        words.append("multiform")
    elif e.word in VENTRICULAR and e.focus != 1:
        words.append(f"focus {e.focus}")
    if e.every is not None:
        words.append(f"every {e.every} beats in {e.base}")
    if e.kind is not None:
        words.append(e.kind)
    if e.rate is not None:
        words.append(plain(e.rate))
    if e.ratio is not None:
        words.append(f"{e.ratio}:{e.ratio - 1}")
    if e.seconds is not None:
        words.append(f"{plain(e.seconds)} s" if e.word == "pause" else f"for {plain(e.seconds)} s")
    return " ".join([*words, *map(_render_modifier, e.modifiers)])


def _render_modifier(modifier: Modifier) -> str:
    m = modifier
    leads = " ".join(m.leads) or "all"
    words = ["with", m.word]
    if m.word == "noise":
        words.append(f"{m.kind} {plain(m.amount or 0.0)} dB")
        if m.leads:
            words.append(f"on {leads}")
    else:
        words.append(leads)
    if m.word == "st":
        words.append(f"{plain(m.amount or 0.0)} mV")
        if m.over:
            words.append(f"over {plain(m.over)} s")
    if m.start:
        words.append(f"from {plain(m.start)} s")
    if m.seconds is not None:
        words.append(f"for {plain(m.seconds)} s")
    return " ".join(words)
