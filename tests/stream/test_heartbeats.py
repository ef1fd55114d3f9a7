"""`telebeat heartbeats` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

from model.heartbeats import SAMPLES
from stream.cli import app
from stream.errors import RecordError, SettingsError
from tests.model.hearts import heart
from tests.model.test_heartbeats import csv, two_kinds, write

pytestmark = pytest.mark.train

QUICK = "epochs = 3\nclusters = 10\nngrams = 80\nembedding = 12\nhidden = 12\nbatch_size = 16\n"


def telebeat(*arguments: str | Path) -> str:
    result = CliRunner().invoke(app, ["heartbeats", *map(str, arguments)])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def quick(tmp_path: Path) -> Path:
    path = tmp_path / "quick.toml"
    path.write_text(QUICK)
    return path


@pytest.fixture
def mitbih(tmp_path: Path) -> Path:
    beats = two_kinds(200)
    csv(tmp_path / "mitbih_train.csv", beats.rows[:150], beats.labels[:150])
    csv(tmp_path / "mitbih_test.csv", beats.rows[150:], beats.labels[150:])
    return tmp_path


def test_files_are_split_as_they_are_and_say_why_not_by_patient(
    mitbih: Path, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream.warm.compiled", lambda *_: False)
    out, numbers = tmp_path / "report.html", tmp_path / "figures.json"
    said = telebeat(
        "--task", "mitbih", "--csv-dir", mitbih, "--config", quick, "--json", numbers, "--out", out, "--baseline"
    )
    assert "compiling the kernels" not in said  # nothing has to be found
    assert "do not tell whose beats they are" in said
    assert "not possible" in said
    assert "fewer than 20 beats of S, F, Q" in said
    found: dict[str, Any] = json.loads(numbers.read_text())
    assert found["summary"]["mitbih_patient_accuracy"] is None
    random = found["tasks"]["mitbih"]["ways"]["random"]
    assert random["cases"] == 50
    assert random["accuracy"] == found["summary"]["mitbih_random_accuracy"]
    assert 0 <= random["mean_recall"] <= 100
    assert np.array(random["confusion"]).sum() == 50
    assert "random" in found["tasks"]["mitbih"]["baselines"]
    page = out.read_text()
    assert "by beats (customary)" in page
    assert page.count("data:image/svg+xml") == 4


def test_a_dash_is_the_standard_output(
    mitbih: Path, quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = ["--task", "mitbih", "--csv-dir", str(mitbih), "--config", str(quick), "--json", "-"]
    ended = CliRunner().invoke(app, ["heartbeats", *options])
    assert "mitbih" in json.loads(ended.stdout)["tasks"]
    assert not (tmp_path / "-").exists()


def test_the_same_seed_gives_the_same_figures(mitbih: Path, quick: Path, tmp_path: Path) -> None:
    files = [tmp_path / name for name in ("1.json", "2.json")]
    for file in files:
        telebeat("--task", "mitbih", "--csv-dir", mitbih, "--config", quick, "--json", file, "--subsample", "120")
    assert files[0].read_text() == files[1].read_text()
    assert "120 of 200 beats by lot" in files[0].read_text()


def test_a_few_ptb_records_are_an_exercise(quick: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream.warm.compiled", lambda *_: False)
    folder = tmp_path / "ptbdb"
    reasons = ("Myocardial infarction", "Healthy control")
    for number, reason in enumerate(reasons):
        mv, _ = heart("N" * 40, 200 + 30 * number, seed=number)
        write(folder, f"s{number}", mv, ["i", "ii"], [f"Reason for admission: {reason}", f"patient00{number}"])
    arguments = ("--task", "ptb", "--data-dir", tmp_path, "--config", quick)
    said = telebeat(*arguments)
    assert "compiling the kernels" in said
    assert "no split by patient: the beats come from too few patients (1 normal, 1 infarction)" in said
    assert "telebeat download ptbdb" in said
    assert "by beats (customary)" in said
    with pytest.raises(RecordError, match="--split patient: the beats come from too few"):
        telebeat(*arguments, "--split", "patient")


def test_patients_are_split_where_they_are_known(quick: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ptbdb"
    for number in range(8):
        mv, _ = heart("NV"[number % 2] * 30, 200, seed=number)
        reason = ("Healthy control", "Myocardial infarction")[number % 2]
        write(folder / f"patient00{number}", f"s{number}", mv, ["i", "ii"], [f"Reason for admission: {reason}"])
    numbers = tmp_path / "figures.json"
    said = telebeat("--task", "ptb", "--data-dir", tmp_path, "--config", quick, "--folds", "3", "--json", numbers)
    assert "By patient: 3 trainings" in said
    ways = json.loads(numbers.read_text())["tasks"]["ptb"]["ways"]
    assert ways["patient"]["cases"] == sum(json.loads(numbers.read_text())["tasks"]["ptb"]["beats"].values())
    assert len(ways["patient"]["records"]) == 8
    assert len(ways["patient"]["parts"]) == 3


def test_a_task_without_its_data_is_told_first_and_costs_the_other_nothing(
    mitbih: Path, quick: Path, tmp_path: Path
) -> None:
    out, numbers = tmp_path / "report.html", tmp_path / "figures.json"
    options = ("--csv-dir", mitbih, "--config", quick, "--split", "random", "--json", numbers, "--out", out)
    said = telebeat(*options)  # both tasks are wanted unless one is named
    assert said.index("left out") < said.index("MIT-BIH, five classes")
    told = json.loads(numbers.read_text())
    assert set(told["tasks"]) == {"mitbih"}
    assert "ptbdb_normal.csv" in told["left_out"]["ptb"]
    assert "PTB Diagnostic, infarction is left out" in out.read_text()


def test_a_task_that_fails_costs_the_other_nothing(mitbih: Path, quick: Path, tmp_path: Path) -> None:
    csv(mitbih / "ptbdb_normal.csv", np.zeros((5, SAMPLES)), np.zeros(5))
    csv(mitbih / "ptbdb_abnormal.csv", np.zeros((5, SAMPLES)), np.ones(5))
    numbers = tmp_path / "figures.json"
    with pytest.raises(RecordError, match="1 of 2 tasks could not be run"):
        telebeat("--csv-dir", mitbih, "--config", quick, "--split", "random", "--json", numbers)
    told = json.loads(numbers.read_text())
    assert set(told["tasks"]) == {"mitbih"}
    assert "two classes" in told["left_out"]["ptb"]


def test_without_any_data_both_are_named(quick: Path, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    with pytest.raises(RecordError, match=r"no mitdb.*no ptbdb"):
        telebeat("--data-dir", tmp_path / "none", "--config", quick)


def test_errors_say_what_to_do(mitbih: Path, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=r"has no ptbdb_normal\.csv"):
        telebeat("--csv-dir", mitbih, "--task", "ptb")
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="nothing can be written"):
        telebeat("--csv-dir", mitbih, "--json", tmp_path / "file" / "figures.json")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("held_out = 0.0\n")
    with pytest.raises(SettingsError, match="held_out"):
        telebeat("--csv-dir", mitbih, "--config", wrong)
    csv(mitbih / "mitbih_train.csv", np.zeros((30, SAMPLES)), np.zeros(30))
    csv(mitbih / "mitbih_test.csv", np.zeros((5, SAMPLES)), np.zeros(5))
    with pytest.raises(RecordError, match="two classes with 20 beats"):
        telebeat("--csv-dir", mitbih, "--task", "mitbih")


@pytest.mark.parametrize("place", ["mitdb/1.0.0", "mit-bih-arrhythmia-database-1.0.0"])
def test_records_in_the_layout_of_physionet_are_found(place: str, quick: Path, tmp_path: Path) -> None:
    folder = tmp_path / "data" / place
    for number in range(2):
        mv, peaks = heart("NV" * 15, 250, seed=number)
        write(folder, f"10{number}", mv, ["i", "ii"], [])
        wfdb.wrann(f"10{number}", "atr", peaks, ["N", "V"] * 15, fs=250, write_dir=str(folder))
    numbers = tmp_path / "figures.json"
    for given in (tmp_path / "data", folder):
        telebeat("--task", "mitbih", "--data-dir", given, "--config", quick, "--split", "random", "--json", numbers)
        assert "2 records of mitdb" in json.loads(numbers.read_text())["tasks"]["mitbih"]["source"]


def test_a_record_cut_short_stops_no_other(quick: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mitdb"
    for number in range(3):
        mv, peaks = heart("NV" * 30, 250, seed=number)
        write(folder, f"10{number}", mv, ["i", "ii"], [])
        wfdb.wrann(f"10{number}", "atr", peaks, ["N", "V"] * 30, fs=250, write_dir=str(folder))
    for cut in (folder / "100.atr", folder / "101.dat"):
        cut.write_bytes(cut.read_bytes()[:-2])
    numbers = tmp_path / "figures.json"
    options = ("--data-dir", tmp_path, "--config", quick, "--split", "random", "--json", numbers)
    with pytest.raises(RecordError, match=r"2 records could not be read and were left out, the first: .*100\.atr"):
        telebeat("--task", "mitbih", *options)
    told = json.loads(numbers.read_text())["tasks"]["mitbih"]
    assert "1 records of mitdb" in told["source"]
    assert "101" in told["remarks"][0]
