"""What the beat reader makes of hearts that know one rhythm all their life: `python -m benchmarks.lifelong`.

In few annotated records is a premature beat the rule, and they are whole hearts: nothing measured on the others tells
how such a heart is read. So it is composed (`model.compose`): the sinus beats of subjects without fibrillation
(``n`` of afpdb, which teach nothing) are placed anew, one rhythm from begin to end, and read as at the bedside. Their
beats are those the detector finds; afpdb has no annotation.

It is a test of stress, not of patients: the rhythms are written by the code that writes those of training, only the
hearts are new. Beats of the first five minutes are not counted, as in EC57.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.progress import track

from benchmarks import parts
from model.compose import compose
from model.dataset import UNTAUGHT, Passage, hear, listen, mv_of, read_strip, strip_of
from model.ec57 import Annotations
from model.reader import CLASSES, Reader
from model.rhythms import LIVES
from model.store import SHIPPED
from model.train import read_passage
from replay.records import find_records
from stream.errors import TelebeatError
from stream.settings import data_dirs

DATABASE: Final = "afpdb"
#: Of its groups the one without fibrillation; two records in turn are one subject, of which the first is taken.
HEART: Final = re.compile(r"n\d\d")
LEARNING_S: Final = 300.0  # of a record that is not counted
SEED: Final = 5


def hearts(data_dir: Path | None) -> list[Path]:
    """Records to compose from, one a subject.

    Raises
    ------
    RecordError
        There are none.
    """
    records = find_records(data_dirs(data_dir), database=DATABASE)
    return [path for path in records if HEART.fullmatch(path.name) and int(path.name[1:]) % 2]


def lives(path: Path) -> Iterator[tuple[str, Passage]]:
    """A heart in every rhythm, heard by the online code; nothing of one that has no steady sinus rhythm."""
    strip = read_strip(path)
    found = listen(strip)[0]
    reference = Annotations.of(found, "N" * len(found))
    for life in LIVES:
        rng = np.random.default_rng([SEED, *f"{path.name}/{life}".encode()])
        if (score := compose(mv_of(strip), strip.rate_hz, reference, rng, life)) is not None:
            mv, beats = score
            yield life, hear(strip_of(mv, strip.rate_hz), beats, (DATABASE, path.name, life), strip.rate_hz)


def confusion(passage: Passage, said: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Beats by what they are and what was said, from 5:00 on."""
    told = (passage.labels != UNTAUGHT) & (passage.samples >= LEARNING_S * passage.rate_hz)
    table = np.zeros((len(CLASSES), len(CLASSES)), np.int64)
    np.add.at(table, (passage.labels[told], said[told]), 1)
    return table


def measure(paths: Sequence[Path], model: Path | None) -> dict[str, Any]:
    """Tables of every rhythm and heart."""
    weights = Reader.load(model / SHIPPED.name if model is not None else None).weights
    tables: dict[str, dict[str, Any]] = {life: {} for life in LIVES}
    for path in track(paths, "listening"):
        for life, passage in lives(path):
            said = read_passage(passage, weights).last.argmax(axis=1)
            tables[life][path.name] = confusion(passage, said).tolist()
    return {"machine": parts.machine(), "classes": CLASSES, "confusion": tables}


def show(figures: dict[str, Any]) -> None:
    """Print what came out: of all beats, and of the single heart that came out worst."""
    print("per cent of all beats (worst heart)")
    print(
        f"  {'rhythm':<14}{'hearts':>7}{'beats':>8}{'S found':>16}{'V found':>16}{'N called S':>16}{'N called V':>16}"
    )
    for life, by_heart in figures["confusion"].items():
        each = np.array(list(by_heart.values())).reshape(-1, len(CLASSES), len(CLASSES))
        print(f"  {life:<14}{len(each):>7}{each.sum():>8}", end="")
        for is_, said, worst in (("S", "S", min), ("V", "V", min), ("N", "S", max), ("N", "V", max)):
            rows = each[:, CLASSES.index(is_)]
            whole, hits = rows.sum(axis=1), rows[:, CLASSES.index(said)]
            if not whole.sum():
                print(f"{'–':>16}", end="")
                continue
            of_each = [100 * hit / beats for hit, beats in zip(hits, whole, strict=True) if beats]
            print(f"{f'{100 * hits.sum() / whole.sum():.1f} ({worst(of_each):.1f})':>16}", end="")
        print()


def main() -> None:
    """Read the command line, measure, print."""
    parser = argparse.ArgumentParser(description="Read hearts that know one rhythm all their life.")
    parser.add_argument("--data-dir", type=Path, help="folder of WFDB databases")
    parser.add_argument("--model", type=Path, help="folder of a trained model; default: the shipped one")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    try:
        figures = measure(hearts(arguments.data_dir), arguments.model)
    except TelebeatError as error:
        sys.exit(f"error: {error}")
    show(figures)
    parts.write(arguments.json, figures)


if __name__ == "__main__":
    main()
