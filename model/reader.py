"""Beats read as they come: words, shape words, LSTM step, class.

`read_beat` is the whole way from the R peak to the class in one kernel; the ward calls it on a bed's row. `BeatReader`
wraps it for one bed outside the ward, with the three verbs of every online object.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from detector.jit import kernel
from detector.types import AFTER, LEADS
from model.codes import CLASSES, RHYTHMS
from model.letters import BAR, FIRST_BAR, TEXT
from model.lstm import F32, Layers, step
from model.rhythm_head import RhythmHead, say_rhythm
from model.sentence import beat_to_words
from model.state import LANGUAGE
from model.vocabulary import Vocabulary, shape_word
from model.words import FIELDS


class Weights(NamedTuple):
    """Everything a model file holds, as the kernels take it."""

    vocabulary: Vocabulary
    layers: Layers
    rhythm: RhythmHead


@kernel
def spell(
    vocabulary: Vocabulary, texts: npt.NDArray[np.uint8], levels: npt.NDArray[np.int64], words: npt.NDArray[np.int64]
) -> None:
    """All words of a beat as the network takes them: a shape word per lead, then the measured words.

    A lead that cannot be read has the shape word after the last.
    """
    for lead in range(LEADS):
        if texts[lead, FIRST_BAR] == BAR:
            words[lead] = shape_word(vocabulary, texts[lead])
        else:
            words[lead] = vocabulary.norms.shape[0]
    words[LEADS:] = levels


@kernel
def _of(units: F32, members: int, width: int) -> F32:
    """A view of the first `units` of a bed's row as (members, width)."""
    return units[: members * width].reshape(members, width)


@kernel
def read_beat(
    state: Any,
    weights: Weights,
    signal: Any,
    peak_tick: int,
    log_odds: float,
    lead_states: npt.NDArray[np.int8],
    first: npt.NDArray[np.float32],
    last: npt.NDArray[np.float32],
    rhythms: npt.NDArray[np.float32],
) -> int:
    """Read one beat; called once for each, in order, at tick ``peak_tick + AFTER``.

    Writes its first word and, if it came within `model.pace.LONGEST_RR_S` of the beat before, the last word on that.

    Parameters
    ----------
    state : record of `model.state.LANGUAGE`, changed
        All zero for a bed's first beat.
    weights : Weights
    signal : record of `detector.types.SIGNAL`
        Nothing after ``peak_tick + AFTER - 1`` is looked at.
    peak_tick : int
        The R peak, at 250 Hz.
    log_odds : float
        Log odds of its being a beat, by the detector.
    lead_states : int8 (LEADS,)
        GOOD ... OFF at the beat; leads from FLAT on are not read.
    first : float32 (5,), out
        The first word on this beat: probabilities of `CLASSES`; they sum to 1.
    last : float32 (5,), out
        The last word on the beat before, likewise; all zero where there is none.
    rhythms : float32 (2,), out
        Log odds of `RHYTHMS`.

    Returns
    -------
    int
        The beat's shape word in the lead it is best read in; the number of shape words when neither can be read.
    """
    texts = np.empty((LEADS, TEXT), np.uint8)
    values = np.empty(FIELDS, np.float32)
    levels = np.empty(FIELDS, np.int64)
    words = np.empty(LEADS + FIELDS, np.int64)
    best = beat_to_words(state, signal, peak_tick, log_odds, lead_states, texts, values, levels)
    spell(weights.vocabulary, texts, levels, words)
    layers = weights.layers
    members, width = layers.bias.shape[0], max(layers.bias.shape[1], layers.recurrent.shape[1])
    h, c, before = _of(state.h, members, width), _of(state.c, members, width), _of(state.before, members, width)
    step(layers, words, h, c, before, state.scores, first, last)
    say_rhythm(weights.rhythm, h, before, layers.recurrent.shape[1], layers.bias.shape[1], rhythms)
    if state.last_rr <= 0.0:
        last[:] = 0.0
    return int(words[best]) if best >= 0 else weights.vocabulary.norms.shape[0]


@dataclass(frozen=True)
class Reader:
    """A model ready to read: its weights and what its card says of it."""

    weights: Weights
    card: dict[str, Any]

    @classmethod
    def load(cls, path: Path | None = None) -> Reader:
        """Load a model file; without a path the one that telebeat ships.

        Raises
        ------
        stream.errors.ModelError
            The file is missing, damaged or of another version.
        """
        from model.store import SHIPPED, load  # noqa: PLC0415 - the store knows `Reader`'s types

        weights, card = load(path or SHIPPED)
        return cls(weights, card)

    @property
    def shapes(self) -> int:
        """Shape words of the vocabulary."""
        return int(self.weights.vocabulary.norms.shape[0])


class BeatReader:
    """One bed's reader outside the ward.

    Examples
    --------
    >>> from detector.types import SIGNAL
    >>> reader = BeatReader(Reader.load())
    >>> signal = np.zeros(1, SIGNAL)[0]
    >>> token, first, last, rhythms = reader.update(signal, 100, 5.0, np.zeros(2, np.int8))
    """

    #: Ticks after the R peak at which `update` may be called at the earliest.
    delay: Final = AFTER

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._row = np.zeros(1, LANGUAGE)

    def update(
        self, signal: Any, peak_tick: int, log_odds: float, lead_states: npt.NDArray[np.int8]
    ) -> tuple[int, F32, F32, F32]:
        """Read the next beat; see `read_beat`.

        Returns its shape word, its first word, the last on the one before, and log odds of the rhythms.
        """
        first, last = np.zeros((2, len(CLASSES)), np.float32)
        rhythms = np.zeros(len(RHYTHMS), np.float32)
        token = read_beat(
            self._row[0], self._reader.weights, signal, peak_tick, log_odds, lead_states, first, last, rhythms
        )
        return int(token), first, last, rhythms

    def state(self) -> npt.NDArray[np.void]:
        """Copy of the bed's state: one record of `model.state.LANGUAGE`."""
        return self._row.copy()

    def restore(self, row: npt.NDArray[np.void]) -> None:
        """Go on from a copy that `state` has made.

        Raises
        ------
        ValueError
            It is none.
        """
        if row.dtype != LANGUAGE or row.shape != (1,):
            raise ValueError("not a state of this version's language")
        self._row[:] = row
