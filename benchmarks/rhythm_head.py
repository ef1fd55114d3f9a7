"""What the rhythm head is worth beside rules: `python -m benchmarks.rhythm_head`, ten minutes.

The shipped networks stay as they are; a head is fitted to the memories they have of three parts of the subjects and
reads the fourth, in turn. That of the first table is asked for every rhythm that readers have marked in two subjects or
more. Beside it stand the rules: the order of the beats' classes as in `stream.rhythm`, and for atrial fibrillation the
irregularity of the last 32 RR intervals, which the ward told it by before it had a head.

The second table is of the head that ships (fibrillation or any other rhythm) as the ward uses it, in a running mean:
how much of marked fibrillation is told as such, and how much of everything else but flutter. The strips of cinc2017 and
group `n` of afpdb are in no training. Of the other hearts the networks have learned the beats, the head here nothing.
The rule goes on without what the ward knows of the signal, and puts a begin back by twelve beats, not by sixteen.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console

from benchmarks import parts
from model.codes import CLASSES, RHYTHMS
from model.cross_validation import DEAL
from model.dataset import UNLABELLED, Passage
from model.lstm import classify_sequence
from model.reader import Reader, Weights
from model.rhythm_head import SUREST, rhythm_log_odds
from model.rhythm_training import fit_rhythms, rhythm_labels
from model.train import TrainingConfig, split, words_of
from model.words import RR
from replay import folders
from stream import rhythm
from stream.training import folder_of, load_passages, records_in

TRAINED: Final = ("plain", "single", "composed")  # variants the heads here are fitted to: eight more add little
TESTS: Final = ("cinc2017/*", "afpdb/n*")  # in no training
PARTS: Final = 4
MARKED: Final = ("", "(AFIB", "(P", "(AFL", "(SVTA", "(VT", "(B", "(T", "(VFL")
BY_RULES: Final = {
    "(AFIB": rhythm.AF,
    "(SVTA": rhythm.SV_RUN,
    "(VT": rhythm.V_RUN,
    "(B": rhythm.BIGEMINY,
    "(T": rhythm.TRIGEMINY,
}
SEED: Final = 7
LONGEST_S: Final = 3.0  # of a beat's share of the time: what lasts longer is a gap

# The rule of RR intervals, a logistic score of their sample entropy (Lake and Moorman 2011) and roughness.
BEATS: Final = 32
FEWEST: Final = 17  # neighbours among them that must be free of ventricular beats
TOLERANCE_S: Final = 0.03
ENTROPY, ROUGHNESS, CONSTANT = 3.3, 9.6, -12.4
BEGINS, ENDS = 0.5, -1.5
FINEST_S: Final = 0.001
WHITE: Final = 1.732


@dataclass(frozen=True)
class Told:
    """One record's beats: the time each stands for, the rhythm it is in, and whether fibrillation is told."""

    group: str
    seconds: npt.NDArray[np.float64]
    is_af: npt.NDArray[np.bool_]
    is_not: npt.NDArray[np.bool_]
    by_head: npt.NDArray[np.bool_]
    by_rule: npt.NDArray[np.bool_]


def score_of_irregularity(rr_s: npt.NDArray[np.float64]) -> float:
    """Score of the last RR intervals, NaN where a ventricular beat or a gap makes one mean nothing."""
    usable = rr_s[np.isfinite(rr_s)]
    if np.count_nonzero(np.isfinite(rr_s[1:]) & np.isfinite(rr_s[:-1])) < FEWEST:
        return float("nan")
    alike = np.abs(usable[:, None] - usable) < TOLERANCE_S
    first = np.triu(np.ones((len(usable) - 1, len(usable) - 1), bool), 1)
    same = np.count_nonzero(alike[:-1, :-1] & first)
    still = np.count_nonzero(alike[:-1, :-1] & alike[1:, 1:] & first)
    entropy = -np.log((still + 0.5) / (same + 0.5)) + np.log(2 * TOLERANCE_S / usable.mean())
    steps, bends = np.abs(np.diff(usable)), np.abs(np.diff(usable, 2))
    roughness = min(bends.mean() / (steps.mean() + FINEST_S), WHITE)
    return float(CONSTANT + ENTROPY * entropy + ROUGHNESS * roughness)


def by_irregularity(passage: Passage, labels: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
    """Log odds of fibrillation by the rule: so sure of it, or of its absence, that the ward follows at once."""
    ventricular = labels == CLASSES.index("V")
    rr = np.diff(passage.samples, prepend=passage.samples[:1]) / passage.rate_hz
    rr[ventricular | np.roll(ventricular, 1) | (rr >= LONGEST_S)] = np.nan
    rr[:1] = np.nan
    told, on = np.full(len(rr), -SUREST, np.float32), False
    for i in range(len(rr)):
        score = score_of_irregularity(rr[max(i + 1 - BEATS, 0) : i + 1])
        on = bool(score >= BEGINS or (on and not score < ENDS))
        told[i] = SUREST if on else -SUREST
    return told


def in_the_ward(
    passage: Passage, labels: npt.NDArray[np.int64], log_odds: npt.NDArray[np.float32], *, at_once: bool = False
) -> npt.NDArray[np.int64]:
    """The rhythm that the ward tells at each beat, int64 (n,), by log odds of fibrillation.

    `at_once`: not by a mean of them.
    """
    state, out = np.zeros(1, rhythm.RHYTHM)[0], np.zeros(4, rhythm.MARK)
    rhythm.begin(state, 0)
    codes = np.zeros(len(labels), np.int64)
    for i, sample in enumerate(passage.samples):
        if at_once and state["n"] > 0:
            state["log_odds"] = log_odds[i]
        tick = round(int(sample) * 250 / passage.rate_hz)
        count = rhythm.on_beat(state, int(labels[i]), float(log_odds[i]), tick, int(sample), out, 0)
        for mark in out[:count]:
            codes[np.searchsorted(passage.samples, mark["sample"]) : i] = mark["code"]
        codes[i] = state["code"]
    return codes


def measure(data_dir: Path | None, model: Path | None) -> dict[str, Any]:
    """Both tables."""
    console = Console(stderr=True)
    reader = Reader.load(model)
    config = replace(TrainingConfig(), variants=TRAINED)
    tests = replace(config, databases=config.databases[:1], unannotated=TESTS, variants=("plain",))
    data = folder_of(data_dir, replace(config, unannotated=(*config.unannotated, *TESTS)))
    passages = load_passages(console, config, data, records_in(data, config), 2)
    have = {(p.database, p.record) for p in passages}
    strips = [path for path in records_in(data, tests) if (folders.database_of(path.parent), path.name) not in have]
    unseen = load_passages(console, tests, data, strips, 2)
    with (folders.records_folder(data, "cinc2017") / "REFERENCE.csv").open() as file:
        marks = dict(csv.reader(file))
    counts: dict[str, npt.NDArray[np.int64]] = {
        name: np.zeros((3, len(MARKED)), np.int64) for name in ("head", "rules")
    }
    told: list[Told] = []
    subjects = sorted({p.subject for p in passages if p.kind == "plain" and (rhythm_labels(p) != UNLABELLED).any()})
    hearts: dict[str, set[str]] = {name: set() for name in MARKED}
    for number, part in enumerate(split(subjects, PARTS, DEAL)):
        console.print(f"part {number + 1} of {PARTS}")
        away = set(part)
        training = [p for p in passages if p.subject not in away]
        every = fit_rhythms(training, reader.weights, SEED, MARKED)
        ships = reader.weights._replace(rhythm=fit_rhythms(training, reader.weights, SEED))
        for p in passages:
            if p.kind == "plain" and p.subject in away:
                told.append(_tell(p, ships, rhythm_labels(p), p.database))
                labels = rhythm_labels(p, MARKED)
                for k in set(labels[labels != UNLABELLED].tolist()):
                    hearts[MARKED[k]].add(p.subject)
                _count(counts, p, labels, reader.weights._replace(rhythm=every))
        told += [_tell_strip(p, ships, marks) for p in unseen[number::PARTS]]
    return {
        "machine": parts.machine(),
        "weights_blake2b": reader.card["weights_blake2b"],
        "rhythms": {
            name: {"subjects": len(hearts[name])} | {by: _figures(counts[by], k) for by in counts}
            for k, name in enumerate(MARKED)
            if name and len(hearts[name]) > 1
        },
        "fibrillation": _by_group(told),
    }


def _figures(counts: npt.NDArray[np.int64], k: int) -> dict[str, Any]:
    right, marked, said = (int(row[k]) for row in counts)
    return {
        "beats": marked,
        "Se": round(100 * right / marked, 1) if marked else None,
        "+P": round(100 * right / said, 1) if said else None,
    }


def _labels_of(p: Passage, weights: Weights) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """A passage's words, and the class of each beat by its first word."""
    words = words_of(p, weights.vocabulary)
    follows = np.isfinite(p.values[:, RR])
    return words, classify_sequence(weights.layers, words, follows).first.argmax(axis=1)


def _count(counts: dict[str, Any], p: Passage, labels: npt.NDArray[np.int8], weights: Weights) -> None:
    """Beats that are told right, that are marked, and that are told, of each rhythm."""
    words, classes = _labels_of(p, weights)
    head = rhythm_log_odds(weights.layers, weights.rhythm, words).argmax(axis=1)
    codes = in_the_ward(p, classes, by_irregularity(p, classes), at_once=True)
    known = labels != UNLABELLED
    for k, name in enumerate(MARKED):
        for by, is_told in (("head", head == k), ("rules", codes == BY_RULES.get(name, -1))):
            is_marked = known & (labels == k)
            counts[by][:, k] += [np.sum(is_marked & is_told), np.sum(is_marked), np.sum(known & is_told)]


def _tell(p: Passage, weights: Weights, labels: npt.NDArray[np.int8], group: str) -> Told:
    words, classes = _labels_of(p, weights)
    log_odds = rhythm_log_odds(weights.layers, weights.rhythm, words)[:, RHYTHMS.index("(AFIB")]
    seconds = np.minimum(np.diff(p.samples, append=p.samples[-1:]) / p.rate_hz, LONGEST_S)
    flutter = rhythm_labels(p, ("", "(AFL")) == 1
    return Told(
        group,
        seconds,
        labels == RHYTHMS.index("(AFIB"),
        (labels != UNLABELLED) & (labels != RHYTHMS.index("(AFIB")) & ~flutter,
        in_the_ward(p, classes, log_odds) == rhythm.AF,
        in_the_ward(p, classes, by_irregularity(p, classes), at_once=True) == rhythm.AF,
    )


def _tell_strip(p: Passage, weights: Weights, marks: dict[str, str]) -> Told:
    if p.database == "afpdb":
        return _tell(p, weights, rhythm_labels(p), "afpdb, group n")
    label = {"A": RHYTHMS.index("(AFIB"), "~": UNLABELLED}.get(marks[p.record], 0)
    return _tell(p, weights, np.full(len(p.samples), label, np.int8), f"cinc2017, {marks[p.record]}")


def _by_group(told: Sequence[Told]) -> dict[str, Any]:
    """Seconds of fibrillation and of all else, and how many of each are told as fibrillation."""

    def seconds(some: list[Told], of: Callable[[Told], npt.NDArray[np.bool_]]) -> float:
        return round(float(sum(one.seconds[of(one)].sum() for one in some)), 1)

    return {
        group: {
            "records": len(some),
            "fibrillation_s": seconds(some, lambda one: one.is_af),
            "other_s": seconds(some, lambda one: one.is_not),
            "head_true_s": seconds(some, lambda one: one.is_af & one.by_head),
            "head_false_s": seconds(some, lambda one: one.is_not & one.by_head),
            "rule_true_s": seconds(some, lambda one: one.is_af & one.by_rule),
            "rule_false_s": seconds(some, lambda one: one.is_not & one.by_rule),
        }
        for group in sorted({one.group for one in told})
        for some in [[one for one in told if one.group == group]]
    }


def show(figures: dict[str, Any]) -> None:
    """Print both tables."""

    def told(what: dict[str, Any]) -> str:
        return ", ".join("–" if what[name] is None else f"{what[name]:.1f}" for name in ("Se", "+P")).rjust(12)

    print("beats by rhythm, hearts the head was not fitted to; per cent Se, +P")
    print(f"{'':8}{'subjects':>9}{'beats':>8}{'head':>12}{'rules':>12}")
    for name, of in figures["rhythms"].items():
        print(f"{name:8}{of['subjects']:9}{of['head']['beats']:8}{told(of['head'])}{told(of['rules'])}")
    print("\natrial fibrillation as the ward tells it, per cent of the time; fibrillation, all else")
    print(f"{'':16}{'records':>8}{'head':>14}{'RR rule':>14}{'seconds':>16}")
    for group, of in figures["fibrillation"].items():
        shares = [
            tuple(
                f"{100 * of[f'{by}_{kind}_s'] / of[base]:.1f}" if of[base] else "–"
                for kind, base in (("true", "fibrillation_s"), ("false", "other_s"))
            )
            for by in ("head", "rule")
        ]
        columns = "".join(", ".join(pair).rjust(14) for pair in shares)
        print(f"{group:16}{of['records']:8}{columns}{of['fibrillation_s']:8.0f}{of['other_s']:8.0f}")


def main() -> None:
    """Read the command line, measure, print."""
    parts.read_beats("Show what the rhythm head is worth beside rules.", measure, show)


if __name__ == "__main__":
    main()


assert set(RHYTHMS) <= set(MARKED), "the second table's are among the first's"
