"""What `telebeat bench fiducials` measures and prints: ludb played lead by lead and in pairs of leads."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from rich.table import Table

from model import delineation_peer
from model.delineation import LEADS_12, PAIRS, Found, Wave, follow, read_marks
from model.delineation_score import both, cross_validate, shipped, table
from replay.records import find_records, read_record
from stream.errors import RecordError

if TYPE_CHECKING:
    from rich.console import Console

DATABASE: Final = "ludb"
SHIPPED, UNSEEN, PAIRED, BOTH = (
    "telebeat, constants as shipped",
    "telebeat, constants from other subjects",
    "telebeat, pairs of leads, each lead",
    "telebeat, pairs of leads, both as one",
)


def records(folders: Sequence[Path], chosen: Sequence[str] | None) -> list[Path]:
    """Records of ludb whose leads are marked.

    Raises
    ------
    RecordError
        None is there.
    """
    paths = find_records(folders, chosen or None, DATABASE)
    marked = [path for path in paths if path.with_name(f"{path.name}.{LEADS_12[0]}").is_file()]
    if not marked:
        raise RecordError(
            f"no record of {DATABASE} with marks of each lead in {', '.join(map(str, folders))}; "
            f"fetch it with `telebeat download {DATABASE}`, or name its folder with --data-dir"
        )
    return marked


def measure(
    paths: Sequence[Path], delineate: delineation_peer.Delineate | None, advance: Callable[[], None]
) -> dict[str, Any]:
    """Play all records and judge.

    Returns
    -------
    dict
        ``rows``: a row a method, measurement and lead; ``beats``; ``delay_ms``; ``constants`` as shipped and as chosen
        by each fold.
    """
    single: list[Found] = []
    paired: list[Found] = []
    joined = []
    peer: list[Found] = []
    for subject, path in enumerate(paths):
        record = read_record(path)
        rate_hz = record.rate_mhz / 1000
        columns = {name.rsplit("_", 1)[-1].lower(): k for k, name in enumerate(record.leads)}
        marks: dict[str, list[Wave]] = {lead: read_marks(path, lead, rate_hz) for lead in LEADS_12 if lead in columns}
        units = np.asarray(record.units_per_bit)
        for lead, told in marks.items():
            k = columns[lead]
            number = LEADS_12.index(lead)
            single += follow(record.samples[:, [k]], rate_hz, units[[k]], [told], subject, [number])
            if delineate is not None:
                mv = record.samples[:, k] * units[k]
                peer.append(delineation_peer.follow(delineate, mv, rate_hz, told, subject, number))
        for pair in PAIRS:
            if all(lead in marks for lead in pair):
                ks = [columns[lead] for lead in pair]
                numbers = [LEADS_12.index(lead) for lead in pair]
                two = follow(
                    record.samples[:, ks], rate_hz, units[ks], [marks[lead] for lead in pair], subject, numbers
                )
                paired += two
                joined.append(both(two[0].readings, two[1].readings))
        advance()
    readings = {SHIPPED: _all(single)}
    readings[UNSEEN], constants = cross_validate(single)
    readings[PAIRED] = _all(paired)
    readings[BOTH] = np.concatenate(joined)
    if delineate is not None:
        readings[delineation_peer.NAME] = _all(peer)
    rows = [{"method": name, **row} for name, some in readings.items() for row in table(some)]
    rows = [row for row in rows if row["method"] != BOTH or row["measurement"] != "p"]
    beats = {SHIPPED: _beats(single), PAIRED: _beats(paired)}
    if delineate is not None:
        beats[delineation_peer.NAME] = _beats(peer)
    mine = readings[SHIPPED]
    return {
        "records": [path.name for path in paths],
        "rows": rows,
        "beats": beats,
        "delay_ms": {"qrs_p_st": _delay(mine["known_ms"]), "t_end": _delay(mine["t_known_ms"])},
        "constants": {"shipped": shipped(), "chosen": constants},
        "peer": None if delineate is None else f"neurokit2 {importlib.metadata.version(delineation_peer.PACKAGE)}",
    }


def _all(found: Sequence[Found]) -> Any:
    return np.concatenate([one.readings for one in found])


def _beats(found: Sequence[Found]) -> dict[str, int]:
    return {
        "marked": sum(one.marked for one in found),
        "found": sum(len(one.readings) for one in found),
        "extra": sum(one.extra for one in found),
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
    for name, title in TITLES.items():
        shown = Table(title=f"{title}: error in ms")
        for heading in ("method", "lead", "beats", "read %", "mean", "SD", "median", "≤ 20 ms %", "SD of subjects"):
            shown.add_column(heading, justify="left" if heading in ("method", "lead") else "right")
        for row in figures["rows"]:
            if row["measurement"] == name and row.get("n") and (row["lead"] == "all" or row["method"] == UNSEEN):
                cells = [f"{row[key]:+.1f}" if key in ("mean", "median") else f"{row[key]:.1f}" for key in _COLUMNS]
                shown.add_row(row["method"], row["lead"], str(row["n"]), _told(row["read"]), *cells, style=_bold(row))
        console.print(shown)
    shown = Table(title="P presence, per cent")
    for heading in ("method", "lead", "beats", "told", "Se", "+P", "specificity"):
        shown.add_column(heading, justify="left" if heading in ("method", "lead") else "right")
    for row in figures["rows"]:
        if row["measurement"] == "p" and (row["lead"] == "all" or row["method"] == UNSEEN):
            cells = [_told(row[key]) for key in ("told", "se", "ppv", "specificity")]
            shown.add_row(row["method"], row["lead"], str(row["n"]), *cells, style=_bold(row))
    console.print(shown)
    for name, beats in figures["beats"].items():
        console.print(f"{name}: {beats['found']} of {beats['marked']} marked beats found, {beats['extra']} more")
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
