"""WFDB records as a monitor would have sampled them: int16 steps of a known size around 0 mV.

The record is read once and whole; half an hour of two leads takes some 10 ms. What a frame cannot carry (a rate
outside 100 to 1000 Hz, no ECG among the signals) is refused here, with a message that says what to do.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import difflib
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import wfdb

from replay import folders, headers, leads, parts, rates, samples
from replay.signal_files import FORMATS
from stream.errors import RecordError, SettingsError
from stream.frames import MAX_LEADS


@dataclasses.dataclass(frozen=True, eq=False)
class Record:
    """The ECG of one record.

    A recorder that is coupled to DC carries the offset of its electrodes, up to `samples.FARTHEST_MV`. A lead whose
    median is farther than `samples.OFFSET_MV` from 0 is told relative to that; all others are told as recorded.
    Readings farther than `FARTHEST_MV` from there, if they do not fit 16 bits at the file's own step, are told as that
    far: a fault of one sample does not cost the others their resolution.

    Attributes
    ----------
    name : str
        The record's name, without folder.
    rate_mHz : int
        Samples per second and lead, in millihertz.
    leads : tuple of str
        ISO/IEEE 11073-10101 reference ids, at most 12, all different.
    units_per_bit : tuple of float
        Millivolts per step of each lead.
    samples : int16 array, shape (instants, leads)
        0 is 0 mV; `stream.frames.INVALID` where there is no reading.
    start : datetime or None
        The header's time of the first sample, taken as UTC; None where it gives no date and time, or none that can be.
    held : int
        How many of the instants, at the end, are no readings but the last one held (see `framing.held`).
    """

    name: str
    rate_mHz: int
    leads: tuple[str, ...]
    units_per_bit: tuple[float, ...]
    samples: npt.NDArray[np.int16]
    start: dt.datetime | None = None
    held: int = 0

    @property
    def seconds(self) -> float:
        """Length of the record, with what is held."""
        return len(self.samples) * 1000 / self.rate_mHz


def read_record(path: Path | str) -> Record:
    """Read the ECG leads of a WFDB record.

    Parameters
    ----------
    path : Path
        The record without extension, or its ``.hea`` file. Multi-segment records are joined, their missing stretches
        marked invalid. Records of several samples per frame come at the frame rate, to which their annotations refer,
        if that is 100 Hz at least (see `rates.choose`).

    Raises
    ------
    RecordError
        If a file is missing, damaged or shorter than its header says, if the sampling rate is not within 100 to
        1000 Hz, or if there is no ECG in it.
    """
    path = Path(path)
    path = path.with_suffix("") if path.suffix == ".hea" else path
    with headers.opened(path) as (place, header):
        stored = parts.of(path, header)
        chosen, per_frame = rates.choose(header, stored, _chosen(path, header, stored))
        columns, steps = samples.columns(place, stored, chosen, per_frame)
    return Record(
        name=path.name,
        rate_mHz=rates.millihertz(header, per_frame),
        leads=leads.codes(stored.names[i] for i in chosen),
        units_per_bit=tuple(steps),
        samples=columns,
        start=headers.start(header),
    )


def samples_per_frame(path: Path) -> int:
    """How many samples `read_record` reads of a frame: 1, but where frames come more slowly than 100 times a second.

    Raises
    ------
    RecordError
        If the record's header does not tell of an ECG that is read.
    """
    with headers.opened(path) as (_, header):
        stored = parts.of(path, header)
        return rates.choose(header, stored, _chosen(path, header, stored))[1]


def _chosen(path: Path, header: Any, stored: parts.Parts) -> list[int]:
    """Which signals are read: the first ECG leads that have samples, known ones before others."""
    names, units = stored.names, stored.units
    ecg = [i for i, (n, u) in enumerate(zip(names, units, strict=True)) if leads.is_ecg(n, u)]
    if not ecg:
        found = ", ".join(f"{n or 'unnamed'} [{u}]" for n, u in zip(names, units, strict=True)) or "no signals"
        if unscaled := [i for i, (n, u) in enumerate(zip(names, units, strict=True)) if leads.is_unscaled(n, u)]:
            raise RecordError(
                f"record {path.name}: no ECG among its signals ({found}): {units[unscaled[0]]} is no unit of voltage, "
                f"so that the size of {names[unscaled[0]] or 'a signal'} is not known; write the steps per mV and the "
                "unit mV (or uV, V) into its header, such as 200/mV"
            )
        raise RecordError(f"record {path.name}: no ECG among its signals ({found}); choose a record with one")
    if headers.is_empty(path, header):
        raise RecordError(f"record {path.name}: it has no samples; choose another record")
    formats = {i: stored.formats(i) for i in ecg}
    chosen = [i for i in ecg if formats[i].difference({headers.NULL})]
    chosen = sorted(sorted(chosen, key=lambda i: leads.code(names[i]) == leads.UNSPECIFIED)[:MAX_LEADS])
    if not chosen:
        raise RecordError(
            f"record {path.name}: no samples of its ECG are stored, its header has it as null signals (format 0) or in "
            "none of its segments; choose another record"
        )
    if unknown := set[str]().union(*(formats[i] for i in chosen)).difference(FORMATS):
        kind = "a null signal in a part of the record" if unknown == {headers.NULL} else "its ECG's format"
        raise RecordError(
            f"record {path.name}: format {', '.join(sorted(unknown))} ({kind}) is not read, only "
            f"{', '.join(FORMATS)}; convert it (WFDB's `xform -i {path.name} -o NEW -O 16`) and play the result"
        )
    if not isinstance(header, wfdb.MultiRecord) and header.sig_len is None and header.file_name[0] == "~":
        raise RecordError(
            f"record {path.name}: its header gives no length, and its first signal is a null signal (~) that has none; "
            "write the number of samples after the sampling rate"
        )
    return chosen


def find_records(
    data_dirs: Sequence[Path], names: Sequence[str] | None = None, database: str | None = None
) -> list[Path]:
    """Where records are, as paths without extension.

    Parameters
    ----------
    data_dirs : sequence of Path
        Folders of databases, or databases themselves, best first (see `stream.settings.data_dirs`).
    names : sequence of str, optional
        Records wanted, in this order: ``208``, ``mitdb/208``, or a path. Without: all records of the first
        folder that has any, in the order of their names. What begins with ``/``, ``./`` or ``../`` is a path and
        nothing else; ``own/208``, ``own/208.hea`` and ``208.hea`` are paths if they are there, a bare ``208`` is none.
    database : str, optional
        Look only in folders of this name, such as ``mitdb``.

    Raises
    ------
    RecordError
        If a record is not there or its bare name is in several databases of one folder.
    """
    if not names:
        for folder in data_dirs:
            if found := folders.records(folder, database):
                return found
        raise RecordError(f"no WFDB records{_in(data_dirs, database)}; {_advice(database)}")
    return [_find(name, data_dirs, database) for name in names]


def wanted(options: Sequence[str] | None = None, arguments: Sequence[str] | None = None) -> list[str]:
    """Record names from a command line, where one text may hold several.

    Between them are commas, or in an option blanks, too. A text that is the path of a record is one name, whatever is
    in it.

    Raises
    ------
    SettingsError
        If there is nothing in what was given: an empty variable of a script does not mean all records.

    >>> wanted(["208,201", "mitdb/100 101"], ["my data/102"])
    ['208', '201', 'mitdb/100', '101', 'my data/102']
    """
    names: list[str] = []
    for texts, between in ((options, r"[,\s]+"), (arguments, ",")):
        for text in texts or ():
            whole = _is_path(text)
            names += [text] if whole else [name for part in re.split(between, text) if (name := part.strip())]
    if not names and (options or arguments):
        raise SettingsError("nothing is named; leave the option out for all there are")
    return names


def _is_path(text: str) -> bool:
    try:
        return Path(f"{text.removesuffix('.hea')}.hea").is_file()
    except OSError:  # a list of many names is longer than a file's name may be
        return False


def _begins_as_path(text: str) -> bool:
    """Whether a text can be nothing but a path; `Path` itself leaves ``./`` out."""
    return Path(text).is_absolute() or text.replace(os.sep, "/").startswith(("./", "../"))


def _find(name: str, data_dirs: Sequence[Path], database: str | None) -> Path:
    wanted = Path(name.removesuffix(".hea"))
    only_path = _begins_as_path(name)
    if (only_path or wanted.parent != Path() or name.endswith(".hea")) and _is_path(name):
        # Where the folder has no name of its own, it gets it: reports name a record with its folder.
        return wanted if wanted.parent.name not in {"", ".."} else wanted.parent.resolve() / wanted.name
    if Path(name).is_file():
        record = str(wanted.with_suffix(""))
        advice = f"name {record}" if _is_path(record) else "convert it (`edf2mit` of the WFDB software reads EDF)"
        raise RecordError(f"{name} is a file, but no header of a WFDB record; {advice}")
    if only_path:
        advice = f"all that is in this folder is --data-dir {name}" if Path(name).is_dir() else "correct the path"
        raise RecordError(
            f"no record {name}: there is no file {name.removesuffix('.hea')}.hea; {advice}, or name a record of a data "
            "folder as 208 or mitdb/208"
        )
    for folder in data_dirs:
        direct = folder / (database or "") / wanted
        if (direct.parent / f"{direct.name}.hea").is_file():
            return direct
        found = [p for p in folders.records(folder, database) if _is_called(p, wanted)]
        if len(found) > 1:
            places = ", ".join(p.relative_to(folder).as_posix() for p in found)
            raise RecordError(f"record {name} is in several databases ({places}); name one of these")
        if found:
            return found[0]
    for folder in data_dirs:
        if within := folders.records(folder, name):
            raise RecordError(
                f"{name} is a database, not a record; one of its records is "
                f"{within[0].relative_to(folder).as_posix()}, and commands that take all of it have --database {name}"
            )
    known = {path.name for folder in data_dirs for path in folders.records(folder, database)}
    near = difflib.get_close_matches(wanted.name, known, n=5)
    hint = f"; similar are {', '.join(near)}" if near else ""
    raise RecordError(f"no record {name}{_in(data_dirs, database)}{hint}; {_advice(database)}")


def _is_called(path: Path, wanted: Path) -> bool:
    """Whether a record goes by this name: ``mitdb/100`` may lie in a folder of its version."""
    if path.parts[-len(wanted.parts) :] == wanted.parts:
        return True
    return len(wanted.parts) == 2 and (folders.database_of(path.parent), path.name) == wanted.parts


def _in(data_dirs: Sequence[Path], database: str | None) -> str:
    where = ", ".join(map(str, data_dirs)) or "any data folder"
    return f" of {database} in {where}" if database else f" in {where}"


def _advice(database: str | None) -> str:
    return f"name its folder with --data-dir or fetch it with `telebeat download {database or 'mitdb'}`"
