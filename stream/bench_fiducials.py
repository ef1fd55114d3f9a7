"""What `telebeat bench fiducials` measures and prints: delineated records played lead by lead and in pairs of leads."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.table import Table

from model import delineation_peer
from model.delineation import FIDUCIALS, Fiducials, Found, follow
from model.delineation_marks import DATABASES, LUDB, Database
from model.delineation_score import FOLDS, both, cross_validate, nearer, shipped, table
from replay.folders import records as folder_records
from replay.records import find_records, read_record
from stream.errors import RecordError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console

SHIPPED, UNSEEN, PAIRED, BOTH, NEARER = (
    "telebeat, constants as shipped",
    "telebeat, constants from other subjects",
    "telebeat, pairs of leads, each lead",
    "telebeat, pairs of leads, both as one",
    "telebeat, pairs of leads, the lead nearer to the mark",
)
PEER, PEER_NEARER = delineation_peer.NAME, f"{delineation_peer.NAME}, the lead nearer to the mark"
JOINED: Final = {BOTH: ("p",), NEARER: ("p", "width"), PEER_NEARER: ("p", "width")}  # what two leads do not tell as one


def database(name: str) -> Database:
    """A database whose waves are marked.

    Raises
    ------
    SettingsError
        No such database is known.
    """
    if name not in DATABASES:
        raise SettingsError(f"nobody has marked waves in {name}: there are {', '.join(DATABASES)}")
    return DATABASES[name]


def records(folders: Sequence[Path], chosen: Sequence[str] | None, source: Database) -> list[Path]:
    """Records of a database whose waves are marked; a folder of records that is given itself may have any name.

    Raises
    ------
    RecordError
        None is there.
    """
    given = len(folders) == 1 and any(folders[0].glob("*.hea")) and not folder_records(folders[0], source.name)
    name = None if given else source.name
    marked = [path for path in find_records(folders, chosen or None, name) if source.is_marked(path)]
    if not marked:
        raise RecordError(
            f"no record of {source.name} with marked waves in {', '.join(map(str, folders))}; "
            f"fetch it with `telebeat download {source.name}`, or name its folder with --data-dir"
        )
    return marked


@dataclass
class _Played:
    """What was read in all records: in each lead alone, in pairs, in pairs as one, and by the peer."""

    single: list[Found] = field(default_factory=list)
    paired: list[Found] = field(default_factory=list)
    peer: list[Found] = field(default_factory=list)
    both: list[Fiducials] = field(default_factory=list)
    nearer: list[Fiducials] = field(default_factory=list)
    peer_nearer: list[Fiducials] = field(default_factory=list)


def _play(
    source: Database, path: Path, subject: int, delineate: delineation_peer.Delineate | None, to: _Played
) -> None:
    """Play a record's leads, alone and in pairs, and have the peer delineate them."""
    record = read_record(path)
    rate_hz = record.rate_mHz / 1000
    columns = source.columns(record.leads)
    marks = source.read(path, list(columns), rate_hz)
    units = np.asarray(record.units_per_bit)
    by_peer = {}
    for lead, k in columns.items():
        to.single += follow(record.samples[:, [k]], rate_hz, units[[k]], [marks[lead]], subject, [lead])
        if delineate is not None:
            mv = record.samples[:, k] * units[k]
            by_peer[lead] = delineation_peer.follow(delineate, mv, rate_hz, marks[lead], subject, lead)
    to.peer += by_peer.values()
    for pair in source.pairs:
        if not all(lead in columns for lead in pair):
            continue
        ks = [columns[lead] for lead in pair]
        two = follow(record.samples[:, ks], rate_hz, units[ks], [marks[lead] for lead in pair], subject, pair)
        to.paired += two
        to.both.append(both(two[0].readings, two[1].readings))
        if source.marks is not None:
            to.nearer.append(nearer(two[0].readings, two[1].readings))
            if by_peer:
                to.peer_nearer.append(nearer(by_peer[pair[0]].readings, by_peer[pair[1]].readings))


def measure(
    source: Database,
    paths: Sequence[Path],
    delineate: delineation_peer.Delineate | None,
    advance: Callable[[], None],
) -> dict[str, Any]:
    """Play all records and judge.

    Returns
    -------
    dict
        ``rows``: a row a method, measurement and lead; ``beats``; ``delay_ms``; ``constants`` as shipped and, on the
        database they were chosen on, as chosen by each fold.
    """
    played = _Played()
    for subject, path in enumerate(paths):
        _play(source, path, subject, delineate, played)
        advance()
    readings = {SHIPPED: _all(played.single)}
    constants: dict[str, Any] = {"shipped": shipped()}
    if source is LUDB and len(paths) >= 2 * FOLDS:  # else there are no other subjects to choose on
        readings[UNSEEN], constants["chosen"] = cross_validate(played.single)
    readings[PAIRED] = _all(played.paired)
    if delineate is not None:
        readings[PEER] = _all(played.peer)
    joined = {BOTH: played.both, NEARER: played.nearer, PEER_NEARER: played.peer_nearer}
    readings |= {name: np.concatenate(some) for name, some in joined.items() if some}
    rows = [{"method": name, **row} for name, some in readings.items() for row in table(some, source.leads)]
    beats = {SHIPPED: _beats(played.single, source), PAIRED: _beats(played.paired, source)}
    if delineate is not None:
        beats[PEER] = _beats(played.peer, source)
    mine = readings[SHIPPED]
    return {
        "database": source.name,
        "records": [path.name for path in paths],
        "rows": [row for row in rows if row["measurement"] not in JOINED.get(row["method"], ())],
        "beats": beats,
        "delay_ms": {"qrs_p_st": _delay(mine["known_ms"]), "t_end": _delay(mine["t_known_ms"])},
        "constants": constants,
        "peer": None if delineate is None else f"neurokit2 {importlib.metadata.version(delineation_peer.PACKAGE)}",
    }


def _all(found: Sequence[Found]) -> Fiducials:
    return np.concatenate([one.readings for one in found] or [np.empty(0, FIDUCIALS)])


def _beats(found: Sequence[Found], source: Database) -> dict[str, int | None]:
    return {
        "marked": sum(one.marked for one in found),
        "found": sum(len(one.readings) for one in found),
        "extra": None if source.chosen_beats else sum(one.extra for one in found),
    }


def _delay(values: Any) -> dict[str, float]:
    levels = {"median": 50, "p99": 99, "longest": 100}
    return {name: float(np.percentile(values, level)) for name, level in levels.items()} if len(values) else {}


TITLES: Final = {
    "onset": "QRS onset, CSE tolerance SD 6.5 ms",
    "end": "QRS end, CSE tolerance SD 11.6 ms",
    "width": "QRS width",
    "t_end": "T end, CSE tolerance SD 30.6 ms",
}


def show(console: Console, figures: dict[str, Any]) -> None:
    """Print the tables."""
    by_lead = UNSEEN if any(row["method"] == UNSEEN for row in figures["rows"]) else SHIPPED
    if figures["database"] == LUDB.name and by_lead == SHIPPED:
        few = f"{len(figures['records'])} records: too few to choose constants on some and judge them on others"
        console.print(few, style="yellow", highlight=False)
    for name, title in TITLES.items():
        shown = Table(title=f"{figures['database']}, {title}: error in ms")
        for heading in ("method", "lead", "beats", "read %", "mean", "SD", "median", "≤ 20 ms %", "SD of subjects"):
            shown.add_column(heading, justify="left" if heading in ("method", "lead") else "right")
        for row in figures["rows"]:
            if row["measurement"] == name and row.get("n") and (row["lead"] == "all" or row["method"] == by_lead):
                cells = [f"{row[key]:+.1f}" if key in ("mean", "median") else f"{row[key]:.1f}" for key in _COLUMNS]
                shown.add_row(row["method"], row["lead"], str(row["n"]), _told(row["read"]), *cells, style=_bold(row))
        console.print(shown)
    shown = Table(title=f"{figures['database']}, P presence, per cent")
    for heading in ("method", "lead", "beats", "told", "Se", "+P", "specificity"):
        shown.add_column(heading, justify="left" if heading in ("method", "lead") else "right")
    for row in figures["rows"]:
        if row["measurement"] == "p" and (row["lead"] == "all" or row["method"] == by_lead):
            cells = [_told(row[key]) for key in ("told", "se", "ppv", "specificity")]
            shown.add_row(row["method"], row["lead"], str(row["n"]), *cells, style=_bold(row))
    console.print(shown)
    for name, beats in figures["beats"].items():
        more = "" if beats["extra"] is None else f", {beats['extra']} more"
        console.print(f"{name}: {beats['found']} of {beats['marked']} marked beats found{more}")
    for name, delay in figures["delay_ms"].items():
        told = ", ".join(f"{key} {value:.0f}" for key, value in delay.items())
        console.print(f"known after the R peak, ms: {name}: {told}", highlight=False)
    if figures["peer"]:
        console.print(f"{figures['peer']} is offline: it has the whole lead before it says anything", highlight=False)


_COLUMNS: Final = ("mean", "sd", "median", "within_20", "sd_of_subjects")


def _told(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _bold(row: dict[str, Any]) -> str:
    return "bold" if row["lead"] == "all" else ""
