"""What is said of short strips from a handheld lead, second by second: `python -m benchmarks.handheld`.

The strips of the Challenge 2017 begin when fingers touch the electrodes: large swings, and a beat reader that knows
nothing of the heart yet. EC57 leaves a record's first five minutes out, but alarms do not. A strip marked as normal
rhythm holds next to no ventricular beats, so that almost all that are told there are false; one marked as fibrillation
holds no supraventricular premature beats. The strips have no beat annotation and are in no training.

Beside it stands how much of the time the detector finds the lead to be anything but good or its beats to be in doubt
(the ward does not say so while it tells fibrillation), and what is said outside of that. Strips marked as too noisy to
be read are there to be declared.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from rich.console import Console
from rich.progress import track

from benchmarks import parts
from detector.detector import Detector
from detector.types import AFTER, GOOD, RATE
from model.codes import CLASSES
from model.dataset import labelled_passage
from model.ec57 import Annotations
from model.reader import Reader
from model.strip import Strip, read_strip
from model.train import read_passage
from replay.framing import hold
from replay.records import find_records
from stream.errors import RecordError
from stream.settings import data_dirs

DATABASE: Final = "cinc2017"
REFERENCE: Final = "REFERENCE.csv"  # record and rhythm, without a header
RHYTHMS: Final = {"N": "normal", "A": "fibrillation", "O": "other", "~": "too noisy"}
EDGES_S: Final = (0, 5, 10, 20, 60)  # bounds of the stretches told apart, in seconds: no strip lasts longer
COUNTED: Final = ("beats", "S", "V", "clear", "clear S", "clear V", "epochs", "declared")


class Analysed(NamedTuple):
    """Where in a strip something was said, and what.

    Attributes
    ----------
    beats_s : float64 (n,)
        R peaks, seconds from its begin.
    said : int64 (n,)
        Index into `CLASSES` of the last word on each.
    epochs_s : float64 (m,)
        Ends of the epochs.
    declared : bool (m,)
        Whether the lead was anything but good in each, or its beats in doubt.
    """

    beats_s: Any
    said: Any
    epochs_s: Any
    declared: Any


def strips(data_dir: Path | None) -> list[tuple[Path, str]]:
    """Records with their rhythm, of `RHYTHMS`.

    Raises
    ------
    RecordError
        There are none, or nothing says what they are.
    """
    folders = data_dirs(data_dir)
    records = find_records(folders, database=DATABASE)
    table = records[0].parent / REFERENCE
    try:
        with table.open(newline="", encoding="ascii") as file:
            rhythms = {row[0]: row[1] for row in csv.reader(file) if len(row) == 2}
    except (OSError, UnicodeDecodeError) as error:
        raise RecordError(
            f"{table}: cannot be read ({error}); it comes with the strips and says what they are"
        ) from None
    found = [(path, rhythms[path.name]) for path in records if rhythms.get(path.name) in RHYTHMS]
    if not found:
        raise RecordError(f"{table}: names none of the strips beside it as {', '.join(RHYTHMS)}")
    return found


def analyse(strip: Strip, name: str, reader: Reader) -> Analysed:
    """A strip as a bed's first seconds."""
    passage = labelled_passage(
        strip, Annotations.of(np.zeros(0, np.int64), ""), (DATABASE, name, "plain"), strip.rate_hz
    )
    said = read_passage(passage, reader.weights).last.argmax(axis=1) if len(passage.samples) else np.zeros(0, np.int64)
    played = hold(strip.samples, round(strip.rate_hz * 1000))
    epochs = Detector(strip.rate_hz, strip.mv_per_bit).update(played)[1]
    there = ~np.isnan(strip.mv_per_bit)
    return Analysed(
        beats_s=passage.samples / strip.rate_hz,
        said=said,
        epochs_s=(epochs["tick"] + 1) / RATE,
        declared=(epochs["lead"][:, there] != GOOD).all(axis=1) | (epochs["doubtful"] != 0),
    )


def clear(strip: Analysed) -> Any:
    """Which beats were read while nothing was declared, bool (n,)."""
    if not len(strip.epochs_s):
        return np.ones(len(strip.beats_s), np.bool_)
    read = np.searchsorted(strip.epochs_s, strip.beats_s + AFTER / RATE)
    return ~strip.declared[np.minimum(read, len(strip.declared) - 1)]


def count(analysed: Iterable[Analysed]) -> list[dict[str, int]]:
    """How many beats and epochs each stretch of time has (`EDGES_S`), and what was said of them (`COUNTED`)."""
    totals = [dict.fromkeys(COUNTED, 0) for _ in EDGES_S[1:]]
    for strip in analysed:
        for total, (begin, end) in zip(totals, pairwise(EDGES_S), strict=True):
            here = (strip.beats_s >= begin) & (strip.beats_s < end)
            beats, told = strip.said[here], strip.said[here & clear(strip)]
            epochs = strip.declared[(strip.epochs_s > begin) & (strip.epochs_s <= end)]
            total["beats"] += len(beats)
            total["clear"] += len(told)
            for letter in "SV":
                total[letter] += int((beats == CLASSES.index(letter)).sum())
                total[f"clear {letter}"] += int((told == CLASSES.index(letter)).sum())
            total["epochs"] += len(epochs)
            total["declared"] += int(epochs.sum())
    return totals


def measure(found: list[tuple[Path, str]], model: Path | None) -> dict[str, Any]:
    """Counts of each rhythm, stretch by stretch."""
    reader = Reader.load(model)
    analysed: dict[str, list[Analysed]] = {rhythm: [] for rhythm in RHYTHMS}
    for path, rhythm in track(found, "analysing", console=Console(stderr=True), transient=True):
        analysed[rhythm].append(analyse(read_strip(path), path.name, reader))
    return {
        "machine": parts.machine(),
        "weights_blake2b": reader.card["weights_blake2b"],
        "edges_s": EDGES_S,
        "strips": {rhythm: len(those) for rhythm, those in analysed.items()},
        "counts": {rhythm: count(those) for rhythm, those in analysed.items()},
    }


def show(figures: dict[str, Any]) -> None:
    """Print per cent of the beats called S and V, of all and of those in the clear, and of the time declared."""
    head = ("called S", "called V", "clear: S", "V", "declared")
    print(f"{'rhythm':<14}{'strips':>7}{'seconds':>10}{'beats':>8}" + "".join(f"{name:>10}" for name in head))
    for rhythm, stretches in figures["counts"].items():
        whole = {name: sum(stretch[name] for stretch in stretches) for name in COUNTED}
        spans = [f"{begin}-{end}" for begin, end in pairwise(figures["edges_s"])]
        for span, total in zip([*spans, "all"], [*stretches, whole], strict=True):
            shares = [_share(total[letter], total["beats"]) for letter in "SV"]
            shares += [_share(total[f"clear {letter}"], total["clear"]) for letter in "SV"]
            shares.append(_share(total["declared"], total["epochs"]))
            print(
                f"{RHYTHMS[rhythm]:<14}{figures['strips'][rhythm]:>7}{span:>10}{total['beats']:>8}"
                + "".join(f"{share:>10}" for share in shares)
            )


def _share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def main() -> None:
    """Read the command line, measure, print."""
    parts.read_beats(
        "Read the strips of a handheld lead from their first second.",
        lambda data_dir, model: measure(strips(data_dir), model),
        show,
    )


if __name__ == "__main__":
    main()
