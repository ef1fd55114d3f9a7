"""Are ventricular beats found amid moving electrodes? `python -m benchmarks.wide_in_noise`.

The mixes of `telebeat bench detector` are of records with few ventricular beats, so a detector scores best there that
hears no wide wave at all. Here the noise of moving electrodes, from 5:00 to the end, is added to those records of mitdb
that are rich in ventricular beats, and to tachycardias composed into all of them (`benchmarks.qrs_runs`). Beside beats
found and false ones stands how many of the ventricular beats were found. Scored as EC57 does, from 5:00 on.

Our detector's weights were fitted to these records without noise, to eight of them with it, and to tachycardias made
the same way with other seeds, without noise and with this one played backwards; the peer has seen none of that.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import parts
from benchmarks.qrs_runs import RICH, amid_noise, ectopic, with_tachycardias
from model.bench import Case, lead_of, our_result, peer_result
from model.cases import CLEAN_DATABASE, cases, read_noise
from model.ec57 import LABELS, BeatTable, gross
from model.peers import PEERS, Find, ready
from stream.errors import TelebeatError
from stream.settings import data_dirs

NOISE: Final = "em"  # of moving electrodes
LEVELS_DB: Final = (12, 6, 0)  # below, an analyser should declare the signal unreadable
OTHERS: Final = 100  # seeds of other tachycardias than those that the detector's weights are fitted to
WIDE: Final = 130  # columns of the table
ECTOPIC, TACHYCARDIA = "ectopic", "tachycardia"
OURS: Final = ("telebeat", "telebeat, all leads")
PEER: Final = "ecgdetectors swt"  # the one that finds most beats in this noise
PERIOD: Final = "from 5:00"
FIGURES: Final = ("V found %", "Se %", "+P %", "F1 %")


def hearts(data_dir: Path | None) -> list[tuple[str, Case]]:
    """What is mixed: records rich in ventricular beats, and all records with tachycardias."""
    found: list[tuple[str, Case]] = []
    for seed, case in enumerate(cases(data_dirs(data_dir), CLEAN_DATABASE, None, None)):
        if ectopic(case) >= RICH:
            found.append((ECTOPIC, case))
        found.append((TACHYCARDIA, with_tachycardias(case, OTHERS + seed)))
    return found


def tables_of(case: Case, peers: dict[str, Find]) -> Iterator[tuple[str, BeatTable]]:
    """What each detector makes of a case."""
    for name in OURS:
        yield name, our_result(case, every_lead=name == OURS[1]).tables[PERIOD]
    for name, function in peers.items():
        yield name, peer_result(name, function, case).tables[PERIOD]


def found_of(table: BeatTable) -> tuple[int, int]:
    """How many ventricular beats were found, and how many there are."""
    row = table.counts[LABELS.index("V")]
    missed = row[[LABELS.index("O"), LABELS.index("X")]].sum()
    return int(row.sum() - missed), int(row.sum())


def figures_of(tables: Sequence[BeatTable]) -> dict[str, Any]:
    """Gross figures over these tables, `FIGURES`; how many ventricular beats there are; the spread over records."""
    table = gross(tables)
    found, beats = found_of(table)
    by_record = [100.0 * one / of for one, of in map(found_of, tables) if of]
    values = (100.0 * found / beats, table.qrs_se.percent, table.qrs_ppv.percent, table.qrs_f1.percent)
    return {
        **{name: float(value or 0.0) for name, value in zip(FIGURES, values, strict=True)},
        "V beats": beats,
        "V found by record": parts.spread(by_record),
    }


def measure(data_dir: Path | None, names: Sequence[str]) -> dict[str, Any]:
    """Figures by kind, level and detector."""
    machine = parts.machine()
    added = read_noise(data_dirs(data_dir), NOISE)
    clean = hearts(data_dir)
    peers, absent = ready([peer for peer in PEERS if peer.name in names], lead_of(clean[0][1].strip))
    found: dict[tuple[str, int, str], list[BeatTable]] = {}
    for db in LEVELS_DB:
        for kind, case in track(clean, f"{db} dB", console=Console(stderr=True)):
            for name, table in tables_of(amid_noise(case, added, db), peers):
                found.setdefault((kind, db, name), []).append(table)
    return {
        "machine": machine,
        "absent": [f"{one.name}: {one.reason}" for one in absent],
        "rows": [
            {"kind": kind, "db": db, "detector": name, **figures_of(tables)}
            for (kind, db, name), tables in sorted(found.items(), key=lambda item: (item[0][0], -item[0][1]))
        ],
    }


def show(figures: dict[str, Any]) -> None:
    """Print a table."""
    table = Table("kind", "dB", "detector", "V beats", *FIGURES, "V found % by record")
    for row in figures["rows"]:
        values = [f"{row[name]:.1f}" for name in FIGURES]
        spread = parts.spread_text(row["V found by record"])
        table.add_row(row["kind"], str(row["db"]), row["detector"], str(row["V beats"]), *values, spread)
    Console(width=WIDE).print(table)
    for line in figures["absent"]:
        print(f"not measured: {line}")


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Count the ventricular beats that are found amid moving electrodes.")
    parser.add_argument("--data-dir", type=Path, help="folder of WFDB databases")
    known = [peer.name for peer in PEERS]
    parser.add_argument("--peers", nargs="*", default=[PEER], choices=known, metavar="NAME", help=", ".join(known))
    parser.add_argument("--json", type=parts.numbers_file, help="file for the figures")
    given = parser.parse_args()
    try:
        figures = measure(given.data_dir, given.peers)
    except TelebeatError as error:
        sys.exit(f"error: {error}")
    show(figures)
    parts.write(given.json, figures)


if __name__ == "__main__":
    main()
