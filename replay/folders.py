"""What lies below a data folder: its records, also where a database is a link to where there is room for it."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Final

from replay.header_text import fields_of, lines_of

#: Short names of databases whose archives are named after their titles.
_TITLES: Final = {
    "mit-bih-arrhythmia-database": "mitdb",
    "mit-bih-supraventricular-arrhythmia-database": "svdb",
    "mit-bih-noise-stress-test-database": "nstdb",
    "mit-bih-malignant-ventricular-ectopy-database": "vfdb",
    "mit-bih-atrial-fibrillation-database": "afdb",
    "mit-bih-normal-sinus-rhythm-database": "nsrdb",
    "mit-bih-st-change-database": "stdb",
    "cu-ventricular-tachyarrhythmia-database": "cudb",
    "paf-prediction-challenge-database": "afpdb",
    "long-term-af-database": "ltafdb",
    "long-term-st-database": "ltstdb",
    "european-st-t-database": "edb",
    "sudden-cardiac-death-holter-database": "sddb",
    "st-petersburg-incart-12-lead-arrhythmia-database": "incartdb",
    "qt-database": "qtdb",
    "lobachevsky-university-electrocardiography-database": "ludb",
    "ptb-diagnostic-ecg-database": "ptbdb",
    "mit-bih-long-term-database": "ltdb",
}
#: Databases that are known by these names in whatever folder they lie.
DATABASES: Final = frozenset({*_TITLES.values(), "cinc2015", "cinc2017", "cpsc2021"})
_VERSION: Final = re.compile(r"(?:^v?|-)\d+\.\d+\.\d+$")  # as PhysioNet has them


def database_of(folder: Path) -> str:
    """The database that a folder of records is, also in PhysioNet's own layout and in its archives.

    >>> [database_of(Path(p)) for p in ("data/mitdb", "files/mitdb/1.0.0", "mit-bih-arrhythmia-database-1.0.0", "own")]
    ['mitdb', 'mitdb', 'mitdb', 'own']
    """
    place = folder.absolute()  # links keep their names
    if place.name == "files" and _VERSION.fullmatch(place.parent.name):
        place = place.parent
    if _VERSION.fullmatch(place.name) and place.parent.name:
        place = place.parent
    short = _VERSION.sub("", place.name)
    return _TITLES.get(short, short if short in _TITLES.values() else place.name)


def records_folder(data: Path, database: str) -> Path:
    """The folder of a database's records below a data folder; what it would usually be where there are none."""
    direct = data / database
    if any(direct.glob("*.hea")) or not (found := records(data, database)):
        return direct
    return found[0].parent


def database_folder(data: Path, database: str) -> Path | None:
    """The folder that has all of a database's records, also those in folders of their own; None where there are none.

    The data folder may be that folder, and be a link to it.
    """
    for path in records(data, database)[:1]:
        return next((place for place in _up_to(data, path.parent) if _is(place, database)), path.parent)
    return data if _is(data.resolve(), database) and files(data, ".hea") else None


def above(folder: Path) -> Path:
    """The data folder that a database's folder lies in."""
    place = folder.absolute()
    while place.parent != place and database_of(place.parent) == database_of(folder):
        place = place.parent
    return place.parent


def files(folder: Path, ending: str) -> list[Path]:
    """Files below a folder whose names end so, in the order of their paths; none if there is no such folder.

    Links to folders are followed, and each folder is walked once: a link to a folder above it would have no end, and a
    record under two names would be two records. One that is there without a link goes by that name, another by the
    link that leads to it most directly, the first of equals.
    """
    found: list[Path] = []
    walked: set[Path] = set()
    places = [folder]
    while places:
        links: list[Path] = []
        for place in places:
            for base, inner, names in os.walk(place):
                here = Path(base)
                if (real := here.resolve()) in walked:
                    inner.clear()
                    continue
                walked.add(real)
                found += [here / name for name in names if name.endswith(ending) and name != ending]
                links += [here / name for name in inner if (here / name).is_symlink()]
        # After all that is there without them, and the deepest target first: a link to a database names it better
        # than one to where all of them are kept.
        places = sorted(links, key=lambda link: (-len(link.resolve().parts), link))
    return sorted(found)


def records(folder: Path, database: str | None = None) -> list[Path]:
    """Records below a folder, without extension, in the order in which people count.

    Segments and layouts of multi-segment records are parts of theirs, not listed.

    Parameters
    ----------
    folder : Path
    database : str, optional
        Only those in folders of this name, or that are this database by `database_of`, or within such.
    """
    headers = files(folder, ".hea")
    if database is not None:
        places = {header.parent for header in headers}
        of_it = {place for place in places if any(_is(one, database) for one in _up_to(folder, place))}
        headers = [header for header in headers if header.parent in of_it]
        place = folder / database
        if not headers and place.is_symlink() and place.is_relative_to(folder):
            headers = files(place, ".hea")  # another link to the same folder comes first
    parts = {part for header in headers for part in _segments(header)}
    return sorted((path for h in headers if (path := h.with_suffix("")) not in parts), key=_natural)


def _is(place: Path, database: str) -> bool:
    return database in (place.name, database_of(place))


def _up_to(folder: Path, place: Path) -> list[Path]:
    """A place below a folder, and all that it lies in up to that folder."""
    return [place, *(parent for parent in place.parents if parent.is_relative_to(folder))]


def _segments(header: Path) -> list[Path]:
    try:
        lines = [fields for line in lines_of(header.read_bytes()) if (fields := fields_of(line))]
    except OSError:
        return []
    if not lines or "/" not in lines[0][0]:
        return []
    return [header.parent / fields[0] for fields in lines[1:] if fields[0] != "~"]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Order in which people count: 2 before 10."""
    pieces = re.findall(r"\d+|\D+", path.as_posix())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces]
