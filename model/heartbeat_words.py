"""A single beat as a short sentence: the bedside's letters, drawn at one place of the beat after the other.

A window moves along the beat from R on, `HOP` ticks at a time. At each place it says one **shape word**, the cluster of
the text that `model.letters` draws there (24, 12 and 32 ms a letter, as at the bedside), and the measured words of
`WORDS`, since the letters say nothing of size. So a beat of 1.5 s is a sentence of at most `PLACES` places; a shorter
one ends earlier, and what is padding says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from detector.jit import kernel
from detector.measure import SPAN, SPAN_BEFORE
from detector.types import RATE, Array
from model.heartbeats import RATE_HZ, SAMPLES
from model.letters import QRS_LETTERS, TEXT, letters
from model.lstm import Layers, initial_state, step
from model.vocabulary import Vocabulary, learn, shape_words
from model.words import Word

FINER: Final = RATE // RATE_HZ  # ticks a sample of a beat
HOP: Final = 12  # ticks from place to place (48 ms): half a narrow QRS complex, so that none falls between two places
PLACES: Final = -(-((SAMPLES - 1) * FINER + 1) // HOP)

#: Scales of the measured words, as `model.words.WORDS` has them. Values of a beat lie between 0 and 1.
WORDS: Final = (
    Word("level", "mean of the beat over the 48 ms from here", 0.03, 0.03, 33),
    Word("swing", "log2 of highest minus lowest within the fine letters", -6.0, 0.4, 16),
    Word("rise", "change over the 48 ms from here", -0.6, 0.05, 25),
)
LEVEL, SWING, RISE = range(len(WORDS))


@dataclass(frozen=True, eq=False)
class Sentences:
    """Beats drawn and measured, before a vocabulary is known.

    Attributes
    ----------
    texts : uint8 (n, PLACES, TEXT)
        Letters at each place.
    levels : int64 (n, PLACES, len(WORDS))
    lengths : int64 (n,)
        Places that say something, at least 1; the rest is padding.
    """

    texts: npt.NDArray[np.uint8]
    levels: npt.NDArray[np.int64]
    lengths: npt.NDArray[np.int64]


def draw_beats(rows: npt.NDArray[np.float32]) -> Sentences:
    """Draw and measure beats, float32 (n, SAMPLES)."""
    ends = lengths_of(rows)
    places = -(-((ends - 1) * FINER + 1) // HOP)
    texts = np.zeros((len(rows), PLACES, TEXT), np.uint8)
    values = np.full((len(rows), PLACES, len(WORDS)), np.nan, np.float32)
    _describe(np.ascontiguousarray(rows, np.float32), ends, texts, values)
    levels = np.stack([levels_of(word, values[:, :, i]) for i, word in enumerate(WORDS)], axis=2)
    return Sentences(texts, levels, places)


def lengths_of(rows: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """Samples of each beat before its padding of zeros, at least 2."""
    told = rows != 0.0
    last = rows.shape[1] - np.argmax(told[:, ::-1], axis=1)
    return np.maximum(np.where(told.any(axis=1), last, 0), 2).astype(np.int64)


def levels_of(word: Word, values: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
    """`model.words.level_of` for many values of any scale."""
    told = np.isfinite(values)
    steps = np.floor((np.where(told, values, 0.0).astype(np.float64) - word.low) / word.step).astype(np.int64)
    return np.where(told, np.clip(steps + 1, 0, word.levels - 1), word.levels)


@kernel
def _describe(rows: Array, ends: Array, texts: Array, values: Array) -> None:
    beat = np.empty((SAMPLES - 1) * FINER + 1, np.float32)
    window = np.empty(SPAN, np.float32)
    for b in range(rows.shape[0]):
        n = (ends[b] - 1) * FINER + 1
        for i in range(n):
            here, part = i // FINER, i % FINER
            beat[i] = rows[b, here]
            if part:
                beat[i] += (rows[b, here + 1] - rows[b, here]) * part / FINER
        for place in range(texts.shape[1]):
            first = place * HOP
            if first >= n:
                break
            for i in range(SPAN):  # before R and after the end the beat stays where it is
                window[i] = beat[min(max(first + i - SPAN_BEFORE, 0), n - 1)]
            letters(window, QRS_LETTERS[0], texts[b, place])
            mean = 0.0
            for i in range(HOP):
                mean += np.float64(beat[min(first + i, n - 1)])
            highest = lowest = np.float64(window[SPAN_BEFORE])
            for i in range(SPAN_BEFORE + QRS_LETTERS[0], SPAN_BEFORE + QRS_LETTERS[1]):
                highest = max(highest, np.float64(window[i]))
                lowest = min(lowest, np.float64(window[i]))
            values[b, place, LEVEL] = mean / HOP
            values[b, place, SWING] = np.log2(max(highest - lowest, 1e-6))
            values[b, place, RISE] = beat[min(first + HOP, n - 1)] - beat[first]


def learn_vocabulary(
    sentences: Sentences, chosen: npt.NDArray[np.int64], texts: int, shapes: int, terms: int, seed: int
) -> Vocabulary:
    """The vocabulary of shapes (`model.vocabulary.learn`) from texts of the chosen beats, drawn by lot."""
    beats, places = np.nonzero(np.arange(PLACES) < sentences.lengths[chosen, None])
    drawn = np.random.default_rng(seed).permutation(len(beats))[:texts]
    return learn(sentences.texts[chosen[beats[drawn]], places[drawn]], shapes, terms, seed)


def sizes_of(shapes: int) -> tuple[int, ...]:
    """Words of each field of a place: the shape words and "none", then the measured words and "cannot be told"."""
    return (shapes + 1, *(word.levels + 1 for word in WORDS))


def words_of(sentences: Sentences, vocabulary: Vocabulary) -> npt.NDArray[np.int64]:
    """Tokens, int64 (n, PLACES, 1 + len(WORDS)); padding is the last word of every field."""
    beats, places = sentences.texts.shape[:2]
    shapes = np.empty(beats * places, np.int64)
    shape_words(vocabulary, sentences.texts.reshape(-1, TEXT), shapes)
    words = np.concatenate([shapes.reshape(beats, places, 1), sentences.levels], axis=2)
    padding = np.arange(places) >= sentences.lengths[:, None]
    words[padding] = np.array(sizes_of(len(vocabulary.norms))) - 1
    return words


def read_sentences(
    layers: Layers, words: npt.NDArray[np.int64], lengths: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Probabilities of the classes, float32 (n, C), after the last place of each beat that is no padding.

    It is the bedside's step (`model.lstm.step`), from a state of nothing for each beat.
    """
    probabilities = np.empty((len(words), layers.head_bias.shape[1]), np.float32)
    _read(layers, words, lengths, probabilities)
    return probabilities


@kernel
def _read(layers: Layers, words: Array, lengths: Array, probabilities: Array) -> None:
    last = np.empty(layers.head_bias.shape[1], np.float32)
    for beat in range(words.shape[0]):
        h, c, before, scores = initial_state(layers)
        for place in range(lengths[beat]):
            step(layers, words[beat, place], h, c, before, scores, probabilities[beat], last)
