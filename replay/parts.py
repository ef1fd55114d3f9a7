"""The parts that a WFDB record is stored in, and which signal of a part is which of the record's.

Each segment of a record of several is a part; any other record is one. Segments of a fixed layout all have the same
signals, told by their place, with or without a name. Those of a variable layout are told by their names, and several
of one name by their order.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final

import wfdb

from stream.errors import RecordError

GAP: Final = "~"  # instead of a segment's name: nothing was recorded


@dataclasses.dataclass(frozen=True, eq=False)
class Part:
    """A stretch of a record.

    Attributes
    ----------
    name : str
        Of its header: the record's own where that is all in one part, `GAP` where nothing is stored.
    header : wfdb.Record or None
        None of a gap.
    instants : int or None
        Its length; None where the header of a record in one part gives none.
    """

    name: str
    header: Any
    instants: int | None


@dataclasses.dataclass(frozen=True, eq=False)
class Parts:
    """All parts of a record.

    Attributes
    ----------
    record : str
        Its name.
    names, units : list of str
        Of its signals; those of several segments are told by the first, which is the layout if there is one.
    parts : list of Part
        In the order of time.
    fixed : bool
        Whether all have the same signals.
    """

    record: str
    names: list[str]
    units: list[str]
    parts: list[Part]
    fixed: bool

    def column(self, part: Part, signal: int) -> int | None:
        """Which signal of a part is this one of the record; None if it was not recorded then.

        Raises
        ------
        RecordError
            If that cannot be known.
        """
        if part.header is None or part.instants == 0:
            return None
        own = [name or "" for name in part.header.sig_name or []]
        if self.fixed:
            if signal < len(own):
                return signal
            raise RecordError(
                f"record {self.record}: segment {part.name} has {len(own)} signals, those before it "
                f"{len(self.names)}; put a layout segment of length 0 first if its signals change"
            )
        name = self.names[signal]
        theirs = [i for i, other in enumerate(own) if other == name]
        ours = [i for i, other in enumerate(self.names) if other == name]
        if theirs and len(theirs) != len(ours):
            raise RecordError(
                f"record {self.record}: {len(ours)} of its signals are called {name or 'nothing at all'}, in segment "
                f"{part.name} {len(theirs)}, and which they are is not known; give each a name of its own in the "
                "headers of all segments"
            )
        return theirs[ours.index(signal)] if theirs else None

    def formats(self, signal: int) -> set[str]:
        """Formats (signal(5)) that the samples of one signal are stored in, of all parts that have it."""
        columns = [(part, self.column(part, signal)) for part in self.parts]
        return {part.header.fmt[column] for part, column in columns if column is not None}


def of(path: Path, header: Any) -> Parts:
    """The parts of a record.

    Parameters
    ----------
    path : Path
        The record without extension.
    header : wfdb.Record or wfdb.MultiRecord
        See `headers.opened`.

    Raises
    ------
    RecordError
        If it has no layout and yet a gap, or nothing but gaps.
    """
    if not isinstance(header, wfdb.MultiRecord):
        return Parts(path.name, *_signals(header), [Part(path.name, header, header.sig_len)], fixed=True)
    fixed = header.layout == "fixed"
    if fixed and GAP in header.seg_name:
        raise RecordError(
            f"record {path.name}: its header has a gap (~) but no layout segment before it, and only records of "
            "variable layout may have gaps; put a layout segment of length 0 first"
        )
    first = next((segment for segment in header.segments if segment is not None), None)
    if first is None:
        raise RecordError(f"record {path.name}: all of its segments are empty; choose another record")
    parts = [Part(*part) for part in zip(header.seg_name, header.segments, header.seg_len, strict=True)]
    return Parts(path.name, *_signals(first), parts if fixed else parts[1:], fixed=fixed)


def _signals(header: Any) -> tuple[list[str], list[str]]:
    return [name or "" for name in header.sig_name or []], [unit or "" for unit in header.units or []]
