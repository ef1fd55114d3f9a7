"""What is judged is what runs: the ward's own files, and training's words beat by beat the same."""

from __future__ import annotations

import csv
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

pytest.importorskip("jinja2")
pytest.importorskip("sklearn")
pytest.importorskip("torch")

from detector.types import LEADS
from model.codes import CLASSES
from model.dataset import DS1, Passage, passage, records_of, sentences_of
from model.ec57 import Annotations, Period, Score, pair, read, score_files, tabulate
from model.lstm import BeatProbabilities
from model.reader import Reader
from model.strip import Strip, read_strip
from model.train import read_passage, words_of
from replay import script, script_files
from replay.records import read_record
from stream.annotate import analyse, annotate
from stream.both_paths import choose, run_both
from stream.cli import app
from stream.collector import Collector
from stream.errors import RecordError, SettingsError
from stream.evaluate import NEW, evaluate
from stream.settings import data_dirs
from stream.ward import Ward
from tests.conftest import missing
from tests.stream.test_report import Page

pytestmark = pytest.mark.train

#: With this variable, every development record is read both ways, not a few.
EVERY = "TELEBEAT_EVERY_RECORD"
FEW = {"mitdb": ("104", "207"), "svdb": ("800",)}  # paced; ventricular flutter; 128 Hz

SCRIPT = """\
patient "{name}" rate {rate} Hz leads II V1 seed {seed}
sinus 75 for 30 s
pvc every 5 beats in sinus 80 for 60 s
pac every 6 beats in sinus 70 for 60 s
vt 180 for 6 s ; sinus 75 for 20 s with leadoff all from 5 s for 4 s
sinus 80 for 10 s with leadoff II from 2.31 s for 1.73 s ; sinus 95 for 10 s with flat V1 from 3.17 s for 2.57 s
sinus 80 for 10 s with saturated II from 2.03 s for 1.2 s ; sinus 75 for 10 s with noise electrode 0 dB
"""
READER = Reader.load()


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database of four scripted patients."""
    folder = tmp_path_factory.mktemp("data")
    for seed, rate in enumerate((250, 360, 128, 500), 1):
        script_files.write(script.load(SCRIPT.format(name=f"p{seed}", rate=rate, seed=seed)), folder / "scripted")
    return folder


@pytest.fixture(scope="module")
def ward() -> Ward:
    return Ward(READER)


def both_ways(path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Any], list[Any], Passage]:
    """The ward's beats and last words as its kernel tells them, and what training is given."""
    beats: list[Any] = []
    revisions: list[Any] = []
    tell, revise = Collector.beat, Collector.revise

    def keep(self: Any, bed: str, intake_row: Any, beat: Any) -> None:
        beats.append(beat.copy())
        tell(self, bed, intake_row, beat)

    def keep_last(self: Any, bed: str, intake_row: Any, revision: Any) -> None:
        revisions.append(revision.copy())
        revise(self, bed, intake_row, revision)

    with monkeypatch.context() as patch:
        patch.setattr(Collector, "beat", keep)
        patch.setattr(Collector, "revise", keep_last)
        analyse(read_record(path), Ward(READER))
    return beats, revisions, passage(path.parent, path.name)


def assert_alike(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bit for bit: an LSTM's answer depends on every word of every beat before."""
    beats, revisions, given = both_ways(path, monkeypatch)
    reading = read_passage(given, READER.weights)
    followed = np.append(given.follows[1:], False)
    for said, places, words in (
        (beats, given.samples, reading.first),
        (revisions, given.samples[followed], reading.last[followed]),
    ):
        assert [int(one["sample"]) for one in said] == places.tolist()
        assert [int(one["label"]) for one in said] == words.argmax(axis=1).tolist()
        assert [float(one["probability"]) for one in said] == words.max(axis=1).tolist()
    for beat, tokens in zip(beats, words_of(given, READER.weights.vocabulary), strict=True):
        assert int(beat["token"]) in tokens[:LEADS]
    assert len(beats) > 0


@pytest.mark.parametrize("name", ["p1", "p2", "p3", "p4"])
def test_training_is_given_what_the_bedside_reads(data: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert_alike(data / "scripted" / name, monkeypatch)


@pytest.mark.parametrize("name", ["p1", "p3"])
def test_both_stop_at_the_same_beat_wherever_a_record_ends(data: Path, ward: Ward, name: str) -> None:
    record, strip = read_record(data / "scripted" / name), read_strip(data / "scripted" / name)
    peak = analyse(record, ward).beats[20].sample
    counts = set()
    for end in range(
        peak - round(0.1 * strip.rate_hz), peak + round(0.16 * strip.rate_hz), 2
    ):  # its last reading is held
        beats = analyse(replace(record, samples=record.samples[:end]), ward).beats
        runs = sentences_of(Strip(strip.rate_hz, strip.samples[:end], strip.mv_per_bit))[0]
        assert [beat.sample for beat in beats] == runs.tolist()
        counts.add(len(beats))
    assert counts == {20, 21}


@pytest.mark.data
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("database", ["mitdb", "svdb"])
def test_online_tokens_equal_offline_tokens_on_records(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = next((f / database for f in data_dirs() if (f / database).is_dir()), None)
    if folder is None:
        missing(database, f"telebeat download {database}")
    for name in records_of(folder) if os.environ.get(EVERY) else FEW[database]:
        assert_alike(folder / name, monkeypatch)


def test_words_that_differ_are_counted(data: Path, ward: Ward, tmp_path: Path) -> None:
    runs = run_both(data / "scripted" / "p1", tmp_path, ward)
    reading = read_passage(runs.passage, READER.weights)
    assert runs.differences(reading) == 0
    first, last = reading.first.copy(), reading.last.copy()
    first[7] = first[7][::-1]
    first[9] = 0.2
    last[9] = 0.2
    last[11] = last[11][::-1]
    assert runs.differences(BeatProbabilities(first, last)) == 3


def test_the_files_are_those_of_annotate(data: Path, ward: Ward, tmp_path: Path) -> None:
    path = data / "scripted" / "p2"
    runs = run_both(path, tmp_path / "ours", ward)
    (tmp_path / "annotated").mkdir()
    annotate(path, tmp_path / "annotated", ward)
    assert (tmp_path / "ours/scripted/p2.tb").read_bytes() == (tmp_path / "annotated/p2.tb").read_bytes()
    written = read(tmp_path / "annotated", "p2", "tb", 360)
    beats = [(s, c) for s, c in zip(written.samples.tolist(), written.symbols, strict=True) if c in CLASSES]
    assert beats == list(zip(runs.samples.tolist(), [label for label, _ in runs.last], strict=True))


def test_the_score_is_that_of_telebeat_score(data: Path, ward: Ward, tmp_path: Path) -> None:
    paths = choose([data], [], ["scripted"])
    runs = [run_both(path, tmp_path, ward, start_s=10.0) for path in paths]
    found = evaluate(runs, READER, start_s=10.0, about={})
    files = [score_files(data / "scripted", tmp_path / "scripted", path.name, start_s=10.0) for path in paths]
    assert found.score.as_dict() == Score.of(files).as_dict()
    # the beats alone, as the files have them: the same table as that of the probabilities
    for path in paths:
        header = wfdb.rdheader(str(path))
        truth, said = (
            read(path.parent, path.name, "atr", header.fs),
            read(tmp_path / "scripted", path.name, "tb", header.fs),
        )
        beats = np.array([symbol in CLASSES for symbol in said.symbols])
        symbols = [symbol for symbol in said.symbols if symbol in CLASSES]
        period = Period.of(header.fs, start_s=10.0, end_s=header.sig_len / header.fs)
        table = tabulate(pair(truth, Annotations.of(said.samples[beats], symbols), period), header.fs)
        assert np.array_equal(found.judged.tables[f"scripted/{path.name}"].counts, table.counts)
    gross = found.judged.gross
    assert np.array_equal(found.judged.figures.counts, gross.counts[:5, :5])
    assert found.same_weights[0].figures["veb_se"] == gross.veb_se.percent
    assert found.same_weights[0].figures["sveb_ppv"] == gross.sveb_ppv.percent
    assert found.differences == 0
    assert {row.standing for row in found.rows} == {NEW}
    assert found.delays["known_p50"] >= 300
    assert found.delays["last_p50"] > 300 + found.delays["known_p50"]


def test_records_without_a_reference_are_refused(data: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    for suffix in ("hea", "dat"):
        (bare / f"p1.{suffix}").write_bytes((data / "scripted" / f"p1.{suffix}").read_bytes())
    with pytest.raises(RecordError, match=r"p1 has no reference annotations .*--reference-annotator"):
        choose([tmp_path], ["p1"], [])
    with pytest.raises(RecordError, match="no record of bare has reference annotations"):
        choose([tmp_path], [], ["bare"])
    with pytest.raises(RecordError, match=r"\*\.cpu"):
        choose([data], [], ["scripted"], "cpu")
    with pytest.raises(RecordError, match="telebeat download mitdb"):
        choose([data], [], [])


def test_no_record_is_judged_by_the_annotations_of_another(data: Path, tmp_path: Path) -> None:
    for folder in ("one/own", "two/own"):
        flat(tmp_path / folder)
    both = [str(tmp_path / folder / "flat") for folder in ("one/own", "two/own")]
    with pytest.raises(RecordError, match="both called own/flat; evaluate them one after the other"):
        choose([data], both, [])
    twice = choose([data], [both[0], f"{both[0]}.hea", str(tmp_path / "two/../one/own/flat")], [])
    assert twice == [Path(both[0])]


def test_of_mitdb_only_ds1_is_judged_unasked(data: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mitdb"
    folder.mkdir()
    for name in (*DS1, "100", "102"):
        for suffix in ("hea", "dat", "atr"):
            (folder / f"{name}.{suffix}").write_bytes((data / "scripted" / f"p1.{suffix}").read_bytes())
        header = (folder / f"{name}.hea").read_text().replace("p1", name)
        (folder / f"{name}.hea").write_text(header)
    told: list[str] = []
    assert {path.name for path in choose([tmp_path], [], [], remark=told.append)} == set(DS1)
    assert told == [
        "mitdb: 2 (100, 102) left out, not of DS1; name them, or say --database mitdb for all",
        "svdb: not there, left out",
    ]
    assert {path.name for path in choose([tmp_path], [], ["mitdb"])} == {*DS1, "100", "102"}
    assert [path.name for path in choose([tmp_path], ["100"], [])] == ["100"]
    for name in DS1:
        (folder / f"{name}.hea").unlink()
    (folder / "102.atr").unlink()
    assert [path.name for path in choose([tmp_path], [], [], remark=told.append)] == ["100"], "where there is no DS1"
    assert told[2] == "mitdb: 1 (102) left out, without reference annotations (*.atr)"


def flat(folder: Path) -> None:
    """A record whose leads show nothing, though an expert heard a heart."""
    folder.mkdir(parents=True)
    wfdb.wrsamp(
        "flat", fs=250, units=["mV", "mV"], sig_name=["II", "V1"], d_signal=np.zeros((250 * 40, 2), np.int64),
        fmt=["16", "16"], adc_gain=[200, 200], baseline=[0, 0], write_dir=str(folder),
    )  # fmt: skip
    wfdb.wrann("flat", "atr", np.arange(200, 250 * 39, 200), symbol=["N"] * 48, write_dir=str(folder))


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, ["evaluate", *map(str, words)])


def test_a_record_whose_rhythm_alone_was_told_is_not_judged(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "nothing"
    flat(folder)
    wfdb.wrann("flat", "atr", np.array([0]), symbol=["+"], aux_note=["(VT"], fs=250, write_dir=str(folder))
    with pytest.raises(RecordError, match=r"no beat in its reference annotations .*flat\.atr"):
        run_both(folder / "flat", tmp_path, Ward(Reader.load()))


def test_a_record_without_beats_is_reported(tmp_path: Path) -> None:
    flat(tmp_path / "data" / "nothing")
    out = tmp_path / "report.html"
    result = run(
        "flat",
        "--data-dir",
        tmp_path / "data",
        "--out",
        out,
        "--json",
        tmp_path / "j.json",
        "--from",
        "5",
        "--jobs",
        "1",
    )
    assert result.exit_code == 0, result.output
    told = json.loads((tmp_path / "j.json").read_text())
    assert told["ec57"]["gross"]["tp"] == 0
    assert told["ec57"]["gross"]["fn"] > 40
    assert told["classes"]["accuracy"] is None
    assert "No beat was found" in Page(out.read_text("utf-8")).text


def test_a_record_that_cannot_be_read_stops_no_other(tmp_path: Path) -> None:
    folder, out, numbers = tmp_path / "data" / "some", tmp_path / "report.html", tmp_path / "j.json"
    flat(folder)
    for suffix in ("hea", "atr", "dat"):
        whole = (folder / f"flat.{suffix}").read_bytes()
        (folder / f"cut.{suffix}").write_bytes(whole.replace(b"flat", b"cut"))
    (folder / "cut.dat").write_bytes(b"\0" * 100)
    kept = tmp_path / "kept" / "some"
    kept.mkdir(parents=True)
    (kept / "cut.tb").write_bytes(b"of an earlier run")
    where = ("--data-dir", tmp_path / "data", "--out", out, "--json", numbers, "--from", "5", "--jobs", "1")
    result = run("cut", "flat", *where, "--annotations", tmp_path / "kept")
    assert isinstance(result.exception, RecordError)
    assert "1 of 2 records" in str(result.exception)
    assert "cut" in str(result.exception)
    told = json.loads(numbers.read_text())
    assert [row["record"] for row in told["records"]] == ["some/flat"]
    assert told["about"]["left_out"] == ["some/cut"]
    assert "some/cut" in Page(out.read_text("utf-8")).text
    assert [path.name for path in kept.iterdir()] == ["flat.tb"]
    out.unlink()
    alone = run("cut", *where)
    assert isinstance(alone.exception, RecordError)
    assert "none of 1 records" in str(alone.exception)
    assert not out.exists()


def test_a_record_that_cannot_be_scored_stops_no_other(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def but_one(reference: Path, test: Path, record: str, **how: Any) -> Any:
        if record == "p2":
            raise RecordError(f"{reference / record}.hea: no header")
        return score_files(reference, test, record, **how)

    monkeypatch.setattr("stream.both_paths.score_files", but_one)
    numbers = tmp_path / "j.json"
    result = run(
        "p1", "p2", "--data-dir", data, "--out", tmp_path / "r.html", "--json", numbers, "--from", "10", "--jobs", "1"
    )  # fmt: skip
    assert isinstance(result.exception, RecordError)
    assert "1 of 2 records could not be judged" in str(result.exception)
    assert "p2.hea: no header" in str(result.exception)
    told = json.loads(numbers.read_text())
    assert [row["record"] for row in told["records"]] == ["scripted/p1"]
    assert told["about"]["left_out"] == ["scripted/p2"]


@pytest.mark.parametrize("head", ["p1 2 2.5e2 {}", "p1 2 +250 {} 24:00:00"])
def test_a_header_that_was_mended_to_be_heard_is_mended_to_be_scored(
    data: Path, ward: Ward, tmp_path: Path, head: str
) -> None:
    for suffix in ("dat", "atr"):
        (tmp_path / f"p1.{suffix}").write_bytes((data / f"scripted/p1.{suffix}").read_bytes())
    first, *lines = (data / "scripted/p1.hea").read_text().splitlines()
    (tmp_path / "p1.hea").write_text("\n".join([head.format(first.split()[3]), *lines, ""]))
    said = [run_both(folder / "p1", tmp_path / "out", ward, start_s=10.0) for folder in (data / "scripted", tmp_path)]
    assert said[0].score.as_dict() == said[1].score.as_dict()


def test_the_command_writes_everything(data: Path, tmp_path: Path) -> None:
    out, numbers, png, kept = (tmp_path / "new" / name for name in ("r.html", "r.json", "r.png", "kept"))
    result = run(
        "--database", "scripted", "--data-dir", data, "--out", out, "--json", numbers, "--png", png, "--annotations",
        kept, "--from", "0:10", "--jobs", "1",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "read every beat alike on 4 records" in " ".join(result.output.split())
    told = json.loads(numbers.read_text())
    assert [row["record"] for row in told["records"]] == [f"scripted/p{k}" for k in (1, 2, 3, 4)]
    assert told["online_equals_offline"] == {"beats_that_differ": 0, "records": 4}
    assert len(told["same_weights"]) == 8
    assert told["arms"] == []
    assert sorted(path.name for path in (kept / "scripted").iterdir()) == [f"p{k}.tb" for k in (1, 2, 3, 4)]
    assert png.read_bytes().startswith(b"\x89PNG")
    page = Page(out.read_text("utf-8"))
    for word in (
        "EC57", "Classes", "Curves", "Calibration", "Ablations and baselines", "Records", "scripted/p3", "no RR words",
        "oracle beats", "rules", "Confusion matrix", "Reliability", "VEB Se", "ventricular",
    ):  # fmt: skip
        assert word in page.text or any(word in name for name in page.names), word
    assert len(page.sources) == 6


@pytest.mark.timeout(900)
def test_arms_are_trained_and_judged_on_others(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = iter([False])  # kernels are there from the second time on that they are asked for
    monkeypatch.setattr("stream.warm.compiled", lambda *_: next(asked, True))
    config = tmp_path / "tiny.toml"
    config.write_text('epochs = 1\nvariants = ["plain"]\nclusters = 8\nngrams = 64\nheld_out = 0.0\n')
    where = ("--database", "scripted", "--data-dir", data, "--from", "10", "--jobs", "1")
    words = (*where, "--ablations", "--folds", "2", "--config", config, "--heard", tmp_path / "heard")
    arms = ("--arms", "whole,rules,logistic", "--work", tmp_path / "work")
    out, numbers, table = (tmp_path / f"r.{kind}" for kind in ("html", "json", "csv"))
    result = run(*words, *arms, "--out", out, "--json", numbers, "--csv", table)
    assert result.exit_code == 0, result.output
    assert result.output.count("compiling the kernels") == 1
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows if row["how"] == "trained anew"] == ["whole", "rules", "logistic"]
    assert all(0 <= float(row["accuracy"]) <= 100 for row in rows)
    assert len(list((tmp_path / "heard").iterdir())) == 4
    told = json.loads(numbers.read_text())
    assert [line["name"] for line in told["arms"]] == ["whole", "rules", "logistic"]
    assert [len(line["folds"]) for line in told["arms"]] == [2, 2, 2]
    assert told["about"]["folds"] == 2
    assert told["unseen"]["classes"]["cases"] == told["classes"]["cases"]
    assert set(told["unseen"]["counts"]) == {f"scripted/p{k}" for k in (1, 2, 3, 4)}
    page = Page(out.read_text("utf-8"))
    assert "subjects never seen" in page.text
    assert len(page.sources) == 6 + 4 + 1
    first = numbers.read_bytes()
    assert len(list((tmp_path / "work").iterdir())) == 6
    again = run(*words, *arms, "--out", out, "--json", numbers)
    assert again.exit_code == 0, again.output
    assert numbers.read_bytes() == first


def test_wrong_options_are_told(data: Path) -> None:
    result = run("p1", "--data-dir", data, "--ablations", "--arms", "none-such")
    assert isinstance(result.exception, SettingsError)
    assert "none-such" in str(result.exception)
    assert "no-tfidf" in str(result.exception)
    for options in (["--arms", "rules"], ["--from", "1:00:00"]):
        assert isinstance(run("p1", "--data-dir", data, *options).exception, SettingsError)
    few = run(
        "p1", "p2", "--data-dir", data, "--ablations", "--arms", "rules", "--folds", "2", "--jobs", "1", "--from", "0"
    )
    assert isinstance(few.exception, SettingsError)
    assert "name more subjects or give fewer --folds" in str(few.exception)
    assert "analysing" not in few.output  # it is known before


def test_an_ablation_that_fails_does_not_cost_the_evaluation(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RecordError("the disk is full")

    monkeypatch.setattr("stream.ablations.load_passages", fails)
    out, numbers = tmp_path / "r.html", tmp_path / "r.json"
    where = ("--database", "scripted", "--data-dir", data, "--from", "10", "--jobs", "1", "--folds", "2")
    result = run(*where, "--ablations", "--arms", "rules", "--out", out, "--json", numbers)
    assert isinstance(result.exception, RecordError)
    assert "Report without the ablations" in result.output
    told = json.loads(numbers.read_text())
    assert (len(told["records"]), told["arms"]) == (4, [])
    assert "EC57" in Page(out.read_text("utf-8")).text
