"""The databases whose readers marked waves, and how their marks are read.

In ludb every lead was delineated on its own, in a file named after the lead. In qtdb one reader saw both leads of a
record at once and marked some 30 beats of its last minutes in one file, ``q1c``.

Kalyakulina et al., LUDB: a new open-access validation tool for electrocardiogram delineation algorithms, IEEE Access
8:186181, 2020. Laguna et al., A database for evaluation of algorithms for measurement of QT and other waveform
intervals in the ECG, Computers in Cardiology 24:673, 1997.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import wfdb

from model.ec57.annotations import CLASS_OF
from stream.errors import RecordError

QRS: Final = "N"  # kind of a marked QRS complex, whatever its beat


@dataclass(frozen=True)
class Wave:
    """A marked wave in ms from the begin of the record; NaN for an end that is not marked."""

    kind: str  # p, N or t
    onset: float
    peak: float
    end: float


@dataclass(frozen=True)
class Database:
    """A database of delineated records.

    Attributes
    ----------
    name : str
    leads : tuple of str
        What its leads are called in tables.
    pairs : tuple of pairs of int
        Leads that are played together, as a monitor has them, by their place in `leads`.
    marks : str, optional
        Suffix of the file that marks all leads at once; None: a file for each lead, named after it.
    chosen_beats : bool
        Only beats that a reader chose are marked, so what was found between two of them may be right.
    """

    name: str
    leads: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...]
    marks: str | None = None
    chosen_beats: bool = False

    def is_marked(self, path: Path) -> bool:
        """Whether a record has marks."""
        return path.with_name(f"{path.name}.{self.marks or self.leads[0]}").is_file()

    def columns(self, names: Sequence[str]) -> dict[int, int]:
        """The place in `leads` of each lead of a record, and its column there.

        Parameters
        ----------
        names : sequence of str
            The record's leads, such as ``MDC_ECG_LEAD_II``.
        """
        if self.marks is not None:  # marked together, whatever they are called
            return {number: number for number in range(min(len(self.leads), len(names)))}
        at = {name.rsplit("_", 1)[-1].lower(): column for column, name in enumerate(names)}
        return {number: at[lead] for number, lead in enumerate(self.leads) if lead in at}

    def read(self, path: Path, numbers: Sequence[int], rate_hz: float) -> dict[int, list[Wave]]:
        """What readers marked in some leads of a record, by their place in `leads`.

        Raises
        ------
        RecordError
            A file is missing or cannot be read.
        """
        if self.marks is not None:
            told = read_marks(path, self.marks, rate_hz)
            return dict.fromkeys(numbers, told)
        return {number: read_marks(path, self.leads[number], rate_hz) for number in numbers}


#: Pairs of a limb lead and a chest lead each; each lead is in one.
LUDB: Final = Database(
    "ludb",
    ("i", "ii", "iii", "avr", "avl", "avf", "v1", "v2", "v3", "v4", "v5", "v6"),
    ((1, 6), (0, 10), (2, 7), (5, 8), (4, 9), (3, 11)),
)
QTDB: Final = Database("qtdb", ("first", "second"), ((0, 1),), "q1c", chosen_beats=True)
DATABASES: Final = {database.name: database for database in (LUDB, QTDB)}


def read_marks(path: Path, suffix: str, rate_hz: float) -> list[Wave]:
    """What readers marked in one file.

    Raises
    ------
    RecordError
        The file is missing or cannot be read.
    """
    try:
        told = wfdb.rdann(str(path), suffix)
    except FileNotFoundError as error:
        raise RecordError(
            f"record {path.name}: no marks in {path}.{suffix}; fetch the database with `telebeat download`"
        ) from error
    except Exception as error:  # wfdb raises whatever its parser meets
        raise RecordError(f"record {path.name}: its marks in {path}.{suffix} cannot be read ({error})") from error
    return waves(told.sample, told.symbol, rate_hz)


def waves(samples: Sequence[int], symbols: Sequence[str], rate_hz: float) -> list[Wave]:
    """Waves from marks ``( peak )``, any of which but the peak may be missing; a beat of any kind is a QRS complex.

    >>> [(w.kind, w.onset, w.peak, w.end) for w in waves([10, 20, 30, 50], ["(", "V", ")", "t"], 1000)]
    [('N', 10.0, 20.0, 30.0), ('t', nan, 50.0, nan)]
    """
    result: list[Wave] = []
    onset = np.nan
    for k, (sample, symbol) in enumerate(zip(samples, symbols, strict=True)):
        time = float(sample) * 1000.0 / rate_hz
        if symbol == "(":
            onset = time
        elif symbol in CLASS_OF or symbol in ("p", "t", "u"):
            closed = k + 1 < len(symbols) and symbols[k + 1] == ")"
            end = float(samples[k + 1]) * 1000.0 / rate_hz if closed else np.nan
            if symbol != "u":
                result.append(Wave(QRS if symbol in CLASS_OF else symbol, onset, time, end))
            onset = np.nan
    return result
