"""What is learned with torch and scikit-learn is what runs without them."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, pairwise, product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from detector.types import LEADS
from model import dataset
from model.codes import CLASSES
from model.dataset import LABEL_OF, UNLABELLED, Passage, label, sentences_of
from model.ec57 import CLASS_OF, Annotations
from model.letters import ALPHABET, TEXT, text_of
from model.lstm import classify_sequence, tanh
from model.noise import KINDS
from model.store import sizes_of
from model.strip import Strip
from model.variants import CHANGED, MOVED_S, Noise, changed
from model.vocabulary import GRAMS, learn, shape_word, tfidf, vectorizer_of
from model.words import FIELDS, RR, SURE, SURE_LATELY, WORDS
from stream.errors import SettingsError
from tests.model.hearts import heart

pytestmark = pytest.mark.train


def strip_of(kinds: str, rr: Any, seed: int = 0) -> tuple[Strip, Any]:
    mv, peaks = heart(kinds, rr, seed=seed)
    return Strip(250.0, np.rint(mv * 1000).astype(np.int16), np.full(LEADS, 1e-3)), peaks


def passage_of(record: str, seed: int) -> Passage:
    rng = np.random.default_rng(seed)
    kinds = "".join(rng.choice(list("NNNNNSV"), 150))
    rr = np.array([200] + [140 if kind in "SV" else 230 if before == "V" else 200 for before, kind in pairwise(kinds)])
    strip, peaks = strip_of(kinds, rr, seed)
    samples, texts, values, levels = sentences_of(strip)
    nearest = np.abs(samples[:, None] - peaks).argmin(axis=1)
    labels = np.array([CLASSES.index(kinds[i]) for i in nearest], np.int8)
    labels[np.abs(samples - peaks[nearest]) > 37] = UNLABELLED
    reference = Annotations.of(peaks, kinds)
    return Passage("test", record, "plain", 250.0, samples, texts, values, levels, labels, reference)


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    return [passage_of(str(number), number) for number in range(6)]


def config(**changes: Any) -> Any:
    from model.train import TrainingConfig

    small = {
        "clusters": 12,
        "ngrams": 128,
        "embedding": 16,
        "hidden": 12,
        "last_hidden": 10,
        "epochs": 3,
        "batch_size": 3,
        "members": 2,
        "held_out": 0.3,
    }
    return TrainingConfig(**(small | changes))


def arrays_equal(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, b) for p, q in zip(one, other, strict=True) for a, b in zip(p, q, strict=True))


def test_tfidf_equals_scikit_learn() -> None:
    rng = np.random.default_rng(5)
    shares = [0.03, 0.05, 0.07, 0.1, 0.5, 0.1, 0.07, 0.03, 0.03, 0.02]
    texts = np.array(rng.choice(len(ALPHABET), (400, TEXT), p=shares), np.uint8)
    vocabulary = learn(texts, 9, 200, 1)
    matrix = vectorizer_of(200).fit_transform([text_of(text) for text in texts]).toarray()
    terms, weights = np.empty(GRAMS, np.int32), np.empty(GRAMS)
    for text, expected in zip(texts, matrix, strict=True):
        count = tfidf(vocabulary, text, terms, weights)
        vector = np.zeros(matrix.shape[1])
        vector[terms[:count]] = weights[:count]
        np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-6)
        distances = ((vocabulary.centres - expected[:, None]) ** 2).sum(axis=0)
        assert distances[shape_word(vocabulary, text)] <= distances.min() + 1e-9


def test_step_equals_torch() -> None:
    import torch

    from model.network import Network, NetworkConfig
    from model.train import export

    torch.manual_seed(3)
    sizes = sizes_of(12)
    random = np.random.default_rng(0)
    words = random.integers(0, sizes, (300, len(sizes)))
    follows = random.random(300) < 0.9
    for again, members, (embedding, hidden) in product((0, 18), (1, 2), ((24, 20), (48, 50))):
        config = NetworkConfig(sizes, embedding, hidden, last_hidden=again)
        networks = [Network(config).eval() for _ in range(members)]
        both = classify_sequence(export(networks, None).layers, words, follows)  # type: ignore[arg-type]
        with torch.no_grad():
            said = [network(torch.from_numpy(words)[None], network.start(1)) for network in networks]
        first, last = (torch.stack([each[word][0] for each in said]).mean(dim=0) for word in (0, 1))
        known = torch.softmax(first, 1).numpy()
        np.testing.assert_allclose(both.first, known, rtol=0, atol=1e-5)
        known[:-1][follows[1:]] = torch.softmax(last[1:], 1).numpy()[follows[1:]]
        np.testing.assert_allclose(both.last, known, rtol=0, atol=1e-5)


@given(st.floats(-(2.0**100), 2.0**100, width=32))
@example(0.0)
@example(-0.0)
@example(1e-30)
def test_tanh_is_the_hyperbolic_tangent(x: float) -> None:
    assert tanh(np.float32(x)) == pytest.approx(np.tanh(x), rel=1e-6, abs=1e-37)


def test_chunks_go_on_where_the_last_ended() -> None:
    import torch

    from model.network import Network, NetworkConfig

    torch.manual_seed(4)
    sizes = sizes_of(12)
    network = Network(NetworkConfig(sizes, 24, 20, last_hidden=18)).eval()
    words = torch.from_numpy(np.random.default_rng(1).integers(0, sizes, (2, 90, len(sizes))))
    with torch.no_grad():
        whole = network(words, network.start(2))
        one = network(words[:, :37], network.start(2))
        other = network(words[:, 37:], one[2])
    for k in range(2):
        torch.testing.assert_close(torch.cat([one[k], other[k]], dim=1), whole[k])


@pytest.mark.parametrize(("batch_size", "bptt_length"), [(1, 16), (2, 16), (4, 7), (9, 200)])
def test_a_sequence_is_read_side_by_side_with_others_as_it_is_alone(
    passages: list[Passage], batch_size: int, bptt_length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from model.train import Trainer

    still: dict[str, Any] = dict.fromkeys(
        ("dropout", "level_jitter", "word_dropout", "field_dropout", "learning_rate", "held_out"), 0.0
    )
    trainer = Trainer(passages, config(batch_size=batch_size, bptt_length=bptt_length, members=1, **still))
    lengths = (5, 90, 33, 1, 64, 0)
    trainer.words = [words[:length] for words, length in zip(trainer.words, lengths, strict=True)]
    trainer.labels = [labels[:length] for labels, length in zip(trainer.labels, lengths, strict=True)]

    def read(*sequences: int) -> tuple[float, float]:
        monkeypatch.setattr(trainer, "order", lambda: list(sequences))
        return trainer._round(trainer.members[0], 0)

    alone = [read(i) for i in range(6)]
    loss, steps = read(3, 1, 5, 0, 2, 4)
    assert steps == sum(count for _, count in alone) == sum(int((part != UNLABELLED).sum()) for part in trainer.labels)
    assert loss == pytest.approx(sum(each for each, _ in alone), rel=1e-5)


def test_the_last_word_is_taught_by_the_beat_that_follows(passages: list[Passage]) -> None:
    from model.train import training_labels

    passage = replace(passages[0], values=passages[0].values.copy())
    passage.values[9, RR] = np.nan
    labels = training_labels(passage)
    assert np.array_equal(labels[:, 0], passage.labels)
    assert labels[0, 1] == labels[9, 1] == UNLABELLED
    assert np.array_equal(np.delete(labels[1:, 1], 8), np.delete(passage.labels[:-1], 8))


def test_training_is_repeatable_and_resumes(passages: list[Passage], tmp_path: Path) -> None:
    from model.train import Trainer

    straight = Trainer(passages, config(), tmp_path / "straight")
    weights = straight.run()
    assert not np.array_equal(weights.layers.embed[0], weights.layers.embed[1]), "members are trained apart"
    again = Trainer(passages, config(), tmp_path / "again")

    class Interrupted(Exception):  # noqa: N818 - no error
        pass

    def stop(line: Any) -> None:
        if line.epoch == 2:
            raise Interrupted

    again.report = stop
    with pytest.raises(Interrupted):
        again.run()
    resumed = Trainer(passages, config(), tmp_path / "again")
    assert arrays_equal(weights, resumed.run())
    assert (tmp_path / "straight" / "curve.csv").read_text() == (tmp_path / "again" / "curve.csv").read_text()


def test_a_checkpoint_of_other_words_is_not_gone_on_from(passages: list[Passage], tmp_path: Path) -> None:
    """Its network would read words of another vocabulary, in which the same number says something else."""
    from model.train import Trainer

    Trainer(passages[1:], config(), tmp_path).run()
    other = Trainer(passages, config(), tmp_path)
    assert arrays_equal(other.run(), Trainer(passages, config()).run())


@pytest.mark.parametrize(
    "line",
    [
        "seed = -1",
        "members = 0",
        "members = 7",
        "hidden = 193",
        "embedding = 0",
        'variants = ["swop"]',
        "pseudo_label_from = [0.9]",
        "batch_size = 0",
        "bptt_length = 0",
        "epochs = 0",
        "held_out = -1",
        "dropout = 1.0",
        "learning_rate = nan",
        "class_weights = [1, 1]",
        "class_weights = [1, 1, 1, 0, 1]",
        'class_weights = ["a"]',
        "databases = [1]",
    ],
)
def test_what_cannot_be_is_refused_before_an_hour_of_training(line: str, tmp_path: Path) -> None:
    from model.train import TrainingConfig
    from stream.training import configured

    file = tmp_path / "config.toml"
    file.write_text(f"{line}\n")
    with pytest.raises(SettingsError, match=rf"config\.toml: .*{line.split(maxsplit=1)[0].rstrip('s')}"):
        configured(TrainingConfig(), file)


def test_a_configuration_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    from model.train import TrainingConfig
    from stream.training import configured

    file = tmp_path / "config.toml"
    file.write_bytes("epochs = 1\n".encode("utf-16"))
    with pytest.raises(SettingsError, match=r"config\.toml is no TOML in UTF-8"):
        configured(TrainingConfig(), file)
    file.write_text("epochs = 1\n", "utf-8-sig")  # as some editors write UTF-8: with a mark before it
    assert configured(TrainingConfig(), file).epochs == 1


def test_what_is_taught_does_not_hang_on_how_many_threads_torch_was_given(passages: list[Passage]) -> None:
    import torch

    from model.train import Trainer

    given = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        Trainer(passages, config())
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(given)


def test_subjects_are_never_on_both_sides(passages: list[Passage]) -> None:
    from model.train import Trainer, split

    trainer = Trainer(passages, config())
    assert trainer.held_out
    assert {p.subject for p in trainer.training}.isdisjoint(trainer.held_out)
    subjects = [f"{database}/{i}" for database in "ab" for i in range(11)]
    parts = split(subjects, 4, 0)
    assert sorted(chain.from_iterable(parts)) == sorted(subjects)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_it_learns(passages: list[Passage]) -> None:
    from model.train import Trainer, read_passage

    weights = Trainer(passages[:5], config(epochs=20, held_out=0.0)).run()
    answer = read_passage(passages[5], weights).last.argmax(axis=1)
    known = passages[5].labels != UNLABELLED
    assert (answer == passages[5].labels)[known].mean() > 0.85  # five in seven are normal


def test_escape_beats_alone_are_not_taught() -> None:
    assert set(CLASS_OF) - set(LABEL_OF) == set("ejn")
    assert all(CLASS_OF[symbol] == label for symbol, label in LABEL_OF.items())


def noise() -> Noise:
    """Three recordings of the same kind."""
    rng = np.random.default_rng(0)
    return Noise({name: rng.normal(0, 0.1, (5000, 2)).astype(np.float32) for name in KINDS}, 250.0)


@pytest.mark.parametrize("kind", CHANGED)
def test_variants_keep_the_beats(kind: str) -> None:
    strip, peaks = strip_of("N" * 30, 200)
    reference = Annotations.of(peaks, "N" * len(peaks))
    samples = sentences_of(changed(strip, kind, reference, noise(), np.random.default_rng(4)))[0]
    missed = [peak for peak in peaks[5:] if np.abs(samples - peak).min() > 37]
    assert len(missed) <= 3


@pytest.mark.parametrize("seed", range(4))
def test_noise_comes_and_goes_where_electrodes_are_moved(seed: int) -> None:
    strip, peaks = strip_of("N" * 700, 200)
    reference = Annotations.of(peaks, "N" * len(peaks))
    moved = changed(strip, "moved", reference, noise(), np.random.default_rng(seed))
    same = np.abs(np.diff(moved.mv - strip.mv, axis=0)).max(axis=1) < 2e-3  # all but its step
    second = same[: len(same) // 250 * 250].reshape(-1, 250).mean(axis=1)
    quiet = np.flatnonzero(second > 0.99)
    assert 0 < len(quiet) < len(second)
    turns = np.count_nonzero(np.diff(np.isin(np.arange(len(second)), quiet).astype(int)))
    assert turns <= len(second) / MOVED_S[0] + 1


def test_noise_is_measured_against_normal_beats() -> None:
    kinds = "NNNV" * 60
    strip, peaks = strip_of(kinds, 200)
    lot = np.random.default_rng
    whole = changed(strip, "moved", Annotations.of(peaks, kinds), noise(), lot(0))
    of_normal = Annotations.of([peak for peak, kind in zip(peaks, kinds, strict=True) if kind == "N"], "N" * 180)
    assert np.array_equal(whole.samples, changed(strip, "moved", of_normal, noise(), lot(0)).samples)
    paced = changed(strip, "moved", Annotations.of(peaks, "/" * len(peaks)), noise(), lot(0))
    assert np.abs(paced.mv - strip.mv).max() > 0.05


def test_without_recordings_nothing_is_added() -> None:
    strip, peaks = strip_of("N" * 30, 200)
    reference = Annotations.of(peaks, "N" * len(peaks))
    for kind in ("noise", "moved"):
        assert changed(strip, kind, reference, None, np.random.default_rng(0)) is strip
    no_recording = Noise({"bw": noise().mv["bw"]}, 250.0)
    moved = changed(strip, "moved", reference, no_recording, np.random.default_rng(0))
    assert np.abs(moved.mv - strip.mv).max() < 1e-3


@pytest.mark.parametrize(("record", "kinds"), [("117", {"em", "ma"}), ("118", {"ma"}), ("119", {"ma"})])
@pytest.mark.parametrize("kind", ["noise", "moved"])
def test_the_mixes_that_are_held_out_are_not_made(
    record: str, kinds: set[str], kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[set[str]] = []
    strip, peaks = strip_of("N" * 5, 200)

    def spy(strip: Strip, kind: str, reference: Annotations, noise: Noise | None, rng: Any) -> Strip:
        assert noise is not None
        given.append(set(noise.mv))
        return strip

    monkeypatch.setattr(dataset, "read_strip", lambda _: strip)
    monkeypatch.setattr(dataset, "read", lambda *_: Annotations.of(peaks, "N" * len(peaks)))
    monkeypatch.setattr(dataset, "read_noise", lambda _: noise().without("bw"))
    monkeypatch.setattr(dataset, "changed", spy)
    dataset.passage(Path("mitdb"), record, kind, noise_folder=tmp_path)
    assert given == [kinds]


def test_what_nobody_marked_is_no_class_unless_nobody_looked() -> None:
    reference = Annotations.of([250, 500, 600, 900, 1000, 1250, 4000], "NV[]jNN")
    found = np.array([251, 370, 500, 700, 1000, 1250, 1900, 2200, 4000])
    names = [CLASSES[k] if k != UNLABELLED else "-" for k in label(found, reference, 250.0)]
    # found near N; nothing; V; in fibrillation; an escape beat; N; near the last one marked; far from it
    assert names == ["N", "Q", "V", "-", "-", "N", "Q", "-", "N"]
    assert (label(found, Annotations.of([], ""), 250.0) == UNLABELLED).all()


def test_given_beats_are_read_as_found_ones_are() -> None:
    strip, peaks = strip_of("NNNNVNNNSNNNNNNVNNNNN", 200)
    samples, texts, _, levels = sentences_of(strip)
    again = sentences_of(strip, samples)
    assert np.array_equal(samples, again[0])
    assert np.array_equal(texts, again[1])
    told = [field for field in range(FIELDS) if field not in (SURE, SURE_LATELY)]  # nobody has found a given beat
    assert np.array_equal(levels[:, told], again[3][:, told])
    assert (again[3][:, [SURE, SURE_LATELY]] == [WORDS[SURE].levels, WORDS[SURE_LATELY].levels]).all()
    assert np.array_equal(sentences_of(strip, peaks)[0], peaks)
    assert len(sentences_of(strip, peaks[:0])[0]) == 0


def test_swapped_leads_swap_their_texts() -> None:
    strip, _ = strip_of("N" * 20, 200)
    rng = np.random.default_rng(0)
    samples, texts, *_ = sentences_of(strip)
    swapped, other, *_ = sentences_of(changed(strip, "swap", Annotations.of([], ""), None, rng))
    if np.array_equal(samples, swapped):
        assert np.array_equal(texts, other[:, ::-1])
    assert abs(len(samples) - len(swapped)) <= 2
