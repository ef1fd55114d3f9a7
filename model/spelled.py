"""A record's beats put into words: what was said of each, what it looked like, and each word's mean beat."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.types import LEADS, RATE
from model.codes import CLASSES
from model.dataset import sentences_of
from model.letters import P_LETTERS, QRS_LETTERS, T_LETTERS
from model.lstm import BeatProbabilities, classify_sequence
from model.reader import Reader, spell
from model.strip import Strip
from model.words import FIELDS, RR

FIRST, END = P_LETTERS[0], T_LETTERS[1]  # ticks from R: what the letters of a text speak of
#: Ticks from R of each point of a curve.
CURVE: Final = np.arange(FIRST, END)
LEVEL: Final = (-30, -24)  # ticks from R whose mean is a curve's level: between the P wave and the QRS complex
SMALLEST: Final = 1e-9  # mV of a QRS complex: a flat lead has none, and is divided by this


@dataclass(frozen=True, eq=False)
class Spelled:
    """A record in words.

    Attributes
    ----------
    name : str
    strip : Strip
    samples : int64 (n,)
        R peaks.
    texts : uint8 (n, LEADS, TEXT)
        Curves in letters.
    levels : int64 (n, FIELDS)
        Of the measured words.
    said : int64 (n, LEADS + FIELDS)
        Shape words of the leads, then measured words, as the network reads them.
    read : BeatProbabilities
        First and last word on each beat.
    shapes : int
        How many shape words there are; that number itself is said of a lead whose curve cannot be told.
    """

    name: str
    strip: Strip
    samples: npt.NDArray[np.int64]
    texts: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.int64]
    said: npt.NDArray[np.int64]
    read: BeatProbabilities
    shapes: int

    @classmethod
    def of(cls, name: str, strip: Strip, reader: Reader) -> Spelled:
        """Play a strip through the online code."""
        samples, texts, values, levels = sentences_of(strip)
        said = np.empty((len(samples), LEADS + FIELDS), np.int64)
        for i in range(len(samples)):
            spell(reader.weights.vocabulary, texts[i], levels[i], said[i])
        read = classify_sequence(reader.weights.layers, said, np.isfinite(values[:, RR]))
        return cls(name, strip, samples, texts, levels, said, read, len(reader.weights.vocabulary.norms))

    def shape(self, beat: int, lead: int) -> str:
        """Number of a lead's shape word, or ``?`` where its curve cannot be told."""
        word = int(self.said[beat, lead])
        return str(word) if word < self.shapes else "?"

    def curves(self, lead: int) -> npt.NDArray[np.float64]:
        """A lead around each beat, float64 (n, len(CURVE)): level 0, QRS complex of height 1, about as in letters.

        They take the level before the onset that was measured; this one is at a fixed time. NaN where there is no
        reading.
        """
        mv = self.strip.mv[:, lead]
        at = self.samples[:, None] + CURVE[None, :] * self.strip.rate_hz / RATE
        inside = (at >= 0) & (at <= len(mv) - 1)
        before = np.floor(np.clip(at, 0, len(mv) - 1)).astype(np.int64)
        after = np.minimum(before + 1, len(mv) - 1)
        part = np.clip(at, 0, len(mv) - 1) - before
        curves = np.where(inside, (1.0 - part) * mv[before] + part * mv[after], np.nan)
        level = curves[:, LEVEL[0] - FIRST : LEVEL[1] - FIRST].mean(axis=1, keepdims=True)
        qrs = np.abs(curves[:, QRS_LETTERS[0] - FIRST : QRS_LETTERS[1] - FIRST] - level)
        flat: npt.NDArray[np.float64] = (curves - level) / np.maximum(qrs.max(axis=1, keepdims=True), SMALLEST)
        return flat


@dataclass(frozen=True, eq=False)
class MeanBeat:
    """What a shape word looks like.

    Attributes
    ----------
    word : int
    count : int
        Curves that are this word, of all leads; those with a missing reading are counted and not averaged.
    mean, spread : float64 (len(CURVE),)
        Their mean, and its SD; NaN of none.
    classes : int64 (len(CLASSES),)
        How many of their beats were read as each class, by the last word.
    """

    word: int
    count: int
    mean: npt.NDArray[np.float64]
    spread: npt.NDArray[np.float64]
    classes: npt.NDArray[np.int64]


def mean_beats(records: Iterable[Spelled]) -> list[MeanBeat]:
    """The mean beat of each shape word that occurs, the most frequent first."""
    sums: dict[int, Any] = {}
    for record in records:
        claimed = record.read.last.argmax(axis=1)
        for lead in range(LEADS):
            told = record.said[:, lead] < record.shapes
            if told.any():
                _add(sums, record.said[told, lead], record.curves(lead)[told], claimed[told])
    found = []
    for word, (count, whole, total, squares, classes) in sums.items():
        mean = total / whole if whole else np.full(len(CURVE), np.nan)
        spread = np.sqrt(np.maximum(squares / whole - mean**2, 0.0)) if whole else mean
        found.append(MeanBeat(word, count, mean, spread, classes))
    return sorted(found, key=lambda one: (-one.count, one.word))


def _add(
    sums: dict[int, Any],
    words: npt.NDArray[np.int64],
    curves: npt.NDArray[np.float64],
    claimed: npt.NDArray[np.int64],
) -> None:
    """Add a lead's curves to those of their words: counts, sums, sums of squares and classes."""
    seen = np.isfinite(curves).all(axis=1)
    for word in np.unique(words):
        here = words == word
        some = curves[here & seen]
        count, whole, total, squares, classes = sums.get(int(word), (0, 0, 0.0, 0.0, 0))
        sums[int(word)] = (
            count + int(here.sum()),
            whole + len(some),
            total + some.sum(axis=0),
            squares + (some**2).sum(axis=0),
            classes + np.bincount(claimed[here], minlength=len(CLASSES)),
        )
