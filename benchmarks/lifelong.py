"""What the beat reader makes of hearts that know one rhythm all their life: `python -m benchmarks.lifelong`.

In few annotated records is a premature beat the rule, and they are whole hearts: nothing measured on the others tells
how such a heart is read. So it is composed (`model.compose`): the sinus beats of subjects without fibrillation
(``n`` of afpdb, which are in no training) are placed anew, one rhythm from begin to end, and read as at the bedside.
Their beats are those the detector finds; afpdb has no annotation.

It is a test of stress, not of patients: the rhythms are written by the code that writes those of training, only the
hearts are new, and a heart's own ectopic beats count as normal ones. Beats are paired and counted as EC57 does, from
5:00 on.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track

from benchmarks import parts
from model.compose import compose
from model.dataset import Passage, labelled_passage, sentences_of
from model.ec57 import LABELS, Annotations
from model.reader import Reader
from model.rhythms import SINGLE_RHYTHMS
from model.strip import Strip, read_strip
from model.train import judge, read_passage
from replay.records import find_records
from stream.errors import RecordError
from stream.settings import data_dirs

DATABASE: Final = "afpdb"
#: Of its groups the one without fibrillation; two records in turn are one subject, of which the first is taken.
HEART: Final = re.compile(r"n\d\d")
SEED: Final = 5
#: What a beat is, what is said, which heart is the worst, and how that is called.
COLUMNS: Final = (
    ("S", "S", min, "S found"),
    ("V", "V", min, "V found"),
    ("N", "S", max, "N called S"),
    ("N", "V", max, "N called V"),
)


def hearts(data_dir: Path | None) -> list[Path]:
    """Records to compose from, one a subject.

    Raises
    ------
    RecordError
        There are none.
    """
    folders = data_dirs(data_dir)
    records = find_records(folders, database=DATABASE)
    found = [path for path in records if HEART.fullmatch(path.name) and int(path.name[1:]) % 2]
    if not found:
        raise RecordError(f"{records[0].parent}: no record of a subject without fibrillation (n01, n03, ...)")
    return found


def lives(path: Path) -> Iterator[tuple[str, Passage]]:
    """A heart in every rhythm, analysed by the online code; nothing of one that has no steady sinus rhythm."""
    strip = read_strip(path)
    found = sentences_of(strip)[0]
    reference = Annotations.of(found, "N" * len(found))
    for life in SINGLE_RHYTHMS:
        rng = np.random.default_rng([SEED, *f"{path.name}/{life}".encode()])
        if (composed := compose(strip.mv, strip.rate_hz, reference, rng, life)) is not None:
            mv, beats = composed
            yield (
                life,
                labelled_passage(Strip.of_mv(mv, strip.rate_hz), beats, (DATABASE, path.name, life), strip.rate_hz),
            )


def measure(paths: Sequence[Path], model: Path | None) -> dict[str, Any]:
    """EC57's table of every rhythm and heart: what a beat is (rows) and what was said (columns), as `LABELS`."""
    reader = Reader.load(model)
    tables: dict[str, dict[str, Any]] = {life: {} for life in SINGLE_RHYTHMS}
    for path in track(paths, "analysing", console=Console(stderr=True), transient=True):
        for life, passage in lives(path):
            tables[life][path.name] = judge(passage, read_passage(passage, reader.weights).last).counts.tolist()
    return {
        "machine": parts.machine(),
        "weights_blake2b": reader.card["weights_blake2b"],
        "labels": LABELS,
        "counts": tables,
    }


def share(tables: npt.NDArray[np.int64], is_: str, said: str) -> tuple[float, list[float]] | None:
    """Per cent of the beats of one class that another was said of: of all hearts together, and of each that has any."""
    rows = tables[:, LABELS.index(is_)]
    whole, hits = rows.sum(axis=1), rows[:, LABELS.index(said)]
    if not whole.sum():
        return None
    there = whole > 0
    return 100.0 * float(hits.sum() / whole.sum()), (100.0 * hits[there] / whole[there]).tolist()


def show(figures: dict[str, Any]) -> None:
    """Print what came out: of all hearts together, and of the one that came out worst."""
    print("per cent of all hearts together (of the worst); a beat that was missed is not found")
    print(f"  {'rhythm':<14}{'hearts':>7}" + "".join(f"{text:>16}" for _, _, _, text in COLUMNS))
    for life, by_heart in figures["counts"].items():
        tables = np.array(list(by_heart.values()), np.int64).reshape(-1, len(LABELS), len(LABELS))
        print(f"  {life:<14}{len(tables):>7}", end="")
        for is_, said, worst, _ in COLUMNS:
            told = share(tables, is_, said)
            print(f"{'–' if told is None else f'{told[0]:.1f} ({worst(told[1]):.1f})':>16}", end="")
        print()


def main() -> None:
    """Read the command line, measure, print."""
    parts.read_beats(
        "Read hearts that know one rhythm all their life.",
        lambda data_dir, model: measure(hearts(data_dir), model),
        show,
    )


if __name__ == "__main__":
    main()
