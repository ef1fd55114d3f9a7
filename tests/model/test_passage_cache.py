"""What was analysed is kept, and made again when it must be."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import wfdb

from detector.jit import reached
from detector.types import LEADS
from model import passage_cache
from model.dataset import Passage
from model.ec57 import Annotations
from model.passage_cache import kept_passage
from model.strip import Strip
from model.variants import CERTAIN, VARIANTS, changed
from tests.model.hearts import heart

RATE = 250.0


def test_a_passage_is_kept_until_its_record_changes(tmp_path: Path) -> None:
    mv, peaks = heart("N" * 60, 200)
    folder = tmp_path / "own"
    folder.mkdir()
    names = {"units": ["mV"] * LEADS, "sig_name": ["MLII", "V1"], "fmt": ["16"] * LEADS, "write_dir": str(folder)}
    wfdb.wrsamp("a", RATE, p_signal=mv.astype(np.float64), **names)
    wfdb.wrann("a", "atr", peaks, ["N"] * len(peaks), fs=RATE, write_dir=str(folder))
    kept_in = tmp_path / "shelf"

    def take() -> Any:
        return kept_passage(folder, "a", "plain", shelf=kept_in, noise_folder=tmp_path, seed=1, oracle=False)

    made, kept = take(), take()
    (file,) = kept_in.iterdir()
    written = file.stat().st_mtime_ns
    for name in ("samples", "texts", "values", "levels", "labels"):
        assert np.array_equal(getattr(made, name), getattr(kept, name), equal_nan=name == "values")
    assert (made.subject, made.length, made.rate_hz) == (kept.subject, kept.length, kept.rate_hz)
    assert kept.reference.symbols == made.reference.symbols
    take()
    assert file.stat().st_mtime_ns == written
    wfdb.wrann("a", "atr", peaks[:-1], ["N"] * (len(peaks) - 1), fs=RATE, write_dir=str(folder))
    assert len(take().reference) == len(made.reference) - 1


def test_another_seed_leaves_alone_what_is_not_left_to_a_lot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []

    def analyse(_folder: Path, _record: str, kind: str, *_: object) -> None:
        made.append(kind)

    monkeypatch.setattr(passage_cache, "_made", analyse)
    monkeypatch.setattr(passage_cache, "_put", lambda path, stamp, _: stamps.__setitem__(path, stamp))
    monkeypatch.setattr(passage_cache, "_take", lambda path, stamp: True if stamps.get(path) == stamp else None)
    stamps: dict[Path, str] = {}
    for seed in (1, 2):
        for kind in VARIANTS:
            kept_passage(tmp_path, "a", kind, shelf=tmp_path, noise_folder=tmp_path, seed=seed, oracle=False)
    assert made == [*VARIANTS, *(kind for kind in VARIANTS if kind not in CERTAIN)]


@pytest.mark.parametrize("kind", CERTAIN)
def test_nothing_is_left_to_a_lot_in_a_record_as_it_is_or_with_its_leads_exchanged(kind: str) -> None:
    mv, peaks = heart("NV" * 20, 200)
    strips = [
        changed(Strip.of_mv(mv.astype(np.float64), RATE), kind, Annotations.of(peaks, "NV" * 20), None, lot)
        for lot in (np.random.default_rng(0), np.random.default_rng(1))
    ]
    assert np.array_equal(strips[0].samples, strips[1].samples)


def test_the_stamp_knows_the_detectors_table_of_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = tmp_path / "score.csv"
    stamps = []
    monkeypatch.setattr(passage_cache, "_TABLES", tmp_path)
    for text in ("1,2", "1,3"):
        table.write_text(text)
        stamps.append(passage_cache.program.__wrapped__())
    assert stamps[0] != stamps[1]


def test_the_stamp_knows_who_analyses_and_says_and_not_who_reads_it() -> None:
    """Else a change of the trainer would have every record analysed again, or one of the detector none."""
    root = Path(passage_cache.__file__).parents[1]
    known = {path.relative_to(root).as_posix() for path in reached([passage_cache._ANALYSIS])}
    analysed = ("detector/qrs.py", "detector/simd.py", "model/words.py", "model/compose.py", "model/ec57/beats.py")
    assert known >= {*analysed, "replay/records.py", "replay/headers.py"}
    assert not known & {"model/training_loop.py", "model/lstm.py", "model/delineation.py", "model/passage_cache.py"}


def test_two_processes_may_keep_the_same_passage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two commands share a shelf: neither takes away what the other is writing."""
    whole, labels = np.empty(0, np.int64), np.empty(0, np.int8)
    texts, values = np.empty(0, np.uint8), np.empty(0, np.float32)
    made = Passage("own", "a", "plain", RATE, whole, texts, values, whole, labels, Annotations.of([], []))
    saved = np.savez

    def meanwhile(path: Path, **arrays: Any) -> None:
        saved(path, **arrays)
        monkeypatch.setattr(np, "savez", saved)
        monkeypatch.setattr(os, "getpid", lambda: -1)
        passage_cache._put(tmp_path / "a.npz", "same", made)

    monkeypatch.setattr(np, "savez", meanwhile)
    passage_cache._put(tmp_path / "a.npz", "same", made)
    assert [file.name for file in tmp_path.iterdir()] == ["a.npz"]
    assert passage_cache._take(tmp_path / "a.npz", "same") is not None
