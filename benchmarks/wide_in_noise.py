"""Are ventricular beats heard amid moving electrodes? `python -m benchmarks.wide_in_noise`.

The mixes of `telebeat bench detector` are of records with few ventricular beats, so a detector scores best there that
hears no wide wave at all. Here the noise of moving electrodes, from 5:00 to the end, is added to those records of mitdb
that are rich in ventricular beats, and to tachycardias composed into all of them (`benchmarks.qrs_runs`). Beside beats
found and false ones stands how many of the ventricular beats were found. Scored as EC57 does, from 5:00 on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks.qrs_runs import with_tachycardias
from model import noise
from model.bench import Case, lead_of, our_result, peer_result
from model.cases import CLEAN_DATABASE, NOISE_DATABASE, cases
from model.ec57 import LABELS, BeatTable, gross
from model.ec57.annotations import CLASS_OF
from model.peers import PEERS, Find, ready
from model.strip import Strip, read_strip
from replay.records import find_records
from stream.settings import data_dirs

NOISE: Final = "em"  # of moving electrodes
LEVELS_DB: Final = (12, 6, 0)  # below, an analyser should declare the signal unreadable
RICH: Final = 90  # ventricular beats from which on a record is taken as it is: those with fewer weigh nothing
ECTOPIC, TACHYCARDIA = "ectopic", "tachycardia"
OURS: Final = ("telebeat", "telebeat, all leads")
PEER: Final = "ecgdetectors swt"  # the one that finds most beats in this noise
PERIOD: Final = "from 5:00"
FIGURES: Final = ("V found %", "Se %", "+P %", "F1 %")


def amid_noise(case: Case, added: Strip, db: int) -> Case:
    """The case with this noise in every lead from 5:00 on, at this signal-to-noise ratio."""
    pairs = list(zip(case.truth.samples, case.truth.symbols, strict=True))
    normal = [sample for sample, symbol in pairs if CLASS_OF.get(symbol) == "N"]
    every = [sample for sample, symbol in pairs if symbol in CLASS_OF]
    rate = case.strip.rate_hz
    on = np.arange(len(case.strip.samples)) >= noise.CLEAN_S * rate
    mv = noise.mix(case.strip.mv, normal or every, rate, added.mv[:, : added.leads], added.rate_hz, db, on)
    return Case(case.database, case.record, Strip.of_mv(mv, rate), case.truth)


def hearts(data_dir: Path | None) -> list[tuple[str, Case]]:
    """What is mixed: records rich in ventricular beats, and all records with tachycardias."""
    found: list[tuple[str, Case]] = []
    for seed, case in enumerate(cases(data_dirs(data_dir), CLEAN_DATABASE, None, None)):
        if sum(CLASS_OF.get(symbol) == "V" for symbol in case.truth.symbols) >= RICH:
            found.append((ECTOPIC, case))
        found.append((TACHYCARDIA, with_tachycardias(case, seed)))
    return found


def tables_of(case: Case, peers: dict[str, Find]) -> Iterator[tuple[str, BeatTable]]:
    """What each detector makes of a case."""
    for name in OURS:
        yield name, our_result(case, every_lead=name == OURS[1]).tables[PERIOD]
    for name, function in peers.items():
        yield name, peer_result(name, function, case).tables[PERIOD]


def figures_of(tables: Sequence[BeatTable]) -> dict[str, float]:
    """Gross figures over these tables; those of `FIGURES`, and how many ventricular beats there are."""
    table = gross(tables)
    row = table.counts[LABELS.index("V")]
    missed = row[[LABELS.index("O"), LABELS.index("X")]].sum()
    values = (100.0 * (1.0 - missed / row.sum()), table.qrs_se.percent, table.qrs_ppv.percent, table.qrs_f1.percent)
    return {**dict(zip(FIGURES, map(float, values), strict=True)), "V beats": int(row.sum())}


def measure(data_dir: Path | None, names: Sequence[str]) -> dict[str, Any]:
    """Figures by kind, level and detector."""
    (path,) = find_records(data_dirs(data_dir), [NOISE], NOISE_DATABASE)
    added = read_strip(path)
    mixed = hearts(data_dir)
    peers, absent = ready([peer for peer in PEERS if peer.name in names], lead_of(mixed[0][1].strip))
    heard: dict[tuple[str, int, str], list[BeatTable]] = {}
    for db in LEVELS_DB:
        for kind, case in track(mixed, f"{db} dB", console=Console(stderr=True)):
            for name, table in tables_of(amid_noise(case, added, db), peers):
                heard.setdefault((kind, db, name), []).append(table)
    return {
        "absent": [f"{one.name}: {one.reason}" for one in absent],
        "rows": [
            {"kind": kind, "db": db, "detector": name, **figures_of(tables)}
            for (kind, db, name), tables in sorted(heard.items(), key=lambda item: (item[0][0], -item[0][1]))
        ],
    }


def show(figures: dict[str, Any]) -> None:
    """Print a table."""
    table = Table("kind", "dB", "detector", "V beats", *FIGURES)
    for row in figures["rows"]:
        values = [f"{row[name]:.1f}" for name in FIGURES]
        table.add_row(row["kind"], str(row["db"]), row["detector"], str(row["V beats"]), *values)
    Console().print(table)
    for line in figures["absent"]:
        print(f"not measured: {line}")


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Count the ventricular beats that are found amid moving electrodes.")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--peers", nargs="*", default=[PEER], metavar="NAME", help=f"other packages; default: {PEER}")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    figures = measure(given.data_dir, given.peers)
    show(figures)
    if given.json:
        given.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
