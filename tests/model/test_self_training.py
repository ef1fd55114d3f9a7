"""Hearts that nobody has annotated get the labels a network trained on annotated ones is sure of, and no others."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from rich.console import Console

from detector.types import LEADS
from model import self_training
from model.codes import CLASSES
from model.cross_validation import Tables, called_ventricular, cross_validate, folds
from model.dataset import UNLABELLED, Passage, records_of, without_annotation
from model.ec57 import Annotations
from model.self_training import FIRST, labelled, rhythms, self_train
from model.train import Trainer
from model.variants import CHANGED
from stream.errors import RecordError, SettingsError
from stream.training import LeftOut, configured, folder_of, load_passages, records_in
from tests.model.hearts import heart
from tests.model.test_training import arrays_equal, config, passage_of

pytestmark = pytest.mark.train

RATE = 250.0
ROUNDS = 9  # as many as it takes to tell normal from ventricular beats
SURE = (0.9, 0.6, 0.9, 0.9, 0.9)
N, S, V, Q = (CLASSES.index(name) for name in "NSVQ")


def unannotated(p: Passage, kind: str = "plain") -> Passage:
    """A passage as it would be had nobody read its record."""
    labels = np.full_like(p.labels, UNLABELLED)
    return replace(p, database="other", kind=kind, labels=labels, reference=Annotations.of([], ""))


@pytest.fixture(scope="module")
def passages() -> list[Passage]:
    return [passage_of(str(number), number) for number in range(6)]


@pytest.fixture(scope="module")
def others() -> list[Passage]:
    return [unannotated(passage_of(str(number), number)) for number in range(20, 23)]


def small(**changes: Any) -> Any:
    return replace(
        config(), **{"held_out": 0.0, "epochs": ROUNDS, "pseudo_label_from": (0.6,) * len(CLASSES), **changes}
    )


def said(classes: list[int], surely: float) -> Any:
    """What reads every passage so, beat by beat, and with this probability."""
    rows = np.full((len(classes), len(CLASSES)), (1 - surely) / (len(CLASSES) - 1), np.float32)
    rows[np.arange(len(classes)), classes] = surely
    return lambda passage: rows[: len(passage.samples)]


def test_what_was_said_surely_is_taught_and_nothing_else(others: list[Passage]) -> None:
    p = others[0]
    classes = [N, S, V, N, CLASSES.index("F"), Q] * len(p.samples)
    classes = classes[: len(p.samples)]
    assert labelled([p], said(classes, 0.95), SURE)[0].labels.tolist() == classes
    assert set(labelled([p], said(classes, 0.55), SURE)[0].labels) == {UNLABELLED}
    of_s = [S if told == S else UNLABELLED for told in classes]  # asks less of them than of all others
    assert labelled([p], said(classes, 0.85), SURE)[0].labels.tolist() == of_s


def test_a_variant_is_taught_what_was_said_of_the_record_as_it_is(others: list[Passage]) -> None:
    p = others[0]
    n = len(p.samples)
    classes = [N, V, S] * n
    extra = np.sort(
        np.append(p.samples[1:], p.samples[n // 2] + int(0.4 * RATE))
    )  # the first is not found, one is noise
    variant = replace(p, kind="noise", samples=extra, texts=p.texts, values=p.values, levels=p.levels)
    plain, noisy = labelled([p, variant], said(classes, 0.95), SURE)
    at = dict(zip(plain.samples.tolist(), plain.labels.tolist(), strict=True))
    assert noisy.labels.tolist() == [at.get(sample, Q) for sample in extra.tolist()]
    unsure = labelled([p, variant], said(classes, 0.5), SURE)[
        1
    ]  # what has no partner among its beats is noise all the same
    assert unsure.labels.tolist() == [UNLABELLED if sample in at else Q for sample in extra.tolist()]


def test_what_a_reader_has_said_of_the_rhythm_comes_first(others: list[Passage]) -> None:
    p = others[0]
    n = len(p.samples)
    marks = [int(p.samples[n // 7 * k]) for k in range(1, 7)]
    notes = ["(VT", "(N", "(VFL", "(NOISE", "(AFIB", "(PM"]
    marked = replace(p, reference=Annotations.of(marks, "+" * 6, notes=notes))
    assert marked.rhythm_only
    bracketed = replace(p, reference=Annotations.of([marks[0], marks[2]], "[]"))
    assert bracketed.rhythm_only
    assert rhythms(bracketed) == ["(VF" if marks[0] <= sample < marks[2] else "" for sample in p.samples]
    assert not marked.annotated
    assert not marked.scored
    assert not p.rhythm_only
    at = np.searchsorted(marks, p.samples, side="right")
    assert rhythms(marked) == [["", *notes][k] for k in at]
    sure = labelled([marked], said([S] * n, 0.95), SURE)[0].labels
    assert sure.tolist() == [[S, V, S, UNLABELLED, Q, S, UNLABELLED][k] for k in at]
    unsure = labelled([marked], said([S] * n, 0.3), SURE)[0].labels
    assert unsure.tolist() == [{1: V, 4: Q}.get(int(k), UNLABELLED) for k in at]


def test_waves_of_a_tachycardia_that_are_found_elsewhere_in_a_variant_are_no_noise(others: list[Passage]) -> None:
    p = others[0]
    n = len(p.samples)
    marks = [int(p.samples[n // 5 * k]) for k in range(5)]
    marked = replace(p, reference=Annotations.of(marks, "+" * 5, notes=["(N", "(VT", "(VFIB", "(ASYS", "(PM"]))
    shifted = np.sort(p.samples + np.where(np.arange(n) % 2, int(0.3 * RATE), 0))  # every other one has no partner
    variant = replace(marked, kind="single", samples=shifted)
    labels = labelled([marked, variant], said([N] * n, 0.95), SURE)[1].labels
    known = {rhythm: set(labels[np.array(rhythms(variant)) == rhythm]) for rhythm in ("(VT", "(VFIB", "(ASYS", "(PM")}
    assert known == {"(VT": {V, UNLABELLED}, "(VFIB": {UNLABELLED}, "(ASYS": {Q}, "(PM": {UNLABELLED}}
    assert Q in labels[np.array(rhythms(variant)) == "(N"]


def test_a_record_without_beats_teaches_nothing(others: list[Passage]) -> None:
    silent = replace(others[0], samples=np.zeros(0, np.int64))
    assert labelled([silent, replace(others[0], kind="swap")], said([N] * 999, 0.95), SURE) == []


def test_without_such_hearts_there_is_one_teaching(passages: list[Passage], tmp_path: Path) -> None:
    once = Trainer(passages, small()).run()
    assert arrays_equal(self_train(passages, small(), tmp_path).weights(), once)
    assert not (tmp_path / FIRST).exists()


@pytest.fixture(scope="module")
def trained(passages: list[Passage], others: list[Passage]) -> Trainer:
    """What was trained twice, in one go."""
    return self_train([*passages, *others], small())


def test_the_second_network_is_trained_on_what_the_first_says(
    passages: list[Passage], others: list[Passage], trained: Trainer
) -> None:
    first = Trainer(passages, small())
    first.run()
    given = [p for p in trained.training if not p.annotated]
    assert {p.record for p in given} == {p.record for p in others}
    for p, other in zip(given, others, strict=True):
        read = first.read(other).last
        sure = read.max(axis=1) >= small().pseudo_label_from[0]
        assert np.array_equal(p.labels[sure], read[sure].argmax(axis=1))
        assert set(p.labels[~sure]) <= {UNLABELLED}
    assert {N, V, UNLABELLED} <= set(np.concatenate([p.labels for p in given]).tolist())
    mute = Trainer([*passages, *others], small())
    assert not arrays_equal(trained.weights(), mute.run())  # the words, not only that there are more passages


@pytest.mark.parametrize("stopped", [(0, 3), (ROUNDS, 2)], ids=["in the first", "in the second"])
def test_two_teachings_are_taken_up_where_they_stopped(
    passages: list[Passage], others: list[Passage], trained: Trainer, tmp_path: Path, stopped: tuple[int, int]
) -> None:
    def stop(line: Any, before: int) -> None:
        if (before, line.epoch) == stopped:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        self_train([*passages, *others], small(), tmp_path, stop)
    rounds: list[tuple[int, int]] = []
    trainer = self_train(
        [*passages, *others], small(), tmp_path, lambda line, before: rounds.append((before, line.epoch))
    )
    assert arrays_equal(trainer.weights(), trained.weights())
    whole = [(before, epoch) for before in (0, ROUNDS) for epoch in range(1, ROUNDS + 1)]
    assert rounds == whole[whole.index(stopped) :]  # the round that was cut off before it was kept is made again
    none: list[Any] = []
    again = self_train([*passages, *others], small(), tmp_path, lambda *line: none.append(line))
    assert arrays_equal(again.weights(), trained.weights())
    assert none == []


def test_tachycardias_that_only_the_rhythm_tells_are_judged_in_hearts_that_were_not_trained_on(
    passages: list[Passage], others: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    training: list[set[str]] = []

    def training_run(given: list[Passage], *args: Any) -> Trainer:
        training.append({p.subject for p in given})
        return self_train(given, *args)

    monkeypatch.setattr("model.cross_validation.self_train", training_run)
    told = [replace(p, reference=Annotations.of([0], "+", notes=["(VT"]), database="aa") for p in others]
    parts = cross_validate([*passages, *told], small(epochs=1), 3)
    alone = [{p.subject for p in judged} for _, judged, _ in folds(passages, small(), 3)]
    assert alone == [tables.last.keys() for tables in parts]  # who is judged together does not depend on them ...
    assert alone == [{p.subject for p in judged} for _, judged, _ in folds(passages, small(seed=8), 3)]  # ... nor on it
    everything = Tables.empty()
    for number, tables in enumerate(parts):
        assert not training[number] & (tables.last.keys() | tables.tachycardia.keys())
        everything.add(tables)
    assert {name: told.total for name, told in everything.tachycardia.items()} == {
        p.subject: len(p.samples) for p in told
    }
    assert everything.last.keys() == {p.subject for p in passages}
    assert everything.of("aa").tachycardia == everything.tachycardia
    assert not everything.of("aa").last
    as_v = np.tile(np.eye(len(CLASSES), dtype=np.float32)[V], (len(told[0].samples), 1))
    assert called_ventricular(told[0], as_v) == (len(as_v), len(as_v))
    late = replace(told[0], reference=Annotations.of([0, int(told[0].samples[9])], "++", notes=["(VT", "(N"]))
    assert called_ventricular(late, as_v) == (9, 9)


def test_nothing_of_a_part_reaches_what_reads_it(
    passages: list[Passage], others: list[Passage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the first nor the second training of a fold is told what its judged subjects' beats are."""
    spoken: list[set[int]] = []

    def listening(*args: Any) -> list[Passage]:
        given = labelled(*args)
        spoken.append({int(k) for p in given for k in p.labels})
        return given

    monkeypatch.setattr(self_training, "labelled", listening)

    def read(given: list[Passage]) -> list[dict[str, Any]]:
        parts: list[dict[str, Any]] = []
        cross_validate(given, small(), 2, keep=lambda _, __, some: parts.append(some))
        return parts

    before = read([*passages, *others])
    assert {name for part in before for name in part} == {f"{p.database}/{p.record}" for p in passages}
    for number in range(2):
        turned = [
            replace(p, labels=np.where(p.labels == N, V, p.labels))
            if f"{p.database}/{p.record}" in before[number]
            else p
            for p in passages
        ]
        after = read([*turned, *others])
        assert all(np.array_equal(before[number][name], after[number][name]) for name in before[number])
        other = 1 - number
        assert not any(np.array_equal(before[other][name], after[other][name]) for name in before[other])
    assert len(spoken) == 6  # three readings of two parts
    assert all({N, V} & told for told in spoken)  # the first trainings had something to say


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Two databases of one record each, of which one is annotated."""
    for seed, (database, annotated) in enumerate((("own", True), ("foreign", False))):
        mv, peaks = heart("N" * 40, 200, seed=seed)
        folder = tmp_path / database
        folder.mkdir()
        names = {"units": ["mV"] * LEADS, "sig_name": ["MLII", "V1"], "fmt": ["16"] * LEADS, "write_dir": str(folder)}
        wfdb.wrsamp("p1", RATE, p_signal=mv.astype(np.float64), **names)
        if annotated:
            wfdb.wrann("p1", "atr", peaks, ["N"] * len(peaks), fs=RATE, write_dir=str(folder))
    return tmp_path


def test_records_without_annotation_are_heard_in_the_variants_that_need_none(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.warm.compiled", lambda *_: False)
    chosen = small(databases=("own",), unannotated=("foreign/p*",), variants=("plain", "swap", "composed"))
    assert folder_of(data, chosen) == data
    records = records_in(data, chosen)
    assert [path.parent.name for path in records] == ["own", "foreign"]
    console = Console(file=io.StringIO(), record=True)
    made = load_passages(console, chosen, data, records, 1)
    assert "compiling the kernels" in console.export_text()
    assert [(p.database, p.kind) for p in made] == [
        *(("own", kind) for kind in chosen.variants),
        *(("foreign", kind) for kind in chosen.variants if kind in CHANGED),
    ]
    for p in made:
        assert p.annotated == (p.database == "own") == p.scored
        assert len(p.samples) > 30
    assert {p.database for p in load_passages(Console(quiet=True), chosen, data, records, 1, oracle=True)} == {"own"}


def test_a_record_of_which_only_the_rhythm_was_told_is_one_without_annotated_beats(data: Path) -> None:
    folder = data / "foreign"
    wfdb.wrann("p1", "atr", np.array([500]), ["+"], fs=RATE, aux_note=["(VT"], write_dir=str(folder))
    chosen = small(databases=("own",), unannotated=("foreign/p*",), variants=("plain", "composed"))
    records = records_in(data, chosen)
    assert [path.parent.name for path in records] == ["own", "foreign"]
    made = load_passages(Console(quiet=True), chosen, data, records, 1)
    assert [p.kind for p in made if p.rhythm_only] == ["plain"]
    assert made[-1].reference.notes == ("(VT",)
    with pytest.raises(RecordError, match="no annotated WFDB records"):
        records_of(folder)


@pytest.mark.parametrize("content", [b"", b"\1\2\3", b"\1\2"], ids=["empty", "odd", "cut short"])
@pytest.mark.parametrize("database", ["own", "foreign"])
def test_annotations_that_cannot_be_read_are_named_and_the_others_used(
    database: str, content: bytes, data: Path
) -> None:
    for suffix in ("hea", "dat", "atr"):  # a second record beside it, which is whole
        if (file := data / database / f"p1.{suffix}").exists():
            copy = file.read_bytes()
            file.with_name(f"p2.{suffix}").write_bytes(copy.replace(b"p1", b"p2") if suffix == "hea" else copy)
    (data / database / "p1.atr").write_bytes(content)
    chosen = small(databases=("own",), unannotated=("foreign/p*",), variants=("plain",))
    with pytest.raises(RecordError, match=r"p1\.atr"):
        records_in(data, chosen)  # nobody is there to be told
    console = Console(file=io.StringIO(), record=True, width=500)
    left_out = LeftOut(console)
    records = records_in(data, chosen, left_out)
    assert data / database / "p1" not in records
    assert data / database / "p2" in records
    assert console.export_text().count("p1.atr") == 1
    with pytest.raises(RecordError, match=r"1 records could not be read.*p1\.atr"):
        left_out.tell()


def test_a_signal_that_cannot_be_read_is_left_out_in_every_variant(data: Path) -> None:
    folder = data / "own"
    for suffix in ("hea", "atr"):
        copy = (folder / f"p1.{suffix}").read_bytes()
        (folder / f"p2.{suffix}").write_bytes(copy.replace(b"p1", b"p2") if suffix == "hea" else copy)
    (folder / "p2.dat").write_bytes(b"\0" * 100)
    chosen = small(databases=("own",), unannotated=(), variants=("plain", "swap"))
    told: list[str] = []
    made = load_passages(Console(quiet=True), chosen, data, records_in(data, chosen), 1, remark=told.append)
    assert [(p.record, p.kind) for p in made] == [("p1", "plain"), ("p1", "swap")]
    assert told
    assert all("p2" in reason for reason in told)


def test_noise_is_measured_by_the_beats_that_are_found(data: Path) -> None:
    folder = data / "nstdb"
    folder.mkdir()
    noise = np.random.default_rng(1).normal(0, 1, (30_000, 2))
    for kind in ("bw", "em", "ma"):
        wfdb.wrsamp(kind, 360.0, ["mV"] * 2, ["noise1", "noise2"], noise, fmt=["16"] * 2, write_dir=str(folder))
    plain = without_annotation(data / "foreign", "p1")
    moved = without_annotation(data / "foreign", "p1", "moved", noise_folder=folder, seed=3)
    assert set(plain.labels) == {UNLABELLED}
    assert not np.array_equal(plain.values[: len(moved.values)], moved.values[: len(plain.values)], equal_nan=True)


def test_what_is_not_there_is_named(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"has not own and missing.*unannotated = \[\]"):
        folder_of(data, small(databases=("own",), unannotated=("missing/p*",)))
    for pattern in ("foreign/x*", "own/p*"):  # there are none; those there are have annotations
        with pytest.raises(RecordError, match="without annotation of beats; fetch them with `telebeat download"):
            records_in(data, small(databases=("own",), unannotated=(pattern,)))
    file = tmp_path / "own.toml"
    file.write_text('unannotated = ["afpdb"]')
    with pytest.raises(SettingsError, match="afpdb is not database/pattern"):
        configured(config(), file)


@pytest.mark.parametrize("place", ["mitdb/1.0.0", "mit-bih-arrhythmia-database-1.0.0"])
def test_a_database_to_train_on_is_found_in_the_layout_of_physionet(place: str, data: Path) -> None:
    folder = data / place
    folder.parent.mkdir(exist_ok=True)
    (data / "own").rename(folder)
    chosen = small(databases=("mitdb",), unannotated=())
    for given in (data, folder):
        assert folder_of(given, chosen) == given
        assert records_in(given, chosen) == [folder / "p1"]
