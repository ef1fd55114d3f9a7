"""Beats composed anew: what is kept, what is changed, and that it is an ECG still."""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from detector.types import LEADS
from model import rhythms
from model.compose import compose
from model.dataset import Strip, composed, listen
from model.ec57 import Annotations
from model.rhythms import LIVES, PASSAGES, SHORTEST_S
from tests.model.hearts import heart

RATE = 250.0


@cache
def record(kinds: str = "N" * 150, rr: Any = 200) -> tuple[Any, Annotations]:
    mv, peaks = heart(kinds, rr)
    return mv.astype(np.float64), Annotations.of(peaks, kinds)


def played(seed: int, kinds: str = "N" * 150, rr: Any = 200) -> tuple[Any, Annotations]:
    mv, reference = record(kinds, rr)
    found = compose(mv, RATE, reference, np.random.default_rng(seed))
    assert found is not None
    return found


def kinds_of(beats: Annotations) -> Any:
    return np.array(list(beats.symbols))


@pytest.mark.parametrize("seed", range(6))
def test_every_beat_is_still_there_and_looks_the_same(seed: int) -> None:
    mv, reference = record()
    new, beats = played(seed)
    assert len(beats) == len(reference)
    assert np.isfinite(new).all()
    for old_at, new_at, kind in zip(reference.samples, beats.samples, beats.symbols, strict=True):
        if kind != "V":
            old, now = mv[old_at - 8 : old_at + 15].ravel(), new[new_at - 8 : new_at + 15].ravel()
            assert np.corrcoef(old, now)[0, 1] > 0.97


@pytest.mark.parametrize("seed", range(6))
def test_there_are_no_jumps(seed: int) -> None:
    mv, _ = record()
    new, _ = played(seed)
    assert np.abs(np.diff(new, axis=0)).max() <= 2.5 * np.abs(np.diff(mv, axis=0)).max()


def test_premature_beats_come_early_and_ventricular_ones_are_broad(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rhythms, "SLOWEST", 1.0)  # the sinus node keeps its pace of 0.8 s
    early: list[float] = []
    breadths: dict[str, list[float]] = {"N": [], "V": []}
    for seed in range(12):
        new, beats = played(seed)
        kinds = kinds_of(beats)
        rr = np.diff(beats.samples, prepend=0) / RATE
        assert rr[1:].min() >= SHORTEST_S - 1 / RATE
        early += rr[kinds == "S"].tolist()
        for place, kind in zip(beats.samples[1:-1], kinds[1:-1], strict=True):
            if kind in breadths:
                around = np.abs(new[place - 20 : place + 20, 0] - np.median(new[place - 20 : place + 20, 0]))
                breadths[kind].append(float((around > 0.3 * around.max()).sum()))
    assert early
    assert max(early) < 0.8  # of a sinus interval of 0.8 s
    assert np.median(breadths["V"]) > 1.2 * np.median(breadths["N"])


def test_behind_a_ventricular_beat_the_sinus_node_goes_on() -> None:
    for seed in range(12):
        _, beats = played(seed)
        rr = np.diff(beats.samples) / RATE
        for i, (kind, following) in enumerate(pairwise(beats.symbols[1:])):
            if (kind, following) == ("V", "N"):
                assert rr[i + 1] >= 0.79


def test_a_record_that_is_not_in_steady_rhythm_is_left_alone() -> None:
    rr = tuple(np.random.default_rng(0).integers(120, 300, 150).tolist())
    mv, reference = record("N" * 150, rr)
    assert compose(mv, RATE, reference, np.random.default_rng(1)) is None


def test_ventricular_beats_are_played_as_they_were() -> None:
    kinds = ("N" * 30 + "V") * 5
    mv, reference = record(kinds)
    new, beats = played(2, kinds)
    for i in np.flatnonzero(np.array(list(kinds)) == "V"):
        old, now = reference.samples[i], beats.samples[i]
        assert now - beats.samples[i - 1] == old - reference.samples[i - 1]
        assert np.array_equal(mv[old - 30 : old + 40], new[now - 30 : now + 40])


def lived(life: str, seed: int) -> tuple[Any, Any]:
    """Kinds of beat and RR intervals of a heart that knows one passage only."""
    mv, reference = record()
    found = compose(mv, RATE, reference, np.random.default_rng(seed), life)
    assert found is not None
    return kinds_of(found[1])[1:], np.diff(found[1].samples) / RATE


@pytest.mark.parametrize("seed", range(6))
def test_a_sick_node_hardly_beats_between_its_runs(seed: int) -> None:
    kinds, rr = lived("runs", seed)
    early = kinds == "S"
    assert early[5:].mean() > 0.5
    assert set(kinds) == {"N", "S"}
    assert np.median(rr[1:][early[:-1] & ~early[1:]]) > np.median(rr[early])  # a pause ends each run


@pytest.mark.parametrize("seed", range(6))
def test_sinus_arrest_leaves_pauses_and_no_early_beat(seed: int) -> None:
    kinds, rr = lived("arrest", seed)
    assert set(kinds) == {"N"}
    usual = np.median(rr)
    assert rr[2:].min() > 0.6 * usual
    assert rr.max() > 1.4 * rr[2:].min()


def test_shares_of_passages_are_whole() -> None:
    assert sum(PASSAGES.values()) == pytest.approx(1.0)
    assert sum(LIVES.values()) == pytest.approx(1.0)
    assert set(LIVES) < set(PASSAGES)


def test_the_same_lot_composes_the_same() -> None:
    one, other = played(5), played(5)
    assert np.array_equal(one[0], other[0])
    assert one[1].symbols == other[1].symbols


def test_a_composed_strip_is_heard() -> None:
    mv, reference = record("N" * 120)
    strip = Strip(RATE, np.rint(mv * 1000).astype(np.int16), np.full(LEADS, 1e-3))
    new, beats = composed(strip, reference, np.random.default_rng(3))
    samples = listen(new)[0]
    missed = [beat for beat in beats.samples[5:] if np.abs(samples - beat).min() > 37]
    assert len(missed) <= 6
