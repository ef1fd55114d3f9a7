"""The rhythm head: what it is taught, that it learns it, and that it changes nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from model.codes import CLASSES, RHYTHMS
from model.cross_validation import Tables, cross_validate, read_rhythms, rhythm_figures
from model.dataset import UNLABELLED, Passage
from model.ec57 import Annotations
from model.reader import Reader, Weights
from model.rhythm_head import SUREST, RhythmHead, memories, rhythm_log_odds
from model.rhythm_training import fit_rhythms, rhythm_labels
from model.train import Trainer, words_of
from model.words import ENTROPY, WORDS
from tests.model.test_training import config, passage_of

pytestmark = pytest.mark.train

AF = RHYTHMS.index("(AFIB")


def marked(p: Passage, *marks: tuple[int, str], **changes: Any) -> Passage:
    """A passage whose rhythm a reader has told, by the beat at which each begins."""
    symbols = ["+"] * len(marks)
    at = [int(p.samples[beat]) for beat, _ in marks]
    reference = Annotations.of(at, symbols, notes=[rhythm for _, rhythm in marks])
    return replace(p, reference=reference, **changes)


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    """Hearts in whose second half the RR intervals have another entropy: fibrillation, as a reader has marked."""
    said = []
    for number in range(6):
        p = passage_of(str(number), number)
        half = len(p.samples) // 2
        levels = p.levels.copy()
        levels[:half, ENTROPY], levels[half:, ENTROPY] = 1, WORDS[ENTROPY].levels - 1
        said.append(marked(p, (0, "(N"), (half, "(AFIB"), levels=levels))
    return said


@pytest.fixture(scope="module")
def networks(passages: list[Passage]) -> Weights:
    trainer = Trainer([passage_of(str(number), number) for number in range(6)], config())
    trainer.run()
    return trainer.weights()


def same(one: RhythmHead, other: RhythmHead) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


def read(p: Passage, weights: Weights) -> Any:
    return rhythm_log_odds(weights.layers, weights.rhythm, words_of(p, weights.vocabulary))


def test_what_a_reader_marked_is_what_it_is_taught() -> None:
    p = passage_of("0", 0)
    told = ["(N", "(AFIB", "(P", "(PM", "(AFL", "(VFL", "(NOISE", "", "(B"]
    labels = rhythm_labels(marked(p, *((3 * i, rhythm) for i, rhythm in enumerate(told))))
    assert labels[: 3 * len(told) : 3].tolist() == [0, AF, 0, 0, 0, UNLABELLED, UNLABELLED, UNLABELLED, 0]
    paced = rhythm_labels(marked(p, *((3 * i, rhythm) for i, rhythm in enumerate(told))), ("", "(P"))
    assert paced[: 3 * len(told) : 3].tolist() == [0, 0, 1, 1, 0, UNLABELLED, UNLABELLED, UNLABELLED, 0]
    assert (labels[1:27:3] == labels[0:27:3]).all()
    assert (rhythm_labels(marked(p, (5, "(N")))[:5] == UNLABELLED).all()  # nothing is known before the first mark
    assert rhythm_labels(p, ("", "(N")).tolist() == rhythm_labels(p).tolist()
    assert rhythm_labels(marked(p, (0, "(N")), ("", "(N"))[0] == 1


@pytest.mark.parametrize(
    ("record", "label"),
    [("n01", 0), ("n02c", 0), ("p01", 0), ("p02", 0), ("p01c", 0), ("p02c", UNLABELLED), ("t01", UNLABELLED)],
)
def test_what_the_description_of_afpdb_says_is_known(record: str, label: int) -> None:
    p = replace(passage_of("0", 0), database="afpdb", record=record, reference=Annotations.of([], ""))
    assert set(rhythm_labels(p).tolist()) == {label}
    assert set(rhythm_labels(replace(p, database="other")).tolist()) == {UNLABELLED}


def test_it_learns_what_it_is_shown(passages: list[Passage], networks: Weights) -> None:
    head = fit_rhythms(passages[1:], networks, 0)
    fitted = networks._replace(rhythm=head)
    log_odds, told = read(passages[0], fitted), rhythm_labels(passages[0])
    assert (np.abs(log_odds) <= SUREST).all()
    assert np.mean((log_odds[:, AF] > 0) == (told == AF)) > 0.95
    counts = read_rhythms(passages[0], fitted)
    assert counts.sum() == len(told)
    assert counts[AF, AF] > 0.95 * counts[AF].sum()


def test_the_same_seed_fits_the_same_head(passages: list[Passage], networks: Weights) -> None:
    assert same(fit_rhythms(passages, networks, 3), fit_rhythms(passages, networks, 3))
    assert not same(fit_rhythms(passages, networks, 3), fit_rhythms(passages, networks, 4))


def test_without_marks_there_is_nothing_to_tell(networks: Weights) -> None:
    unmarked = [passage_of(str(number), number) for number in range(3)]
    for given in ([], unmarked, [marked(p, (0, "(N")) for p in unmarked]):
        head = fit_rhythms(given, networks, 0)
        assert same(head, RhythmHead.silent(networks.layers))
        assert (read(unmarked[0], networks._replace(rhythm=head))[:, 1:] == -SUREST).all()


def test_of_a_long_reading_no_more_is_taken_than_of_others(
    passages: list[Passage], networks: Weights, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.rhythm_training.BEATS", 20)
    monkeypatch.setattr("model.rhythm_training.FIRST", 5)
    taken: list[Any] = []

    def fitting(inputs: Any, labels: Any, *_: Any) -> Any:
        taken.append(labels)
        raise InterruptedError

    monkeypatch.setattr("model.rhythm_training._fit", fitting)
    with pytest.raises(InterruptedError):
        fit_rhythms(passages, networks, 0)
    assert len(taken[0]) == 20 * len(passages)
    assert (taken[0][:5] == rhythm_labels(passages[0])[:5]).all()
    with pytest.raises(InterruptedError):
        fit_rhythms(passages, networks, 1)
    assert (taken[0] != taken[1]).any()  # other beats by another seed


def test_what_it_is_given_is_what_the_networks_remember(passages: list[Passage], networks: Weights) -> None:
    """The first beats' memories do not depend on the later ones, and there is one for each network."""
    words = words_of(passages[0], networks.vocabulary)
    whole = memories(networks.layers, words)
    members, embedding = networks.layers.bias.shape
    assert whole.shape == (len(words), members, networks.layers.recurrent.shape[1] + embedding)
    assert np.array_equal(memories(networks.layers, words[:7]), whole[:7])
    assert not np.array_equal(whole[0], whole[1])


def told_twice(p: Passage, **changes: Any) -> Passage:
    """A passage whose beats and rhythm a reader has told."""
    half = len(p.samples) // 2
    beats = [(int(sample), CLASSES[max(label, 0)], "") for sample, label in zip(p.samples, p.labels, strict=True)]
    marks = [(int(p.samples[0]), "+", "(N"), (int(p.samples[half]), "+", "(AFIB")]
    at, symbols, notes = zip(*sorted(marks + beats), strict=True)
    return replace(p, reference=Annotations.of(at, symbols, notes=notes), **changes)


def test_rhythms_are_cross_validated_in_hearts_the_head_was_not_fitted_to(
    passages: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in hearts that are in no part, since their beats are not judged: of those a part is left out of its own."""
    met: list[set[str]] = []

    def fitting(given: list[Passage], *args: Any) -> RhythmHead:
        met.append({p.subject for p in given})
        return fit_rhythms(given, *args)

    monkeypatch.setattr("model.cross_validation.fit_rhythms", fitting)
    scored = [told_twice(p) for p in passages[:4]]
    only = [replace(p, database="vfdb") for p in passages[:2]]  # rhythms alone
    unscored = [told_twice(p, database="cpsc2021", record=f"data_{i // 2}_{i}") for i, p in enumerate(passages)]
    swapped = [replace(p, kind="swap") for p in scored]
    given = [*scored, *only, *unscored, *swapped]
    assert not any(p.scored or p.rhythm_only for p in unscored)
    everything = Tables.empty()
    for number, tables in enumerate(cross_validate(given, config(held_out=0.0), 2)):
        subjects = {p.subject for p in given if f"{p.database}/{p.record}" in tables.rhythms}
        assert {subject.split("/")[0] for subject in subjects} == {"test", "vfdb", "cpsc2021"}
        assert not met[number] & subjects
        assert met[number] | subjects == {p.subject for p in given}
        assert not everything.rhythms.keys() & tables.rhythms.keys()
        everything.add(tables)
    assert everything.rhythms.keys() == {f"{p.database}/{p.record}" for p in given}
    told = rhythm_figures(everything.rhythms.values())
    assert told["(AFIB"]["beats"] == sum(int((rhythm_labels(p) == AF).sum()) for p in [*scored, *only, *unscored])
    assert told["(AFIB"]["Se"] > 90.0  # it is plain to see; no head that is silent finds it
    assert everything.of("cpsc2021").rhythms.keys() == {f"cpsc2021/{p.record}" for p in unscored}


def test_figures_of_rhythms_are_of_rows_and_of_columns() -> None:
    some = [np.array([[50, 10], [4, 6]]), np.array([[0, 0], [6, 24]])]
    assert rhythm_figures(some) == {"(AFIB": {"beats": 40, "Se": 75.0, "+P": 75.0}}
    assert rhythm_figures(some[:1])["(AFIB"] == {"beats": 10, "Se": 60.0, "+P": 37.5}
    assert rhythm_figures([np.array([[3, 0], [0, 0]])])["(AFIB"] == {"beats": 0, "Se": None, "+P": None}


def test_the_model_that_ships_tells_rhythms() -> None:
    reader = Reader.load()
    assert reader.card["rhythms"]["told"] == list(RHYTHMS[1:])
    assert reader.card["rhythms"]["command"] == "telebeat train --rhythms-of MODEL"
    assert not same(reader.weights.rhythm, RhythmHead.silent(reader.weights.layers))
