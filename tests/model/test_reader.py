from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from detector.types import AFTER, LEADS, OFF, RATE, RING, SIGNAL
from model.codes import CLASSES
from model.letters import TEXT
from model.lstm import classify_sequence
from model.network import Network, NetworkConfig
from model.pace import LONGEST_RR_S
from model.reader import BeatReader, Reader, Weights, spell
from model.rhythm_head import SUREST, RhythmHead, memories, rhythm_log_odds
from model.sentence import beat_to_words
from model.state import LANGUAGE
from model.store import sizes_of
from model.train import export
from model.words import FIELDS, SURE_LATELY, WORDS
from model.words import SURE as SURE_WORD
from tests.model.hearts import GOOD_LEADS, heart, play

READER = Reader.load()
KINDS = st.text("NSV", min_size=3, max_size=25)
INTERVALS = st.lists(st.integers(60, 400), min_size=25, max_size=25)


SURE = 6.0  # log odds by the detector


def read(mv: Any, peaks: Any, extra: int = 0, lead_states: Any = GOOD_LEADS) -> list[tuple[int, list[bytes]]]:
    reader = BeatReader(READER)
    beats = (reader.update(signal, peak, SURE, lead_states) for signal, peak in play(mv, peaks, extra))
    return [(token, [part.tobytes() for part in said]) for token, *said in beats]


def words(mv: Any, peaks: Any) -> Any:
    state = np.zeros(1, LANGUAGE)[0]
    said = []
    for signal, peak in play(mv, peaks):
        texts, values = np.empty((LEADS, TEXT), np.uint8), np.empty(FIELDS, np.float32)
        levels = np.empty(FIELDS, np.int64)
        best = beat_to_words(state, signal, peak, SURE, GOOD_LEADS, texts, values, levels)
        said.append((best, texts.tobytes(), levels.tolist()))
    return said


def test_state_is_bounded_and_has_no_undefined_bytes() -> None:
    assert _size(LANGUAGE) == LANGUAGE.itemsize <= 8192


def _size(dtype: np.dtype[Any]) -> int:
    """Bytes without padding: these a copy need not keep."""
    if dtype.subdtype is not None:
        return int(np.prod(dtype.shape)) * _size(dtype.base)
    return sum(_size(field[0]) for field in dtype.fields.values()) if dtype.fields else dtype.itemsize


def by_numpy(weights: Weights, words: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """The rhythm head's log odds, in plain Python from what the networks remember."""
    head, remembered = weights.rhythm, memories(weights.layers, words).astype(np.float64)
    hidden = np.maximum(np.einsum("tmi,mid->td", remembered, head.dense.astype(np.float64)) + head.dense_bias, 0.0)
    scores = hidden @ head.out + head.out_bias
    chances = np.exp(scores - scores.max(axis=1, keepdims=True))
    chances /= chances.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        return np.asarray(np.clip(np.log(chances) - np.log1p(-chances), -SUREST, SUREST), np.float64)


@pytest.mark.parametrize(("members", "embedding", "hidden"), [(1, 192, 20), (2, 24, 96), (3, 64, 20), (6, 32, 32)])
def test_the_row_has_room_for_every_make(members: int, embedding: int, hidden: int) -> None:
    """Beat by beat in a bed's row a model says what it says of the sentence: no network treads on another's state."""
    torch.manual_seed(0)
    make = NetworkConfig(sizes_of(READER.shapes), embedding, hidden, last_hidden=4)
    weights = export([Network(make) for _ in range(members)], READER.weights.vocabulary)
    rng = np.random.default_rng(0)
    head = (rng.normal(0, 1, shape).astype(np.float32) for shape in ((members, hidden + embedding, 7), 7, (7, 2), 2))
    weights = weights._replace(rhythm=RhythmHead(*head))
    state, reader = np.zeros(1, LANGUAGE)[0], BeatReader(Reader(weights, {}))
    words, said = [], []
    for signal, peak in play(*heart("NNVNS" * 5, 200)):
        texts, values = np.empty((LEADS, TEXT), np.uint8), np.empty(FIELDS, np.float32)
        levels, all_words = np.empty(FIELDS, np.int64), np.empty(LEADS + FIELDS, np.int64)
        beat_to_words(state, signal, peak, SURE, GOOD_LEADS, texts, values, levels)
        spell(weights.vocabulary, texts, levels, all_words)
        words.append(all_words)
        said.append(reader.update(signal, peak, SURE, GOOD_LEADS)[1:])
    whole = classify_sequence(weights.layers, np.array(words), np.ones(len(words), np.bool_))
    first, last, rhythms = (np.array(part) for part in zip(*said, strict=True))
    assert np.array_equal(rhythms, rhythm_log_odds(weights.layers, weights.rhythm, np.array(words)))
    assert rhythms == pytest.approx(by_numpy(weights, np.array(words)), abs=1e-3)
    assert np.array_equal(first, whole.first)
    assert np.array_equal(last[1:], whole.last[:-1])
    assert len(np.unique(whole.first, axis=0)) == len(words), "no two beats are read alike"


@settings(max_examples=25, deadline=None)
@given(KINDS, INTERVALS)
def test_a_result_for_every_beat(kinds: str, rr: list[int]) -> None:
    reader = BeatReader(READER)
    mv, peaks = heart(kinds, rr[: len(kinds)])
    for signal, peak in play(mv, peaks):
        token, first, last, rhythms = reader.update(signal, peak, SURE, GOOD_LEADS)
        assert 0 <= token < READER.shapes
        assert first.sum() == pytest.approx(1.0, abs=1e-5)
        assert last.sum() == pytest.approx(float(peak != peaks[0]), abs=1e-5)
        assert (first >= 0).all()
        assert (last >= 0).all()
        assert (np.abs(rhythms) <= SUREST).all()


@settings(max_examples=25, deadline=None)
@given(KINDS, INTERVALS, st.integers(1, 24))
def test_restore_goes_on_bit_for_bit(kinds: str, rr: list[int], cut: int) -> None:
    mv, peaks = heart(kinds, rr[: len(kinds)])
    first, second = BeatReader(READER), BeatReader(READER)
    for number, (signal, peak) in enumerate(play(mv, peaks)):
        if number == cut:
            second.restore(first.state())
        told = first.update(signal, peak, SURE, GOOD_LEADS)
        if number >= cut:
            again = second.update(signal, peak, SURE, GOOD_LEADS)
            assert [np.asarray(part).tobytes() for part in told] == [np.asarray(part).tobytes() for part in again]
            assert first.state().tobytes() == second.state().tobytes()


@pytest.mark.parametrize("row", [np.ones(1), np.zeros(2, LANGUAGE), np.zeros((), LANGUAGE)])
def test_what_is_no_state_is_not_restored(row: Any) -> None:
    reader = BeatReader(READER)
    before = reader.state()
    with pytest.raises(ValueError, match="not a state"):
        reader.restore(row)
    assert reader.state().tobytes() == before.tobytes()


@settings(max_examples=25, deadline=None)
@given(KINDS, INTERVALS, st.integers(1, 300))
def test_nothing_later_is_used(kinds: str, rr: list[int], extra: int) -> None:
    mv, peaks = heart(kinds, rr[: len(kinds)])
    assert read(mv, peaks) == read(mv, peaks, extra)


def test_nothing_behind_the_last_tick_is_used() -> None:
    mv, peaks = heart("NNNNN", 200)
    changed = mv.copy()
    changed[peaks[-1] + AFTER :] = 9.0
    assert read(mv, peaks, extra=50) == read(changed, peaks, extra=50)
    changed[peaks[-1] + AFTER // 2 :] = 9.0
    assert read(mv, peaks, extra=50)[-1] != read(changed, peaks, extra=50)[-1]


@settings(max_examples=20, deadline=None)
@given(KINDS, INTERVALS, st.integers(-3, 4))
def test_gain_changes_no_word(kinds: str, rr: list[int], power: int) -> None:
    mv, peaks = heart(kinds, rr[: len(kinds)])
    assert words(mv, peaks) == words(mv * np.float32(2.0**power), peaks)


BAD = st.sampled_from([np.nan, 0.0, 5.0, -5.0, 1e-30, 1e30, np.inf, -np.inf])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(BAD, st.integers(1, 300), st.booleans()), max_size=12), st.integers(0, OFF))
def test_bad_signal_has_a_result(pieces: list[tuple[float, int, bool]], lead_state: int) -> None:
    mv, peaks = heart("NVSNNVNN", 180)
    at = 0
    for value, length, both in pieces:
        mv[at : at + length, : LEADS if both else 1] = value
        at += length + 37
    states = np.array([lead_state, 0], np.int8)
    reader = BeatReader(READER)
    for signal, peak in play(mv, peaks):
        token, first, last, rhythms = reader.update(signal, peak, SURE, states)
        assert (np.abs(rhythms) <= SUREST).all()
        assert 0 <= token <= READER.shapes
        assert np.isfinite(first).all()
        assert np.isfinite(last).all()
        assert first.sum() == pytest.approx(1.0, abs=1e-5)


def test_leads_off_have_a_token_of_their_own() -> None:
    off = np.full(LEADS, OFF, np.int8)
    mv, peaks = heart("NNN", 200)
    assert [token for token, *_ in read(mv, peaks, lead_states=off)] == [READER.shapes] * 3
    assert all(token < READER.shapes for token, *_ in read(mv, peaks))


STRENGTHS = st.lists(
    st.one_of(st.floats(-50, 50), st.sampled_from([np.nan, np.inf, -np.inf])), min_size=12, max_size=12
)


@settings(max_examples=25, deadline=None)
@given(STRENGTHS)
def test_how_sure_the_detector_is_and_has_been(strengths: list[float]) -> None:
    mv, peaks = heart("N" * 12, 200)
    state = np.zeros(1, LANGUAGE)[0]
    known: list[float] = []
    for log_odds, (signal, peak) in zip(strengths, play(mv, peaks), strict=True):
        texts, values = np.empty((LEADS, TEXT), np.uint8), np.empty(FIELDS, np.float32)
        levels = np.empty(FIELDS, np.int64)
        beat_to_words(state, signal, peak, log_odds, GOOD_LEADS, texts, values, levels)
        if np.isfinite(log_odds):
            known.append(min(max(log_odds, -4.0), 10.0))
            assert values[SURE_WORD] == np.float32(log_odds)
            assert min(0.0, *known) <= values[SURE_LATELY] <= max(0.0, *known)
        else:
            assert np.isnan(values[[SURE_WORD, SURE_LATELY]]).all()
            assert (levels[[SURE_WORD, SURE_LATELY]] == [WORDS[SURE_WORD].levels, WORDS[SURE_LATELY].levels]).all()
        assert np.isfinite(state["sure"])


def test_the_mean_of_how_sure_it_has_been_is_of_about_eight_beats() -> None:
    mv, peaks = heart("N" * 60, 200)
    state = np.zeros(1, LANGUAGE)[0]
    lately = []
    for i, (signal, peak) in enumerate(play(mv, peaks)):
        texts, values = np.empty((LEADS, TEXT), np.uint8), np.empty(FIELDS, np.float32)
        beat_to_words(
            state, signal, peak, 8.0 if i < 30 else 0.0, GOOD_LEADS, texts, values, np.empty(FIELDS, np.int64)
        )
        lately.append(float(values[SURE_LATELY]))
    assert lately[:30] == pytest.approx([8.0] * 30)
    assert lately[37] == pytest.approx(8.0 * 0.875**8)


@settings(max_examples=10, deadline=None)
@given(STRENGTHS)
def test_a_state_restored_is_as_sure(strengths: list[float]) -> None:
    mv, peaks = heart("N" * 12, 200)
    first, second = BeatReader(READER), BeatReader(READER)
    for i, (log_odds, (signal, peak)) in enumerate(zip(strengths, play(mv, peaks), strict=True)):
        told = first.update(signal, peak, log_odds, GOOD_LEADS)
        if i >= 6:
            again = second.update(signal, peak, log_odds, GOOD_LEADS)
            assert [np.asarray(part).tobytes() for part in told] == [np.asarray(part).tobytes() for part in again]
        second.restore(first.state())


def test_empty_ring_has_a_result() -> None:
    token, first, last, rhythms = BeatReader(READER).update(np.zeros(1, SIGNAL)[0], 3 * RING, SURE, GOOD_LEADS)
    assert token == READER.shapes
    assert first.sum() == pytest.approx(1.0, abs=1e-5)
    assert not last.any()
    assert (np.abs(rhythms) <= SUREST).all()


def test_a_beat_that_none_follows_soon_keeps_its_first_word() -> None:
    soon, late = int(LONGEST_RR_S * RATE), int(LONGEST_RR_S * RATE) + 1
    for gap, said in ((soon, 1.0), (late, 0.0)):
        mv, peaks = heart("NNNNN", [200, 200, 200, gap, 200])
        reader = BeatReader(READER)
        last = [reader.update(signal, peak, SURE, GOOD_LEADS)[2].sum() for signal, peak in play(mv, peaks)]
        assert last == pytest.approx([0.0, 1.0, 1.0, said, 1.0], abs=1e-5)


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(4)), st.integers(0, 2**32))
def test_beds_do_not_touch_each_other(order: list[int], seed: int) -> None:
    hearts = [heart("NNVNNSNN", 170 + 20 * i, seed=seed + i) for i in range(4)]
    alone = [read(*one) for one in hearts]
    readers = [BeatReader(READER) for _ in hearts]
    together: list[list[tuple[int, list[bytes]]]] = [[] for _ in hearts]
    for rows in zip(*(list(map(_copied, play(*one))) for one in hearts), strict=True):
        for i in order:
            signal, peak = rows[i]
            token, *said = readers[i].update(signal, peak, SURE, GOOD_LEADS)
            together[i].append((token, [part.tobytes() for part in said]))
    assert together == alone


def _copied(moment: tuple[Any, int]) -> tuple[Any, int]:
    return moment[0].copy(), moment[1]


def test_wide_premature_beats_are_ventricular() -> None:
    mv, peaks = heart(
        "N" * 40 + "V" + "N" * 10 + "V" + "N" * 5, [200] * 40 + [120, 280] + [200] * 9 + [120, 280] + [200] * 4
    )
    reader = BeatReader(READER)
    said = [CLASSES[int(reader.update(s, p, SURE, GOOD_LEADS)[1].argmax())] for s, p in play(mv, peaks)]
    assert [i for i, label in enumerate(said) if label == "V"] == [40, 51]


def test_sentence_has_the_fields_of_the_network() -> None:
    layers = READER.weights.layers
    sizes = sizes_of(READER.shapes)
    assert len(sizes) == LEADS + len(WORDS) == len(layers.offsets)
    assert layers.embed.shape[1] == sum(sizes)
