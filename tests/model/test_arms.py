"""Ablations and baselines: each takes out what it says and nothing else, and all are judged by one scorer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from detector.types import LEADS
from model.codes import CLASSES
from model.cross_validation import cross_validate
from model.dataset import UNLABELLED, Passage
from model.ec57 import Annotations
from model.evaluation import baselines
from model.evaluation.ablated import FUTURE, SCALE, AblatedTrainer, future_words
from model.evaluation.ablation import KIND_WORDS, RR_WORDS, WHOLE, Ablation, withheld
from model.evaluation.arms import ARMS, ProbabilityCache, digest, run
from model.evaluation.judging import judge, key, spread, summary
from model.lstm import classify_sequence
from model.network import Network, NetworkConfig, StatelessNetwork
from model.store import sizes_of
from model.train import Trainer, TrainingConfig, export, read_passage, words_of
from model.words import WORDS
from tests.model.test_training import arrays_equal, config, passage_of

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    return [passage_of(str(number), number) for number in range(6)]


@pytest.fixture(scope="module")
def whole(passages: list[Passage]) -> Trainer:
    trainer = Trainer(passages, config())
    trainer.run()
    return trainer


def test_the_whole_language_is_what_the_shipped_trainer_learns(passages: list[Passage], whole: Trainer) -> None:
    same = AblatedTrainer(passages, config(), WHOLE)
    assert arrays_equal(same.run(), whole.weights())
    assert arrays_equal([same.read(passages[0])], [read_passage(passages[0], whole.weights())])


@pytest.mark.parametrize(
    ("ablation", "names"),
    [(Ablation(silent=RR_WORDS), RR_WORDS), (Ablation(silent=KIND_WORDS), KIND_WORDS), (Ablation(text=False), ())],
)
def test_withheld_words_are_gone_and_all_others_stay(
    passages: list[Passage], whole: Trainer, ablation: Ablation, names: tuple[str, ...]
) -> None:
    vocabulary = whole.vocabulary
    before, after = (words_of(p, vocabulary) for p in (passages[0], withheld(passages[0], ablation)))
    unknown = np.array(sizes_of(len(vocabulary.norms))) - 1
    gone = np.array([not ablation.text] * LEADS + [word.name in names for word in WORDS])
    assert (after[:, gone] == unknown[gone]).all()
    assert (before[:, gone] != unknown[gone]).any()
    assert np.array_equal(before[:, ~gone], after[:, ~gone])


def test_rr_words_are_all_that_speak_of_time() -> None:
    assert {"rr", "rr/own", "rr/usual", "jitter", "last/own", "shorter", "turns"} <= set(RR_WORDS)
    assert set(KIND_WORDS) <= {word.name for word in WORDS}
    assert len(KIND_WORDS) == 7


def test_without_state_no_beat_knows_of_another() -> None:
    import torch

    torch.manual_seed(0)
    sizes = sizes_of(12)
    network = StatelessNetwork(NetworkConfig(sizes, 16, 12, last_hidden=8)).eval()
    words = np.random.default_rng(0).integers(0, sizes, (40, len(sizes)))
    order = np.random.default_rng(1).permutation(40)
    layers = export([network], None).layers  # type: ignore[arg-type]
    follows = np.ones(40, np.bool_)
    alone = classify_sequence(layers, words, follows, alone=True)
    assert np.array_equal(alone.first[order], classify_sequence(layers, words[order], follows, alone=True).first)
    assert np.array_equal(alone.first[:1], classify_sequence(layers, words[:1], follows).first)
    assert not np.allclose(alone.first, classify_sequence(layers, words, follows).first)
    with torch.no_grad():
        first, last, memory = network(torch.from_numpy(words)[None], network.start(1))
        remembering = Network.remember(network, torch.randn(1, 40, 16), network.start(1))[0]
        forgetting = network.remember(torch.randn(1, 40, 16), network.start(1))[0]
    np.testing.assert_allclose(alone.first, torch.softmax(first[0], 1).numpy(), rtol=0, atol=1e-5)
    np.testing.assert_allclose(alone.last[:-1], torch.softmax(last[0, 1:], 1).numpy(), rtol=0, atol=1e-5)
    assert remembering.shape == forgetting.shape
    assert not memory.h.any()


def test_future_words_tell_the_interval_behind(passages: list[Passage]) -> None:
    passage = passages[0]
    said = future_words(passage)
    assert said.shape == (len(passage.samples), FUTURE)
    assert (said[-1] == SCALE.levels).all()
    rr = np.diff(passage.samples)
    ratio = rr[1:] / rr[:-1]
    longer, shorter = said[1:-1, 0][ratio > 1.2], said[1:-1, 0][ratio < 0.8]
    assert len(longer)
    assert len(shorter)
    assert longer.min() > shorter.max()
    earlier = replace(passage, samples=passage.samples[:-1], values=passage.values[:-1])
    assert np.array_equal(future_words(earlier)[:-1], said[:-2])


@pytest.mark.parametrize("arm", ARMS, ids=lambda arm: arm.name)
def test_every_arm_reads_every_record_once_unseen(passages: list[Passage], tmp_path: Path, arm: Any) -> None:
    small = config(epochs=1)
    readings = list(run(arm, passages, small, 2, tmp_path))
    assert sorted(name for part in readings for name in part) == sorted(map(key, passages))
    together = {name: reading for part in readings for name, reading in part.items()}
    judged = judge(passages, together, 10.0)
    assert set(judged.tables) == set(together)
    for p in passages:
        assert together[key(p)].shape == (len(p.samples), len(CLASSES))
        np.testing.assert_allclose(together[key(p)].sum(axis=1), 1, atol=1e-5)
    figures = judged.figures
    assert np.array_equal(figures.counts, judged.gross.counts[:5, :5])
    told = summary(judged.gross, figures)
    assert told["accuracy"] == figures.accuracy
    assert sum(table.counts.sum() for table in judged.tables.values()) == judged.gross.counts.sum()


def test_cross_validation_leaves_what_the_arm_whole_would_read(passages: list[Passage], tmp_path: Path) -> None:
    small = replace(config(), held_out=0.0, epochs=1)
    kept = ProbabilityCache(tmp_path, passages, 2)
    said: list[dict[str, Any]] = []

    def keep(number: int, chosen: TrainingConfig, words: dict[str, Any]) -> None:
        kept.put(ARMS[0].name, number, chosen, words)
        said.append(words)

    cross_validate(passages, small, 2, keep=keep)
    fresh = list(run(ARMS[0], passages, small, 2))
    found = list(run(replace(ARMS[0], fit=baselines.rules), passages, small, 2, tmp_path))  # type: ignore[arg-type]
    for one, other, kept_one in zip(said, fresh, found, strict=True):
        assert one.keys() == other.keys() == kept_one.keys()
        assert all(np.array_equal(one[n], other[n]) and np.array_equal(one[n], kept_one[n]) for n in one)


def test_cross_validation_judges_unseen_hearts_amid_noise(passages: list[Passage]) -> None:
    small = replace(config(), held_out=0.0, epochs=1)
    moved = [
        replace(p, kind="moved", labels=np.full_like(p.labels, UNLABELLED)) for p in passages
    ]  # nothing to learn from
    for tables in cross_validate([*passages, *moved], small, 2):
        assert tables.moved.keys() == tables.last.keys()
        assert all(np.array_equal(tables.moved[name].counts, tables.last[name].counts) for name in tables.last)
    assert not any(tables.moved for tables in cross_validate(passages, small, 2))


def test_readings_are_kept_and_made_anew_for_other_words(
    passages: list[Passage], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = next(arm for arm in ARMS if arm.name == "rules")
    sizes: list[int] = []

    def counting(fitted: Any, *_: Any) -> Any:
        sizes.append(len(fitted))
        return baselines.rules

    arm = replace(rules, fit=counting)
    first = list(run(arm, passages, config(), 3, tmp_path))
    again = list(run(arm, passages, config(), 3, tmp_path))
    assert sizes == [4, 4, 4]
    for one, other in zip(first, again, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in one)
    changed = [replace(passages[0], labels=np.roll(passages[0].labels, 1)), *passages[1:]]
    assert digest(changed) != digest(passages)
    marks = [replace(passages[0], reference=Annotations.of([0], "+", notes=[note])) for note in ("(VT", "(N")]
    assert digest(marks[:1]) != digest(marks[1:])  # rhythms count, too
    list(run(arm, changed, config(), 3, tmp_path))
    list(run(arm, passages, config(seed=8), 3, tmp_path))
    assert len(sizes) == 9


@pytest.mark.parametrize("name", ["logistic", "boosting"])
def test_a_fitted_baseline_learns_what_is_plain(passages: list[Passage], name: str) -> None:
    arm = next(arm for arm in ARMS if arm.name == name)
    read = arm.fit(passages[:5], config(), lambda _: None)
    answer = read(passages[5]).argmax(axis=1)
    known = passages[5].labels != UNLABELLED
    assert (answer == passages[5].labels)[known].mean() > 0.85
    nobody = replace(
        passages[5], samples=passages[5].samples[:0], values=passages[5].values[:0], labels=passages[5].labels[:0]
    )
    assert read(nobody).shape == (0, len(CLASSES))


@pytest.mark.parametrize("name", ["logistic", "boosting"])
@pytest.mark.parametrize("only", [0, 2, UNLABELLED])
def test_a_fold_of_one_class_makes_a_baseline_that_says_nothing_else(
    passages: list[Passage], name: str, only: int
) -> None:
    arm = next(arm for arm in ARMS if arm.name == name)
    one = [replace(p, labels=np.full_like(p.labels, only)) for p in passages[:2]]
    said = arm.fit(one, config(), lambda _: None)(passages[5])
    assert said.shape == (len(passages[5].samples), len(CLASSES))
    assert (said == np.eye(len(CLASSES))[max(only, 0)]).all()


def test_rules_know_a_broad_early_beat(passages: list[Passage]) -> None:
    said = baselines.rules(passages[0])
    labels = passages[0].labels
    v = CLASSES.index("V")
    assert (said.argmax(axis=1) == v)[20:][labels[20:] == v].mean() > 0.8
    assert (said.argmax(axis=1) == v)[20:][labels[20:] == 0].mean() < 0.1


def test_a_record_without_beats_is_all_missed(passages: list[Passage]) -> None:
    p = passages[0]
    silent = replace(
        p, samples=p.samples[:0], texts=p.texts[:0], values=p.values[:0], levels=p.levels[:0], labels=p.labels[:0]
    )
    judged = judge([silent], {key(silent): np.zeros((0, 5), np.float32)}, 0.0)
    assert judged.gross.true_positives == 0
    assert judged.gross.false_negatives > 100
    assert judged.figures.accuracy is None
    assert summary(judged.gross, judged.figures)["veb_se"] == 0


def test_a_reading_is_paired_as_the_reference_has_it(passages: list[Passage]) -> None:
    p = passages[0]
    perfect = np.eye(5, dtype=np.float32)[np.where(p.labels == UNLABELLED, 0, p.labels)]
    exact = replace(p, reference=Annotations.of(p.samples, [CLASSES[k] for k in perfect.argmax(axis=1)]))
    judged = judge([exact], {key(exact): perfect}, 0.0)
    assert judged.figures.accuracy == 100
    assert summary(judged.gross, judged.figures)["veb_f1"] == 100


def test_spread_is_over_folds_that_have_a_figure() -> None:
    assert spread([{"a": 1.0}, {"a": None}, {"a": 3.0}], "a") == pytest.approx(2**0.5)
    assert spread([{"a": 1.0}], "a") is None
