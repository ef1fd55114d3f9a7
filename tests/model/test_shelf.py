"""What was heard is kept, and made again when it must be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import wfdb

from detector.types import LEADS
from model.shelf import kept_passage
from tests.model.hearts import heart

RATE = 250.0


def test_a_passage_is_kept_until_its_record_changes(tmp_path: Path) -> None:
    mv, peaks = heart("N" * 60, 200)
    folder = tmp_path / "own"
    folder.mkdir()
    names = {"units": ["mV"] * LEADS, "sig_name": ["MLII", "V1"], "fmt": ["16"] * LEADS, "write_dir": str(folder)}
    wfdb.wrsamp("a", RATE, p_signal=mv.astype(np.float64), **names)
    wfdb.wrann("a", "atr", peaks, ["N"] * len(peaks), fs=RATE, write_dir=str(folder))
    shelf = tmp_path / "shelf"

    def take() -> Any:
        return kept_passage(folder, "a", "plain", shelf=shelf, noise_folder=tmp_path, seed=1, oracle=False)

    made, kept = take(), take()
    (file,) = shelf.iterdir()
    written = file.stat().st_mtime_ns
    for name in ("samples", "texts", "values", "levels", "labels"):
        assert np.array_equal(getattr(made, name), getattr(kept, name), equal_nan=name == "values")
    assert (made.subject, made.length, made.rate_hz) == (kept.subject, kept.length, kept.rate_hz)
    assert kept.reference.symbols == made.reference.symbols
    take()
    assert file.stat().st_mtime_ns == written
    wfdb.wrann("a", "atr", peaks[:-1], ["N"] * (len(peaks) - 1), fs=RATE, write_dir=str(folder))
    assert len(take().reference) == len(made.reference) - 1
