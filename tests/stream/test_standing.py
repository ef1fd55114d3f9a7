"""How a record stands to a model: whose heart it is, wherever it lies and whatever it is called there."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner

pytest.importorskip("jinja2")
pytest.importorskip("sklearn")
pytest.importorskip("torch")

from model.dataset import Passage, passage
from model.evaluation.judging import key
from replay import script, script_files
from stream.cli import app
from stream.evaluate import NEW, STOPPED, TRAINED, UNKNOWN, UNSCORED, standing

pytestmark = pytest.mark.train


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder with a database of one scripted patient."""
    folder = tmp_path_factory.mktemp("data")
    text = 'patient "p1" rate 250 Hz leads II V1 seed 1\npvc every 5 beats in sinus 80 for 40 s\n'
    script_files.write(script.load(text), folder / "scripted")
    return folder


@pytest.fixture(scope="module")
def p(data: Path) -> Passage:
    return passage(data / "scripted", "p1")


def test_a_record_stands_to_a_model_as_its_card_says(p: Passage) -> None:
    assert standing(p, {"trained_on": [key(p)]}) == TRAINED
    assert standing(p, {"stopped_by": [p.subject]}) == STOPPED
    assert standing(p, {}) == NEW
    assert standing(replace(p, database="mitdb", record="102"), {}) == UNSCORED
    # two records of one patient: who knows the one knows the other
    assert standing(replace(p, database="mitdb", record="202"), {"trained_on": ["mitdb/201"]}) == TRAINED
    assert standing(replace(p, database="afpdb", record="p06c"), {"self_trained_on": ["afpdb/p05"]}) == TRAINED


@pytest.mark.parametrize(
    ("database", "record", "expected"),
    [
        ("nstdb", "118e06", TRAINED),
        ("nstdb", "119e_6", NEW),
        ("qtdb", "sel230", STOPPED),
        ("qtdb", "sel803", TRAINED),
        ("qtdb", "sel233", NEW),
        ("qtdb", "sele0104", NEW),
        ("qtdb", "sel102", UNSCORED),  # paced
        ("mitdb_ds2", "202", UNKNOWN),
        ("mixed", "803", UNKNOWN),
        ("mixed", "sel230", UNKNOWN),
        ("mixed", "118e_6", UNKNOWN),
        ("mixed", "233", NEW),
        ("svdb", "230", NEW),
    ],
)
def test_a_heart_is_known_by_whatever_name_it_lies_there(database: str, record: str, expected: str, p: Passage) -> None:
    card = {"trained_on": ["mitdb/118", "mitdb/201", "svdb/803"], "stopped_by": ["mitdb/230"]}
    assert standing(replace(p, database=database, record=record), card) == expected


def test_a_record_with_a_paced_beat_is_not_scored_wherever_it_lies(p: Passage) -> None:
    paced = replace(p.reference, symbols=("/", *p.reference.symbols[1:]))
    assert p.scored
    assert not replace(p, reference=paced).scored


def test_what_is_not_known_is_no_part_of_what_is_new(data: Path, tmp_path: Path) -> None:
    """A record called like one of the model's card, in a folder of one's own: told apart in every table."""
    mixed = tmp_path / "data" / "mixed"
    mixed.mkdir(parents=True)
    for suffix in ("hea", "dat", "atr"):
        content = (data / "scripted" / f"p1.{suffix}").read_bytes()
        (mixed / f"101.{suffix}").write_bytes(content.replace(b"p1", b"101") if suffix == "hea" else content)
    layout = tmp_path / "data" / "nstdb" / "1.0.0"  # as PhysioNet has it
    shutil.copytree(mixed, layout)
    for file in layout.iterdir():
        content = file.read_bytes()
        (layout / f"118e06{file.suffix}").write_bytes(
            content.replace(b"101", b"118e06") if file.suffix == ".hea" else content
        )
        file.unlink()
    shutil.copytree(data / "scripted", tmp_path / "data" / "scripted")
    out, numbers = tmp_path / "out.html", tmp_path / "out.json"
    names = ["mixed/101", "scripted/p1", "nstdb/118e06"]
    options = ["--data-dir", str(tmp_path / "data"), "--jobs", "1", "--from", "0"]
    result = CliRunner().invoke(app, ["evaluate", *names, *options, "--out", str(out), "--json", str(numbers)])
    assert result.exit_code == 0, result.output
    assert "not known: whether the model has seen the hearts of 1 (mixed/101)" in result.output
    told = json.loads(numbers.read_text())
    assert {row["record"]: row["standing"] for row in told["records"]} == {
        "mixed/101": UNKNOWN,
        "scripted/p1": NEW,
        "nstdb/118e06": TRAINED,
    }
    assert set(told["by_standing"]) == {UNKNOWN, NEW, TRAINED}
    assert "Of 1 (mixed/101) it is not known whether the model has seen" in out.read_text("utf-8")
