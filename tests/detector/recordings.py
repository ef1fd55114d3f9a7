"""Signals to hold the detector's properties against: real recordings of every database at hand, and made ones.

Without an option a seeded stretch of each record is taken, the same on every machine; `pytest --every-record` takes
whole records. A database that is not there is skipped with its name, and so it stays in CI: a fresh machine has none.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pytest
import wfdb

from detector.detector import Detector
from detector.types import LEADS
from model import noise
from replay import script
from replay.records import Record, find_records, read_record
from stream.errors import RecordError
from stream.settings import data_dirs
from tests.detector.hearts import counts, ecg

STRETCH_S: Final = 30.0  # of each record: about forty beats, more than any level remembers
INVALID: Final = -32768
LARGEST: Final = 32767

#: Folders of records, each with the name `telebeat download` gives it where that differs.
FOLDERS: Final = {
    **{name: (name,) for name in ("mitdb", "svdb", "ludb", "cpsc2021", "afpdb", "vfdb", "cudb", "ptbdb", "edb")},
    "cinc2015": ("cinc2015", "challenge-2015"),
    "cinc2017": ("cinc2017", "challenge-2017"),
}
MIXED: Final = "nstdb"  # noise of nstdb in records of mitdb
MADE: Final = ("made", "scripts")  # these need no records

#: A test of every source; those that need records are marked so.
each_source = pytest.mark.parametrize(
    "source", [*MADE, *(pytest.param(name, marks=pytest.mark.data) for name in (*FOLDERS, MIXED))]
)

#: State that holds what an earlier call found, left where it was: nobody reads it.
QUEUES: Final = ("peaks", "epochs")


@dataclass(frozen=True, eq=False)
class Strip:
    """One or two leads of a recording, as the detector takes them.

    Attributes
    ----------
    name : str
        Database, record, first second.
    rate_hz : float
    mv_per_bit : float64, shape (leads,)
    samples : int16, shape (instants, leads)
        `INVALID` where there is no reading.
    """

    name: str
    rate_hz: float
    mv_per_bit: npt.NDArray[np.float64]
    samples: npt.NDArray[np.int16]

    @property
    def seed(self) -> int:
        """A number of this strip's own, the same on every machine."""
        return zlib.crc32(self.name.encode())

    def of(self, samples: npt.NDArray[np.int16]) -> Strip:
        """The same leads with other samples."""
        return replace(self, samples=samples)

    def detector(self) -> Detector:
        """A detector that has seen nothing yet."""
        return Detector(self.rate_hz, self.mv_per_bit, INVALID)

    @functools.cached_property
    def whole(self) -> DetectorRun:
        """What a detector says of all of it, in one piece."""
        return said(self)


@dataclass(frozen=True, eq=False)
class DetectorRun:
    """What a detector said of a strip, and what it knows after it."""

    peaks: npt.NDArray[Any]
    epochs: npt.NDArray[Any]
    state: dict[str, bytes]

    def until(self, tick: int) -> tuple[bytes, bytes]:
        """Everything decided up to a tick, as bytes."""
        return self.peaks[self.peaks["found"] <= tick].tobytes(), self.epochs[self.epochs["tick"] <= tick].tobytes()


def said(strip: Strip, cuts: Sequence[int] = (), detector: Detector | None = None) -> DetectorRun:
    """Run a strip through a detector, cut into these numbers of samples in turn; none: in one piece."""
    detector = detector or strip.detector()
    peaks: list[npt.NDArray[Any]] = []
    epochs: list[npt.NDArray[Any]] = []
    first = turn = 0
    while first < len(strip.samples) or not peaks:
        step = cuts[turn % len(cuts)] if cuts else len(strip.samples)
        some = detector.update(strip.samples[first : first + step])
        peaks.append(some[0])
        epochs.append(some[1])
        first, turn = first + step, turn + 1
    return DetectorRun(np.concatenate(peaks), np.concatenate(epochs), known(detector))


def known(detector: Detector) -> dict[str, bytes]:
    """Every field of a detector's state but its queues, as bytes: NaN equals NaN, -0 is not 0."""
    return dict(_fields("", detector.state()))


def _fields(name: str, value: npt.NDArray[Any]) -> Iterator[tuple[str, bytes]]:
    if value.dtype.names is None:
        yield name, value.tobytes()
        return
    for field in value.dtype.names:
        if name or field not in QUEUES:
            yield from _fields(f"{name}.{field}" if name else field, value[field])


def differing(one: dict[str, bytes], other: dict[str, bytes]) -> list[str]:
    """Names of the fields in which two states differ."""
    return [name for name in one if one[name] != other[name]]


def needed(tick: int, rate_hz: float) -> int:
    """How many samples complete a tick: its two neighbours up to 250 Hz, all its stretch of time above."""
    rate, unit = round(rate_hz * 1000), 250_000
    if rate <= unit:
        return -(-tick * rate // unit) + 1
    return -(-((2 * tick + 1) * rate + unit) // (2 * unit))


def strips(source: str, *, every: bool = False, most: int | None = None) -> Iterator[Strip]:
    """The strips of a source.

    Parameters
    ----------
    source : str
        One of `MADE`, `FOLDERS` or `MIXED`. The test is skipped when its records are not at hand.
    every : bool
        Whole records instead of a stretch of each.
    most : int, optional
        No more than so many, spread over the source.
    """
    if source == "made":
        some = _made()
    elif every:
        paths = _paths(source)
        yield from (_whole(source, path) for path in paths[:: _stride(len(paths), most)])
        return
    else:
        some = _stretches(source)
    yield from some[:: _stride(len(some), most)]


def _stride(count: int, most: int | None) -> int:
    return 1 if most is None else max(-(-count // most), 1)


@functools.cache
def _made() -> tuple[Strip, ...]:
    """Plain hearts at every usual rate, with noise, another amplitude, a lead off and then both."""
    out = []
    for number, (rate_hz, bpm) in enumerate(
        [(100, 60), (128, 110), (200, 45), (250, 75), (257, 180), (300, 90), (360, 66), (500, 130), (1000, 80)]
    ):
        mv, _ = ecg(STRETCH_S, bpm, rate_hz=rate_hz, noise_mv=0.03 * (number % 4), seed=number)
        lost = int((5 + number) * rate_hz)
        mv[lost : lost + 2 * rate_hz, number % 2] = np.nan
        mv[3 * lost : 3 * lost + rate_hz] = np.nan
        mv[2 * lost :] *= (1.0, 0.4, 2.5)[number % 3]
        out.append(Strip(f"made/{rate_hz} Hz", rate_hz, np.full(2, 0.005), counts(mv)))
    return tuple(out)


def _paths(source: str) -> list[Path]:
    """Where the records of a source are; a built-in script has its name for a path."""
    if source == "scripts":
        return [Path(name) for name in script.builtin()]
    if source == MIXED:
        _folder(("nstdb",))
        return _folder(("mitdb",))
    return _folder(FOLDERS[source])


def _folder(names: Sequence[str]) -> list[Path]:
    for name in names:
        try:
            return find_records(data_dirs(), None, name)
        except RecordError:
            continue
    pytest.skip(f"no records of {names[0]} in any data folder: telebeat download {names[-1]}, or TELEBEAT_DATA_DIR")


@functools.cache
def _stretches(source: str) -> tuple[Strip, ...]:
    return tuple(_stretch(_whole(source, path, first_s=STRETCH_S * 15)) for path in _paths(source))


def _stretch(strip: Strip, seconds: float = STRETCH_S) -> Strip:
    """A seeded stretch; of a noise mix one that holds noise."""
    random = np.random.default_rng(strip.seed)
    length = int(seconds * strip.rate_hz)
    clean = int((noise.CLEAN_S - seconds / 2) * strip.rate_hz) if strip.name.startswith(MIXED) else 0
    first = int(random.integers(clean, max(len(strip.samples) - length, clean) + 1))
    samples = strip.samples[first : first + length].copy()
    return replace(strip, name=f"{strip.name} {first / strip.rate_hz:.0f} s", samples=samples)


def _whole(source: str, path: Path, first_s: float | None = None) -> Strip:
    """A record with one or two of its leads; only a mix, which is dear to make, is cut to its first seconds."""
    record = script.load(path.name).record if source == "scripts" else read_record(path)
    name = f"{source}/{record.name}"
    random = np.random.default_rng(zlib.crc32(name.encode()))
    many = len(record.leads)
    leads = np.sort(random.choice(many, LEADS, replace=False)) if many > LEADS else np.arange(many)
    strip = Strip(
        name,
        record.rate_mHz / 1000,
        np.array(record.units_per_bit)[leads],
        np.ascontiguousarray(record.samples[:, leads]),
    )
    return _noisy(strip, path, record, random, first_s) if source == MIXED else strip


def _noisy(strip: Strip, path: Path, record: Record, random: np.random.Generator, first_s: float | None) -> Strip:
    """A record of mitdb with noise of a seeded kind at a seeded level, as the noise stress test mixes it."""
    length = len(record.samples) if first_s is None else int(first_s * strip.rate_hz)
    kind, level = str(random.choice(noise.KINDS)), int(random.choice(noise.LEVELS_DB))
    recorded, rate_hz = _recorded_noise(kind)
    marks = wfdb.rdann(str(path), "atr", sampto=length)
    beats = marks.sample[np.isin(marks.symbol, list("NLRV/"))]
    clean = np.where(strip.samples == INVALID, np.nan, strip.samples * strip.mv_per_bit)[:length]
    mixed = noise.mix(clean, beats, strip.rate_hz, recorded, rate_hz, level) / strip.mv_per_bit
    steps = np.clip(np.rint(np.nan_to_num(mixed)), -LARGEST, LARGEST).astype(np.int16)
    name = f"{strip.name} {kind} {level} dB"
    return replace(strip, name=name, samples=np.where(np.isnan(mixed), np.int16(INVALID), steps))


@functools.cache
def _recorded_noise(kind: str) -> tuple[npt.NDArray[np.float64], float]:
    record = read_record(find_records(data_dirs(), [kind], "nstdb")[0])
    return record.samples * np.array(record.units_per_bit), record.rate_mHz / 1000


def stretch_of(database: str, name: str, first_s: float, seconds: float) -> Strip:
    """This stretch of this record; the test is skipped without it."""
    paths = [path for path in _folder(FOLDERS[database]) if path.name == name]
    if not paths:
        pytest.skip(f"no record {name} of {database}: telebeat download {FOLDERS[database][-1]}")
    strip = _whole(database, paths[0])
    part = slice(int(first_s * strip.rate_hz), int((first_s + seconds) * strip.rate_hz))
    return replace(strip, name=f"{strip.name} {first_s:.0f} s", samples=strip.samples[part].copy())
