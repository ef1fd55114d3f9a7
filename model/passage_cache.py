"""Passages kept on disk, so that training, cross-validation and ablations analyse the records only once.

A passage is made again as soon as the program that analyses and says it, the record or what was asked for differ.
"""

from __future__ import annotations

import hashlib
import os
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

from detector.jit import reached
from model.dataset import Passage, is_annotated, passage, without_annotation
from model.ec57 import Annotations
from model.variants import CERTAIN, WITH_NOISE
from replay.folders import database_of

_ROOT: Final = Path(__file__).parents[1]
_ANALYSIS: Final = _ROOT / "model" / "dataset.py"  # analyses a record and says it in words
_TABLES: Final = _ROOT / "detector"  # folder of the detector's weights, which are tables
_ARRAYS: Final = ("samples", "texts", "values", "levels", "labels")


def kept_passage(
    folder: Path, record: str, kind: str, *, shelf: Path | None, noise_folder: Path, seed: int, oracle: bool
) -> Passage:
    """A record's passage, from the shelf if it is there, else made and put there; without a shelf always made.

    Raises
    ------
    RecordError
        The record cannot be read.
    """
    if shelf is None:
        return _made(folder, record, kind, noise_folder, seed, oracle)
    added = _files(noise_folder, "") if kind in WITH_NOISE else ""
    lot = "" if kind in CERTAIN else str(seed)
    stamp = f"{program()} {_files(folder, record)} {added} {lot}"
    path = shelf / f"{database_of(folder)}-{record}-{kind}{'-oracle' if oracle else ''}.npz"
    if (found := _take(path, stamp)) is not None:
        return found
    made = _made(folder, record, kind, noise_folder, seed, oracle)
    _put(path, stamp, made)
    return made


def _made(folder: Path, record: str, kind: str, noise_folder: Path, seed: int, oracle: bool) -> Passage:
    if is_annotated(folder / record):
        return passage(folder, record, kind, noise_folder=noise_folder, seed=seed, oracle=oracle)
    return without_annotation(folder, record, kind, noise_folder=noise_folder, seed=seed)


@cache
def program() -> str:
    """Digest of the code that analyses records and says them in words, and of the tables it reads."""
    digest = hashlib.blake2b(digest_size=12)
    for file in (*sorted(reached([_ANALYSIS])), *sorted(_TABLES.glob("*.csv"))):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _files(folder: Path, record: str) -> str:
    """Digest of the sizes and times of a record's files."""
    told = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in sorted(folder.glob(f"{record}*.*"))]
    return hashlib.blake2b(repr(told).encode(), digest_size=12).hexdigest()


def _put(path: Path, stamp: str, made: Passage) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(f".{os.getpid()}.part.npz")  # two commands may analyse the same record
    reference = made.reference
    plain: dict[str, Any] = {name: getattr(made, name) for name in _ARRAYS}
    np.savez(
        part,
        **plain,
        stamp=np.array(stamp),
        what=np.array([made.database, made.record, made.kind]),
        rate_hz=np.array(made.rate_hz),
        length=np.array(-1 if made.length is None else made.length),
        times=reference.samples,
        symbols=np.array(reference.symbols, np.str_),
        subtypes=np.array(reference.subtypes, np.int64),
        notes=np.array(reference.notes, np.str_),
    )
    part.replace(path)


def _take(path: Path, stamp: str) -> Passage | None:
    if not path.exists():
        return None
    with np.load(path) as kept:
        if str(kept["stamp"]) != stamp:
            return None
        database, record, kind = (str(part) for part in kept["what"])
        arrays = {name: kept[name] for name in _ARRAYS}
        reference = Annotations.of(
            kept["times"], kept["symbols"].tolist(), kept["subtypes"].tolist(), kept["notes"].tolist()
        )
        length = int(kept["length"])
        rate_hz = float(kept["rate_hz"])
    return Passage(
        database=database,
        record=record,
        kind=kind,
        rate_hz=rate_hz,
        reference=reference,
        length=None if length < 0 else length,
        **arrays,
    )
