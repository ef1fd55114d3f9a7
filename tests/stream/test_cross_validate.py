"""`telebeat train --cross-validate` as it is typed, on a few small hearts."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb
from typer.testing import CliRunner

pytest.importorskip("sklearn")
pytest.importorskip("torch")

from model.ec57 import Annotations, Period, pair, tabulate
from model.rhythm_head import RhythmHead
from model.store import load
from model.train import figures, merit
from stream.cli import app
from stream.errors import ModelError, SettingsError
from tests.model.hearts import heart

pytestmark = pytest.mark.train

TINY = (
    'databases = ["own"]\nunannotated = []\nvariants = ["plain"]\nepochs = 1\nclusters = 4\nngrams = 16\n'
    "members = 1\nembedding = 8\nhidden = 8\nlast_hidden = 0\n"
)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three subjects of normal beats alone, six minutes each; one of them paced."""
    root = tmp_path_factory.mktemp("made")
    folder = root / "data" / "own"
    folder.mkdir(parents=True)
    for number, symbol in enumerate("NN/"):
        mv, peaks = heart("N" * 420, 220, seed=number)
        names = {"units": ["mV"] * 2, "sig_name": ["II", "V1"], "fmt": ["16"] * 2, "write_dir": str(folder)}
        wfdb.wrsamp(f"p{number}", 250, p_signal=mv.astype(float), **names)
        wfdb.wrann(f"p{number}", "atr", peaks, [symbol] * len(peaks), fs=250, write_dir=str(folder))
    (root / "tiny.toml").write_text(TINY)
    return root


@pytest.fixture
def data(made: Path, tmp_path: Path) -> Path:
    """A copy of them, to be changed."""
    return Path(shutil.copytree(made, tmp_path / "own"))


def run(data: Path, *words: str | Path) -> Any:
    where = ("--data-dir", data / "data", "--config", data / "tiny.toml", "--jobs", "1")
    return CliRunner().invoke(app, ["train", *map(str, (*where, *words))])


@pytest.mark.parametrize("parts", [3, 4])
def test_more_parts_than_subjects_are_refused(data: Path, parts: int) -> None:
    result = run(data, "--cross-validate", str(parts))
    assert isinstance(result.exception, SettingsError)
    assert "each part needs one" in str(result.exception)
    assert ("analysing" in result.output) == (parts == 3)  # that one is paced is only known when its beats are read


def test_one_subject_is_no_cross_validation(data: Path) -> None:
    for file in (data / "data" / "own").glob("p1.*"):
        file.unlink()
    result = run(data, "--cross-validate", "2")
    assert isinstance(result.exception, SettingsError)
    assert "two are needed at least" in str(result.exception)


def test_what_is_not_defined_is_no_zero(data: Path) -> None:
    """These hearts have no ectopic beat: of nothing nothing can be found."""
    result = run(data, "--cross-validate", "2", "--json", "-")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)["last"]  # nothing else goes there
    assert [fold["SVEB Se"] for fold in told["folds"]] == [None, None]
    assert (told["gross"]["VEB Se"], told["spread"]["VEB Se"]) == (None, None)
    assert "VEB Se –" in result.output


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (("--cross-validate", "2", "--out", "model"), "make none: leave it out"),
        (("--cross-validate", "2", "--rhythms-of", "model"), "give one of them"),
        (("--search", "tries.toml", "--rhythms-of", "model"), "give one of them"),
    ],
)
def test_what_asks_for_two_things_is_refused(data: Path, more: tuple[str, ...], reason: str) -> None:
    result = run(data, *more)
    assert isinstance(result.exception, SettingsError)
    assert reason in str(result.exception)


def test_a_rhythm_head_is_fitted_to_a_model_as_it_is(data: Path) -> None:
    """Its networks and its card stay, but for what the card says of rhythms; the same command does the same again."""
    for file in (data / "data" / "own").glob("p*.atr"):
        marks = wfdb.rdann(str(file.with_suffix("")), "atr")
        half = marks.sample[len(marks.sample) // 2]
        rhythms = {1: "(N", half - 10: "(AFIB"}
        at = np.sort([*marks.sample, *rhythms])
        symbols = ["+" if sample in rhythms else "N" for sample in at]
        notes = [rhythms.get(sample, "") for sample in at]
        wfdb.wrann(file.stem, "atr", at, symbols, fs=250, aux_note=notes, write_dir=str(file.parent))
    assert run(data, "--out", data / "one").exit_code == 0
    for name in ("two", "three"):
        result = run(data, "--rhythms-of", data / "one", "--out", data / name)
        assert result.exit_code == 0, result.output
    one, two = load(data / "one"), load(data / "two")
    layers: list[Any] = [one[0].layers, two[0].layers]
    assert all(np.array_equal(a, b) for a, b in zip(*layers, strict=True))
    assert (data / "two" / "telebeat.safetensors").read_bytes() == (
        data / "three" / "telebeat.safetensors"
    ).read_bytes()
    assert two[1]["rhythms"]["trained_on"] == ["own/p0", "own/p1", "own/p2"]
    assert two[1]["config"] == one[1]["config"]
    assert two[1]["rhythms"]["told"] == ["(AFIB"]
    assert "config" not in two[1]["rhythms"]
    assert "--rhythms-of" in two[1]["rhythms"]["command"]
    assert (two[0].rhythm.out_bias != RhythmHead.silent(two[0].layers).out_bias).any()


def test_where_no_rhythm_is_marked_none_is_promised(data: Path) -> None:
    result = run(data, "--out", data / "one")
    assert result.exit_code == 0, result.output
    assert "no rhythm will be told" in result.output
    weights, card = load(data / "one")
    assert (card["rhythms"]["told"], card["rhythms"]["trained_on"]) == ([], [])
    assert not weights.rhythm.dense.any()
    (data / "tiny.toml").write_text(TINY + "seed = 9\n")
    assert run(data, "--rhythms-of", data / "one", "--out", data / "two").exit_code == 0
    assert load(data / "two")[1]["rhythms"]["config"]["seed"] == 9


def test_there_must_be_a_model_to_fit_rhythms_to(data: Path) -> None:
    result = run(data, "--rhythms-of", data / "nowhere", "--out", data / "new")
    assert isinstance(result.exception, ModelError)
    assert "nowhere" in str(result.exception)
    assert not (data / "new").exists()


def test_a_round_is_chosen_by_a_number_all_the_same() -> None:
    normal = Annotations.of([200_000], "N")
    table = tabulate(pair(normal, normal, Period.of(360.0)), 360.0)
    assert figures(table) == (None, None, None, None)
    assert merit(table) == 0.0
