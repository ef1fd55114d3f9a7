"""What lies below a data folder: its records, also where a database is a link to where there is room for it."""

from __future__ import annotations

import os
import re
from pathlib import Path


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
        Only those in folders of this name.
    """
    headers = files(folder, ".hea")
    if database is not None:
        headers = [h for h in headers if database in (folder.name, *h.relative_to(folder).parts[:-1])]
        place = folder / database
        if not headers and place.is_symlink() and place.is_relative_to(folder):
            headers = files(place, ".hea")  # another link to the same folder comes first
    parts = {part for header in headers for part in _segments(header)}
    return sorted((path for h in headers if (path := h.with_suffix("")) not in parts), key=_natural)


def _segments(header: Path) -> list[Path]:
    try:
        lines = [s for line in header.read_text("latin-1").splitlines() if (s := line.strip()) and s[0] != "#"]
    except OSError:
        return []
    if not lines or "/" not in lines[0].split()[0]:
        return []
    return [header.parent / line.split()[0] for line in lines[1:] if line.split()[0] != "~"]


def _natural(path: Path) -> list[tuple[int, int, str]]:
    """Order in which people count: 2 before 10."""
    pieces = re.findall(r"\d+|\D+", path.as_posix())
    return [(0, int(p), "") if p.isdecimal() else (1, 0, p) for p in pieces]
