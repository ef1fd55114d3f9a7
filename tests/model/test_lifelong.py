"""Hearts that know one rhythm all their life: which are taken, and what is counted of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import wfdb

from benchmarks import lifelong
from model.dataset import UNTAUGHT
from model.reader import CLASSES
from model.rhythms import LIVES
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


def test_without_the_database_it_says_what_to_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifelong, "data_dirs", lambda folder: [folder])
    with pytest.raises(RecordError, match="afpdb"):
        lifelong.hearts(tmp_path)


def test_a_heart_is_read_in_every_rhythm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifelong, "LEARNING_S", 10.0)
    write(tmp_path, "n01")
    heard = dict(lifelong.lives(lifelong.hearts(tmp_path)[0]))
    assert set(heard) == set(LIVES)
    premature = {life: (passage.labels == CLASSES.index("S")).sum() for life, passage in heard.items()}
    assert all(premature[life] > 0 for life in ("bigeminy", "runs"))
    assert all(premature[life] == 0 for life in ("breathing", "fibrillation", "ventricular", "block"))
    for passage in heard.values():
        table = lifelong.confusion(passage, np.maximum(passage.labels, 0).astype(np.int64))
        assert np.array_equal(table, np.diag(np.diag(table)))
        late = passage.samples >= 10.0 * RATE
        assert table.sum() == (late & (passage.labels != UNTAUGHT)).sum()
