"""Hearts that know one rhythm all their life: which are taken, and what is counted of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from benchmarks import lifelong
from model.codes import CLASSES
from model.ec57 import LABELS
from model.rhythms import SINGLE_RHYTHMS
from stream.errors import RecordError
from tests.model.hearts import heart

RATE = 250


def write(folder: Path, *names: str) -> Path:
    """A database of hearts in sinus rhythm."""
    database = folder / lifelong.DATABASE
    database.mkdir(exist_ok=True)
    mv, _ = heart("N" * 120, 200)
    for name in names:
        wfdb.wrsamp(name, RATE, ["mV"] * 2, ["a", "b"], mv.astype(np.float64), fmt=["16"] * 2, write_dir=str(database))
    return folder


def test_one_record_a_subject_without_fibrillation_is_taken(tmp_path: Path) -> None:
    write(tmp_path, "n01", "n01c", "n02", "n03", "p01")
    assert [path.name for path in lifelong.hearts(tmp_path)] == ["n01", "n03"]


def test_without_such_hearts_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="afpdb"):
        lifelong.hearts(tmp_path)
    write(tmp_path, "p01")
    with pytest.raises(RecordError, match="without fibrillation"):
        lifelong.hearts(tmp_path)


def test_a_heart_is_read_in_every_rhythm(tmp_path: Path) -> None:
    write(tmp_path, "n01")
    analysed = dict(lifelong.lives(lifelong.hearts(tmp_path)[0]))
    assert set(analysed) == set(SINGLE_RHYTHMS)
    premature = {life: (passage.labels == CLASSES.index("S")).sum() for life, passage in analysed.items()}
    assert all(premature[life] > 0 for life in ("bigeminy", "runs"))
    assert all(premature[life] == 0 for life in ("breathing", "fibrillation", "ventricular", "arrest"))


def counts(**pairs: int) -> list[list[int]]:
    """A table with so many beats of a class (first letter) of which another (second letter) was said."""
    table = np.zeros((len(LABELS), len(LABELS)), int)
    for pair, count in pairs.items():
        table[LABELS.index(pair[0]), LABELS.index(pair[1])] = count
    told: list[list[int]] = table.tolist()
    return told


def test_a_share_is_of_what_the_beats_are_and_missed_ones_count() -> None:
    tables = np.array([counts(SS=6, SN=3, SO=1, NS=50), counts(SS=1, SV=9), counts(NN=7)])
    assert lifelong.share(tables, "S", "S") == (35.0, [60.0, 10.0])
    together, each = lifelong.share(tables, "N", "S") or (0.0, [])
    assert together == pytest.approx(100 * 50 / 57)
    assert each == [100.0, 0.0]
    assert lifelong.share(tables, "V", "V") is None


def test_the_table_names_the_worst_heart(capsys: pytest.CaptureFixture[str]) -> None:
    two = {"n01": counts(SS=9, SN=1, NN=99, NS=1), "n03": counts(SS=5, SN=5, NN=80, NS=20)}
    lifelong.show({"counts": {"runs": two}})
    assert capsys.readouterr().out.splitlines()[-1].split() == (
        ["runs", "2", "70.0", "(50.0)", "–", "10.5", "(20.0)", "0.0", "(0.0)"]
    )
