"""Beats composed anew: what is kept, what is changed, and that it is an ECG still."""

from __future__ import annotations

from functools import cache
from itertools import combinations, groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from detector.types import LEADS
from model.compose import compose
from model.dataset import passage, sentences_of
from model.ec57 import Annotations
from model.rhythms import LIFELONG, PASSAGES, ROOM_S, SHORTEST_S, SINGLE_RHYTHMS, plan_beats
from model.strip import Strip
from model.variants import COMPOSED, composed
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
    return found[0], found[1].without("+")


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


def lived(life: str, seed: int) -> tuple[Any, Any]:
    """Signal and beats of a heart that knows one passage only."""
    mv, reference = record()
    found = compose(mv, RATE, reference, np.random.default_rng(seed), life)
    assert found is not None
    return found[0], found[1].without("+")


@pytest.mark.parametrize("life", ["singles", "bigeminy", "runs"])
@pytest.mark.parametrize("seed", range(6))
def test_premature_beats_come_before_the_sinus_node_beats(life: str, seed: int) -> None:
    _, beats = lived(life, seed)
    kinds, rr = kinds_of(beats)[2:], np.diff(beats.samples)[1:] / RATE  # the first interval is never composed
    assert set(kinds) == {"N", "S"}
    assert rr.min() >= SHORTEST_S - 1 / RATE
    assert rr[kinds == "S"].max() < rr[kinds == "N"].min()


@pytest.mark.parametrize("seed", range(6))
def test_ventricular_beats_are_broad_and_the_sinus_node_goes_on_behind_them(seed: int) -> None:
    new, beats = lived("ventricular", seed)
    kinds, rr = kinds_of(beats), np.diff(beats.samples) / RATE
    assert set(kinds) == {"N", "V"}
    breadths: dict[str, list[float]] = {"N": [], "V": []}
    for place, kind in zip(beats.samples[1:-1], kinds[1:-1], strict=True):
        around = np.abs(new[place - 20 : place + 20, 0] - np.median(new[place - 20 : place + 20, 0]))
        breadths[kind].append(float((around > 0.3 * around.max()).sum()))
    assert np.median(breadths["V"]) > 1.2 * np.median(breadths["N"])
    for i, (kind, following) in enumerate(pairwise(kinds[1:])):
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


@pytest.mark.parametrize("seed", range(6))
def test_marks_of_fibrillation_stay_between_the_beats_they_lay_between(seed: int) -> None:
    mv, reference = record()
    beats = reference.samples
    marks = [("[", beats[70] + 60), ("!", beats[71] - 80), ("!", beats[72] + 70), ("]", beats[74] + 60)]
    order = sorted([*zip(reference.symbols, beats, strict=True), *marks, ("+", beats[3] + 9)], key=lambda mark: mark[1])
    marked = Annotations.of([int(at) for _, at in order], [symbol for symbol, _ in order])
    found = compose(mv, RATE, marked, np.random.default_rng(seed))
    assert found is not None
    without = found[1].without("+")
    times, kinds = without.samples, kinds_of(without)
    others = np.isin(kinds, ["[", "!", "]"])
    new = times[~others]
    assert len(new) == len(beats)
    assert kinds[others].tolist() == ["[", "!", "!", "]"]
    assert np.searchsorted(new, times[others]).tolist() == [71, 71, 73, 75]
    assert times[others].tolist() == [new[70] + 60, new[71] - 80, new[72] + 70, new[74] + 60]


@pytest.mark.parametrize(("rhythm", "told"), [("fibrillation", "(AFIB"), ("breathing", "(N"), ("bigeminy", "(N")])
def test_the_rhythm_is_marked_where_it_is_composed_and_nothing_is_said_elsewhere(rhythm: str, told: str) -> None:
    """The first beat has no interval before it, and around a ventricular beat the record is as it was."""
    mv, reference = record("N" * 70 + "V" + "N" * 79)
    found = compose(mv, RATE, reference, np.random.default_rng(0), rhythm)
    assert found is not None
    beats, marks = found[1].without("+"), found[1].without("NSV")
    where = np.searchsorted(beats.samples, marks.samples).tolist()
    assert beats.samples[where].tolist() == marks.samples.tolist()  # at a beat each
    assert list(zip(where, marks.notes, strict=True)) == [(0, ""), (2, told), (70, ""), (72, told)]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_is_composed_in_fibrillation_and_marks_keep_their_place_among_beats(seed: int) -> None:
    mv, reference = record()
    beats = reference.samples
    symbols = ["[", *"N" * 60, "[", *"N" * 10, "]", *"N" * 60, "!", *"N" * 20, "]"]
    at = [0, *beats[:60], beats[60], *beats[60:70], beats[70], *beats[70:130], beats[130], *beats[130:], len(mv)]
    found = compose(mv, RATE, Annotations.of(at, symbols), np.random.default_rng(seed))
    assert found is not None
    new, played = found[0], found[1].without("+")
    assert list(played.symbols[61:73]) == ["[", *"N" * 10, "]"]
    inside = played.samples[61:73]
    assert np.array_equal(np.diff(inside), np.diff([beats[60], *beats[60:70], beats[70]]))
    assert np.array_equal(new[inside[0] : inside[-1]], mv[beats[60] : beats[70]])
    assert played.samples[0] == 0
    assert played.samples[-1] == len(new) - 1


def test_the_beats_of_a_salvo_have_room_for_their_breadth() -> None:
    short = ROOM_S * 1.9  # s: a heart so fast that a premature beat would lie in the one before
    tight = 0
    for seed in range(20):
        score = plan_beats(np.full(300, short), np.full(300, True), LEADS, np.random.default_rng(seed), "ventricular")
        for i in range(1, 300):
            if score.focus[i] >= 0 and score.focus[i - 1] == score.focus[i]:
                room = ROOM_S * score.foci[score.focus[i]].broad
                assert score.rr[i] >= room - 1e-9
                tight += score.rr[i] < room + 1e-9
    assert tight > 20


@pytest.mark.parametrize("seed", range(6))
def test_a_sick_node_hardly_beats_between_its_runs(seed: int) -> None:
    kinds = "".join(kinds_of(lived("runs", seed)[1])[1:])
    between = kinds.strip("N").replace("S", " ").split()
    assert max(map(len, between), default=0) <= 5
    assert kinds.count("S") > kinds.count("N")


@pytest.mark.parametrize("seed", range(6))
def test_sinus_arrest_leaves_pauses_and_no_early_beat(seed: int) -> None:
    _, beats = lived("arrest", seed)
    kinds, rr = kinds_of(beats)[1:], np.diff(beats.samples) / RATE
    assert set(kinds) == {"N"}
    usual = np.quantile(rr, 0.1)
    assert rr[1:].min() > 0.85 * usual
    assert rr.max() > 1.3 * usual


def test_about_half_of_the_hearts_know_one_passage_only() -> None:
    rr, free = np.full(600, 0.8), np.ones(600, bool)
    arrested = [plan_beats(rr, free, 1, np.random.default_rng(seed), None) for seed in range(200)]
    whole = np.mean([np.mean(score.waves > 0) > 0.99 for score in arrested])
    assert 0.5 * LIFELONG * SINGLE_RHYTHMS["fibrillation"] < whole < 1.6 * LIFELONG * SINGLE_RHYTHMS["fibrillation"]


def test_an_unknown_rhythm_is_refused() -> None:
    mv, reference = record()
    with pytest.raises(ValueError, match="no rhythm waltz"):
        compose(mv, RATE, reference, np.random.default_rng(0), "waltz")


def test_shares_of_passages_are_whole() -> None:
    assert sum(PASSAGES.values()) == pytest.approx(1.0)
    assert sum(SINGLE_RHYTHMS.values()) == pytest.approx(1.0)
    assert set(SINGLE_RHYTHMS) < set(PASSAGES)


def test_the_same_lot_composes_the_same() -> None:
    one, other = played(5), played(5)
    assert np.array_equal(one[0], other[0])
    assert one[1].symbols == other[1].symbols


def test_every_composed_variant_is_another(tmp_path: Path) -> None:
    mv, reference = record("N" * 120)
    folder = tmp_path / "own"
    folder.mkdir()
    wfdb.wrsamp("a", RATE, ["mV"] * LEADS, ["MLII", "V1"], mv, fmt=["16"] * LEADS, write_dir=str(folder))
    wfdb.wrann("a", "atr", reference.samples, list(reference.symbols), fs=RATE, write_dir=str(folder))
    analysed = [passage(folder, "a", kind) for kind in ("plain", *COMPOSED)]
    for one, other in combinations(analysed, 2):
        assert not np.array_equal(one.reference.samples, other.reference.samples)


def test_a_composed_strip_is_heard() -> None:
    mv, reference = record("N" * 120)
    strip = Strip(RATE, np.rint(mv * 1000).astype(np.int16), np.full(LEADS, 1e-3))
    new, beats = composed(strip, reference, np.random.default_rng(3))
    beats = beats.without("+")
    samples = sentences_of(new)[0]
    missed = [beat for beat in beats.samples[5:] if np.abs(samples - beat).min() > 37]
    assert len(missed) <= 6


def test_ventricular_beats_come_as_tachycardias_too() -> None:
    mv, reference = record("N" * 400)
    longest, fastest = 0, np.inf
    for seed in range(12):
        found = compose(mv, RATE, reference, np.random.default_rng(seed), "ventricular")
        assert found is not None
        new, beats = found[0], found[1].without("+")
        assert np.isfinite(new).all()
        rr = np.diff(beats.samples) / RATE
        runs = [(kind, [i for i, _ in some]) for kind, some in groupby(enumerate(beats.symbols), lambda b: b[1])]
        for kind, places in runs:
            if kind == "V" and len(places) > 3:
                longest = max(longest, len(places))
                fastest = min(fastest, rr[places[1:-1]].mean())
                assert (rr[places[0] : places[-1]] < 0.81).all()  # all are faster than the 75 a minute around them
                assert (rr[places[0] : places[-1]] >= ROOM_S * 1.2 - 2 / RATE).all()  # the narrowest has room
    assert longest > 10
    assert fastest < 0.5
