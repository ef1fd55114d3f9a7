"""Annotated records to measure R-peak detectors on: databases as they are, and mixed with recorded noise."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from model import noise
from model.bench import Case
from model.dataset import REFERENCE
from model.ec57 import read
from model.ec57.annotations import CLASS_OF
from model.strip import Strip
from replay.records import find_records, read_record
from stream.errors import RecordError, SettingsError

#: Records of mitdb that noise is added to: of those for development, the ones with the least noise of their own and an
#: ordinary share of ectopic beats. 118 and 119 are not among them: with `em` they would be nstdb's own held-out mixes.
CLEAN: Final = ("101", "112", "115", "122", "205", "209", "220", "230")
CLEAN_DATABASE: Final = "mitdb"
NOISE_DATABASE: Final = "nstdb"

#: What is measured on when nobody says so.
DATABASES: Final = ("mitdb", "svdb", "noise-em")

#: `noise-em-6` is 6 dB, `noise-em_6` is -6 dB, as in the names of nstdb (118e06, 118e_6).
_MIX: Final = re.compile(rf"noise(?:-({'|'.join(noise.KINDS)})(?:([-_])(\d+))?)?")


def expand(names: Sequence[str]) -> list[str]:
    """Databases with `noise` and `noise-em` written out as mixes at each level.

    >>> expand(["svdb", "noise-bw"])
    ['svdb', 'noise-bw-24', 'noise-bw-18', 'noise-bw-12', 'noise-bw-6', 'noise-bw-0', 'noise-bw_6']
    """
    written: list[str] = []
    for name in names:
        found = _MIX.fullmatch(name)
        if name.startswith("noise") and not found:
            raise SettingsError(
                f"{name}: a mix is called noise-KIND-DB, or noise-KIND_DB below 0 dB: noise-em-12, noise-em_6; "
                f"kinds are {', '.join(noise.KINDS)}"
            )
        if not found:
            written.append(name)
            continue
        kinds = (found[1],) if found[1] else noise.KINDS
        if found[3]:
            written.append(name)
        else:
            written += [f"noise-{kind}{'-_'[db < 0]}{abs(db)}" for kind in kinds for db in noise.LEVELS_DB]
    return list(dict.fromkeys(written))


def mixed_db(database: str) -> int | None:
    """Signal-to-noise ratio of a mix, None of a real database."""
    found = _MIX.fullmatch(database)
    return int(found[3]) * (-1 if found[2] == "_" else 1) if found and found[3] else None


def noise_kind(database: str) -> str:
    """Kind of noise of a mix."""
    found = _MIX.fullmatch(database)
    return found[1] if found and found[1] else ""


def cases(
    folders: Sequence[Path],
    database: str,
    chosen: Sequence[str] | None,
    most: int | None,
    remark: Callable[[str], None] | None = None,
) -> list[Case]:
    """The annotated records of a database, or of a mix.

    Parameters
    ----------
    folders : sequence of Path
        Where databases are.
    database : str
        Its folder's name, or a mix such as ``noise-em-12``.
    chosen : sequence of str, optional
        Names of the records wanted.
    most : int, optional
        Take only so many.
    remark : callable, optional
        Told of a record that is left out, and why; without, one that cannot be read is an error.

    Raises
    ------
    RecordError
        None is there, or one cannot be read.
    """
    level = mixed_db(database)
    if level is None:
        there = find_records(folders, None, database)
        paths = [path for path in there if path.with_name(f"{path.name}.atr").is_file()]
        if remark is not None and (bare := [path.name for path in there if path not in paths]):
            remark(f"{database}: without reference annotations (*.atr), left out: {', '.join(bare)}")
    else:
        paths = find_records(folders, None if chosen else CLEAN, CLEAN_DATABASE)
    if chosen:
        wanted = {name.rsplit("/", 1)[-1] for name in chosen if "/" not in name or name.startswith(f"{database}/")}
        paths = [path for path in paths if path.name in wanted]
    if not paths:
        named = f" called {', '.join(chosen)}" if chosen else ""
        raise RecordError(
            f"{database}: no records with beat annotations{named} in {', '.join(map(str, folders))}; "
            "fetch it with `telebeat download`, or choose others with --databases and --records"
        )
    made = []
    reason = ""
    for path in paths[:most]:
        try:
            made.append(_case(path, database, level, folders))
        except RecordError as error:
            if remark is None:
                raise
            reason = str(error)
            remark(f"{database}: left out: {reason}")
    if not made:
        raise RecordError(f"{database}: none of {len(paths[:most])} records can be measured on, the last: {reason}")
    return made


def _case(path: Path, database: str, level: int | None, folders: Sequence[Path]) -> Case:
    record = read_record(path)
    truth = read(path.parent, path.name, REFERENCE, record.rate_mHz / 1000)
    if not any(symbol in CLASS_OF for symbol in truth.symbols):
        raise RecordError(f"record {path.name}: its reference {path}.atr marks no beats; choose a record with some")
    clean = Case(database, path.name, Strip.of(record), truth)
    return clean if level is None else mixed(clean, read_noise(folders, noise_kind(database)), level)


def read_noise(folders: Sequence[Path], kind: str) -> Strip:
    """The recording of one of `noise.KINDS`."""
    (path,) = find_records(folders, [kind], NOISE_DATABASE)
    return Strip.of(read_record(path))


def mixed(clean: Case, added: Strip, level: int, on: npt.NDArray[np.bool_] | None = None) -> Case:
    """A case with noise in every lead.

    Parameters
    ----------
    clean : Case
        The size of its normal beats, or of all where none is normal, is what the noise is measured against.
    added : Strip
        The noise.
    level : int
        Signal-to-noise ratio, dB.
    on : bool, shape (instants,), optional
        Where there is noise; as in the standard protocol otherwise.

    Raises
    ------
    RecordError
        It has no beats to be measured against.
    """
    strip, truth = clean.strip, clean.truth
    normal = [s for s, symbol in zip(truth.samples, truth.symbols, strict=True) if CLASS_OF.get(symbol) == "N"]
    every = [s for s, symbol in zip(truth.samples, truth.symbols, strict=True) if symbol in CLASS_OF]
    noise_mv = added.mv[:, : added.leads]
    try:
        mv = noise.mix(strip.mv, normal or every, strip.rate_hz, noise_mv, added.rate_hz, level, on)
    except ValueError as error:
        raise RecordError(f"record {clean.record} cannot be mixed with noise: {error}; choose another") from error
    return replace(clean, strip=Strip.of_mv(mv, strip.rate_hz))
