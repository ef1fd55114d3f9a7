from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from detector.measure import SPAN, SPAN_BEFORE
from model.letters import ALPHABET, LEVELS, P_LETTERS, QRS_LETTERS, T_LETTERS, TEXT, letters, text_of
from model.lstm import Layers, initial_state, step
from model.reader import Reader
from model.vocabulary import GRAMS, NGRAM, shape_word, tfidf
from model.words import FIELDS, WORDS, level_of

READER = Reader.load()
TEXTS = hnp.arrays(np.uint8, TEXT, elements=st.integers(0, len(ALPHABET) - 1))


def plain_letters(y: np.ndarray, onset: int) -> str:
    """The drawing told again, simply."""
    y = y.astype(np.float64)
    base = np.mean(y[SPAN_BEFORE + onset - 6 : SPAN_BEFORE + onset])
    top = np.abs(y[SPAN_BEFORE + QRS_LETTERS[0] : SPAN_BEFORE + QRS_LETTERS[1]] - base).max()
    parts = []
    for first, last, width in (P_LETTERS, QRS_LETTERS, T_LETTERS):
        part = ""
        for start in range(first, last, width):
            value = (y[SPAN_BEFORE + start : SPAN_BEFORE + start + width].mean() - base) / top
            level = sum(abs(value) > edge for edge in LEVELS)
            part += "." if level == 0 else "ABCD"[level - 1] if value > 0 else "abcd"[level - 1]
        parts.append(part)
    return "|".join(parts)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(-35, 0))
def test_letters_equal_their_plain_twin(seed: int, onset: int) -> None:
    y = np.random.default_rng(seed).normal(0, 1, SPAN).astype(np.float32)
    text = np.empty(TEXT, np.uint8)
    letters(y, onset, text)
    assert text_of(text) == plain_letters(y, onset)


def test_a_narrow_upright_beat_in_letters() -> None:
    t = np.arange(SPAN) - SPAN_BEFORE
    y = np.exp(-0.5 * (t / 3.0) ** 2) + 0.12 * np.exp(-0.5 * ((t + 45) / 5.0) ** 2)
    text = np.empty(TEXT, np.uint8)
    letters(y.astype(np.float32), -15, text)
    p_wave, qrs, t_wave = text_of(text).split("|")
    assert "A" in p_wave
    assert set(qrs) >= {".", "D"}
    assert set(qrs) <= set(".ABCD")
    assert t_wave == "...."


@settings(deadline=None)
@given(st.integers(0, FIELDS - 1), st.floats(allow_nan=True, allow_infinity=True, width=32))
def test_every_value_has_a_level(field: int, value: float) -> None:
    level = level_of(field, value)
    assert 0 <= level <= WORDS[field].levels
    assert (level == WORDS[field].levels) == (not np.isfinite(value))


@settings(deadline=None)
@given(st.integers(0, FIELDS - 1), st.floats(-20, 300), st.floats(0, 5))
def test_levels_rise_with_the_value(field: int, value: float, more: float) -> None:
    assert level_of(field, value) <= level_of(field, value + more)


def test_scales_are_cut_where_the_table_says() -> None:
    for field, word in enumerate(WORDS):
        for level in range(1, word.levels):
            edge = word.low + (level - 1) * word.step
            assert level_of(field, edge + 0.01 * word.step) == level
            assert level_of(field, edge - 0.01 * word.step) == level - 1


def test_names_are_distinct() -> None:
    assert len({word.name for word in WORDS}) == FIELDS


def plain_tfidf(text: np.ndarray) -> np.ndarray:
    """TF-IDF from a dictionary of counts."""
    v = READER.weights.vocabulary
    starts = [sum(len(ALPHABET) ** k for k in range(1, n)) for n in range(1, NGRAM + 1)]
    counts: dict[int, int] = {}
    for n in range(1, NGRAM + 1):
        for first in range(TEXT - n + 1):
            place = int("".join(map(str, text[first : first + n])))
            term = int(v.columns[starts[n - 1] + place])
            if term >= 0:
                counts[term] = counts.get(term, 0) + 1
    vector = np.zeros(len(v.idf))
    for term, count in counts.items():
        vector[term] = (1 + np.log(count)) * v.idf[term]
    length = np.sqrt((vector**2).sum())
    return vector / length if length else vector


@settings(max_examples=50, deadline=None)
@given(TEXTS)
def test_tfidf_and_shape_word_equal_their_plain_twins(text: np.ndarray) -> None:
    v = READER.weights.vocabulary
    terms, weights = np.empty(GRAMS, np.int32), np.empty(GRAMS)
    count = tfidf(v, text, terms, weights)
    vector = np.zeros(len(v.idf))
    vector[terms[:count]] = weights[:count]
    expected = plain_tfidf(text)
    np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-12)
    distances = ((v.centres - expected[:, None]) ** 2).sum(axis=0)
    assert distances[shape_word(v, text)] <= distances.min() + 1e-9


def plain_step(
    n: Layers, words: np.ndarray, h: np.ndarray, c: np.ndarray, before: np.ndarray, said: np.ndarray
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The networks as their formulas are printed; members are added up at the end."""

    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-x.astype(np.float64)))

    def times(vector: np.ndarray, matrix: np.ndarray) -> np.ndarray:
        product: np.ndarray = np.einsum("mi,mij->mj", vector, matrix, dtype=np.float64)
        return product

    x = np.maximum(n.embed[:, n.offsets + words].sum(axis=1, dtype=np.float64) + n.bias, 0)
    i, f, o, g = np.split(times(x, n.inputs) + times(h, n.recurrent) + n.gates, 4, axis=1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    dense = np.maximum(times(np.hstack([h, x]), n.dense) + n.dense_bias, 0)
    again = np.maximum(times(np.hstack([h, x, before]), n.again) + n.again_bias, 0)
    scores = (times(dense, n.head) + n.head_bias).mean(axis=0)
    last = (times(again, n.last) + n.last_bias).mean(axis=0) + said
    return [np.exp(s - s.max()) / np.exp(s - s.max()).sum() for s in (scores, last)], [h, c, x, scores]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_step_equals_its_plain_twin(seed: int) -> None:
    n = READER.weights.layers
    rng = np.random.default_rng(seed)
    sizes = np.diff([*n.offsets, n.embed.shape[1]])
    kept = initial_state(n)
    plain = [part.astype(np.float64) for part in kept]
    first, last = np.empty((2, n.head_bias.shape[1]), np.float32)
    for _ in range(10):
        words = rng.integers(0, sizes)
        step(n, words, kept[0], kept[1], kept[2], kept[3], first, last)
        expected, plain = plain_step(n, words, plain[0], plain[1], plain[2], plain[3])
        for ours, theirs in zip((first, last, *kept), (*expected, *plain), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
