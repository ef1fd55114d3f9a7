"""The weights of the QRS detector's score: fitted to its own candidates, cross-validated by subject.

    python -m benchmarks.fit_qrs              # weights of five folds, and those in the package, judged
    python -m benchmarks.fit_qrs --folds 0    # only those in the package
    python -m benchmarks.fit_qrs --folds 0 --out detector/score.csv    # fits the package's weights to all records
    python -m benchmarks.fit_qrs --more 1 --folds 0 --out detector/score.csv    # as many rounds again, from those
    python -m benchmarks.fit_qrs --begin --folds 0 --out detector/score_begin.csv    # goes on to those of the begin

The detector decides with the weights it has, and what it decides makes the next candidates. So it runs, its candidates
are labelled by the reference beats (the highest one within -100 and +200 ms of a beat's annotation is a beat), the
score (`detector.score`) is fitted to the candidates of the last rounds, and it runs again. Records: mitdb and svdb, and
mitdb mixed with electrode motion and muscle noise, all with both leads and with the first alone; a subject's mixes are
in his fold. Noise counts less than clean signal, so that it decides only where clean signal leaves the choice.

Fitting from nothing ends in one hollow or another. The package's weights have come by several runs with ``--more`` as
measures, units and records were added: the last ones from what was remembered on, then with electrodes placed anew,
then with wide beats amid moving electrodes, and then, as `--more 2`, with beats whose shape changes abruptly and for
good. What `--more` writes lies between the weights it began with and those it came to: that errs less in noise than
either.

What else it is fitted to, and why, says `benchmarks.qrs_runs`.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from rich.console import Console
from rich.progress import Progress

from benchmarks import parts
from benchmarks.qrs_runs import CLEAN, Run, begins, runs_of
from detector.detector import DETECTOR, begin, empty, update
from detector.envelope import LAG, STRIDE
from detector.jit import kernel
from detector.resample import sample_of
from detector.score import COUNT, FILE, MEASURES, UNITS, save
from detector.scratch import JUDGED, WEIGHTS, new_scratch
from detector.types import INVALID, RATE, Array, Row
from model.bench import judge
from model.detector_runs import STEP_S
from model.ec57 import BeatTable, gross
from model.ec57.annotations import CLASS_OF
from stream.settings import data_dirs

Floats = npt.NDArray[np.float64]

ROUNDS: Final = 5  # of running and fitting
REMEMBERED: Final = 3  # rounds whose candidates are fitted to: one alone swings
STEPS: Final = 100  # of the optimizer a round; it goes on from the round before
SHARE: Final = 0.55  # of the new weights in what `--more` writes: near the middle, where all tests of the detector hold
BEFORE_S, AFTER_S = 0.1, 0.2  # where a beat's candidate lies around its annotation: of a wide complex, after it
PART: Final = 1 << 14  # candidates at once: they fit into the processor's cache
STEADY: Final = 3e-5  # penalty on the units' squared weights: less forgets hearts not seen, more the noise
#: Where fitting begins: height and shape alone.
FIRST: Final = {"one": 2.5, "height": 1.5, "steepness": 1.5, "likeness": 0.5}


#: A candidate: the sample its QRS lies on, its feature and its measures.
SEEN = np.dtype([("sample", "i8"), ("height", "f8"), ("measures", "f8", (COUNT,))])


@kernel
def _run_detector(
    row: Row, scratch: Row, samples: Array, mv_per_bit: Array, size: int, seen: Array, found: Array
) -> Any:
    """Run a record; how many candidates were judged and how many beats found."""
    n_seen = 0
    n_found = 0
    length = samples.shape[1]
    for first in range(0, length, size):
        update(row, samples, first, min(size, length - first), mv_per_bit, INVALID, scratch)
        for i in range(min(scratch.n_judged, JUDGED)):
            candidate = scratch.judged[i]
            seen[n_seen].sample = sample_of(row.input, STRIDE * candidate.at + STRIDE - 1 - LAG)
            seen[n_seen].height = candidate.height
            seen[n_seen].measures[:] = candidate.measures
            n_seen += 1
        for i in range(row.n_peaks):
            found[n_found, 0] = sample_of(row.input, row.peaks[i].tick)
            found[n_found, 1] = row.peaks[i].found - row.peaks[i].tick
            n_found += 1
        empty(row)
    return n_seen, n_found


def run_detector(run: Run, weights: Floats) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """Candidates (`SEEN`) and beats (sample, ticks until it was told) of a record, judged by these weights."""
    strip = run.strip
    table = np.zeros(1, DETECTOR)
    begin(table[0], round(strip.rate_hz * 1000), 0)
    seconds = int(len(strip.samples) / strip.rate_hz) + 2
    seen, found = np.zeros(20 * seconds, SEEN), np.zeros((6 * seconds, 2), np.int64)
    size = int(strip.rate_hz * STEP_S)
    scratch = new_scratch(weights)[0]
    n_seen, n_found = _run_detector(
        table[0], scratch, np.ascontiguousarray(strip.samples.T), strip.mv_per_bit, size, seen, found
    )
    return seen[:n_seen], found[:n_found]


def label(run: Run, seen: npt.NDArray[Any]) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Which candidates are beats, and which are to be used: those outside of fibrillation."""
    truth, rate = run.case.truth, run.case.strip.rate_hz
    beat = np.zeros(len(seen), np.bool_)
    used = np.ones(len(seen), np.bool_)
    for sample, symbol in zip(truth.samples, truth.symbols, strict=True):
        if symbol in CLASS_OF:
            first, end = np.searchsorted(seen["sample"], (sample - BEFORE_S * rate, sample + AFTER_S * rate))
            if end > first:
                beat[first + int(np.argmax(seen["height"][first:end]))] = True
    begun: int | None = None
    for sample, symbol in [*zip(truth.samples, truth.symbols, strict=True), (len(run.case.strip.samples), "]")]:
        if symbol == "[":
            begun = sample
        elif symbol == "]" and begun is not None:
            used &= (seen["sample"] < begun - rate) | (seen["sample"] > sample + rate)
            begun = None
    return beat, used


@dataclass(frozen=True, eq=False)
class Analysed:
    """What a record adds to a fit: measures (n, COUNT), which are beats (n,), what each counts for; how it did."""

    measures: Floats
    beat: npt.NDArray[np.bool_]
    counts: float
    table: BeatTable | None
    delays_ms: Floats


def analyse(run: Run, weights: Floats, *, judged: bool) -> Analysed:
    """Run a record and collect what it adds to a fit; only the last round is judged, which takes by far the longest."""
    seen, found = run_detector(run, weights)
    beat, used = label(run, seen)
    table = judge(run.case, found[:, 0])[run.period] if judged else None
    return Analysed(seen["measures"][used], beat[used], run.counts, table, found[:, 1] * 1000.0 / RATE)


class _Score(torch.nn.Module):
    """`detector.score.score` over measures that have been brought to one spread."""

    def __init__(self) -> None:
        super().__init__()
        self.straight = torch.nn.Linear(COUNT, 1, bias=False)
        self.units = torch.nn.Linear(COUNT, UNITS, bias=False)
        self.out = torch.nn.Linear(UNITS, 1, bias=False)

    def forward(self, measures: torch.Tensor) -> torch.Tensor:
        """Log odds (n,) of measures (n, COUNT)."""
        bent = torch.nn.functional.softsign(self.units(measures))
        odds: torch.Tensor = (self.straight(measures) + self.out(bent))[:, 0]
        return odds


def fit_score(analysed: Iterable[Analysed], begin: Floats) -> Floats:
    """Weights of the score, by the likelihood of the labels, going on from those given."""
    some = list(analysed)
    measures = np.concatenate([one.measures for one in some])
    counts = np.concatenate([np.full(len(one.beat), one.counts) for one in some])
    middle, spread = measures.mean(axis=0), measures.std(axis=0)
    middle[0], spread[0] = 0.0, 1.0
    x = torch.tensor((measures - middle) / spread, dtype=torch.float32)
    y = torch.tensor(np.concatenate([one.beat for one in some]), dtype=torch.float32)
    share = torch.tensor(counts / counts.sum(), dtype=torch.float32)
    network = _Score()
    rows = begin[:-1] * spread[:, None]
    rows[0] += middle @ begin[:-1]
    with torch.no_grad():
        for part, value in ((network.straight, rows[:, :1].T), (network.units, rows[:, 1:].T)):
            part.weight.copy_(torch.tensor(value))
        network.out.weight.copy_(torch.tensor(begin[-1:, 1:]))
    optimizer = torch.optim.LBFGS(network.parameters(), max_iter=STEPS, history_size=20, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        total = STEADY * ((network.units.weight**2).sum() + (network.out.weight**2).sum())
        total.backward()  # type: ignore[no-untyped-call]
        for part in range(0, len(x), PART):
            here = slice(part, part + PART)
            loss = torch.nn.functional.binary_cross_entropy_with_logits(network(x[here]), y[here], reduction="none")
            some = (share[here] * loss).sum()
            some.backward()  # type: ignore[no-untyped-call]
            total = total + some.detach()
        return total

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    weights = np.zeros((COUNT + 1, UNITS + 1))
    weights[:-1, :1] = network.straight.weight.detach().double().numpy().T
    weights[:-1, 1:] = network.units.weight.detach().double().numpy().T
    weights[:-1] /= spread[:, None]
    weights[0] -= middle[1:] @ weights[1:-1]
    weights[-1, 1:] = network.out.weight.detach().double().numpy()[0]
    return weights


def first_weights() -> Floats:
    """The weights fitting begins with: the units look somewhere and say nothing yet."""
    weights = np.zeros((COUNT + 1, UNITS + 1))
    weights[:-1, 0] = [FIRST.get(name, 0.0) for name in MEASURES]
    weights[:-1, 1:] = np.random.default_rng(1).normal(0.0, 0.3, (COUNT, UNITS))
    weights[-1, 1:] = np.random.default_rng(2).normal(0.0, 0.01, UNITS)
    return weights


_RUNS: list[Run] = []


def _analyse(job: tuple[int, Floats]) -> Analysed:
    return analyse(_RUNS[job[0]], job[1], judged=False)


def _judge(job: tuple[int, Floats]) -> Analysed:
    return analyse(_RUNS[job[0]], job[1], judged=True)


def _load(folders: list[Path], begin: bool) -> int:
    _RUNS[:] = [*runs_of(folders), *(begins(folders) if begin else ())]
    return len(_RUNS)


def fit(pool: ProcessPoolExecutor, chosen: Sequence[int], weights: Floats, tick: Any) -> Floats:
    """Weights fitted to these records."""
    rounds: list[list[Analysed]] = []
    for _ in range(ROUNDS):
        rounds = [*rounds, list(pool.map(_analyse, [(i, weights) for i in chosen], chunksize=4))][-REMEMBERED:]
        weights = fit_score((one for some in rounds for one in some), weights)
        tick()
    return weights


def fit_all(pool: ProcessPoolExecutor, chosen: Sequence[int], begun: Floats, more: int, tick: Any) -> Floats:
    """Weights fitted once; or, in as many runs as that, to go on part of the way from those it began with."""
    weights = begun
    for _ in range(max(more, 1)):
        weights = fit(pool, chosen, weights, tick)
    return (1.0 - SHARE) * begun + SHARE * weights if more else weights


def tables(runs: Sequence[Run], analysed: dict[int, Analysed]) -> dict[str, dict[str, Any]]:
    """Gross figures by database."""
    out = {}
    for name in dict.fromkeys(run.name for run in runs):
        some = [analysed[i] for i, run in enumerate(runs) if run.name == name and i in analysed]
        table = gross(one.table for one in some if one.table)
        delays = np.concatenate([one.delays_ms for one in some])
        out[name] = {
            "se": table.qrs_se.percent,
            "ppv": table.qrs_ppv.percent,
            "f1": table.qrs_f1.percent,
            "missed": table.false_negatives,
            "false": table.false_positives,
            "delay_median_ms": float(np.median(delays)),
            "delay_p99_ms": float(np.percentile(delays, 99)),
        }  # fmt: skip
    return out


def main() -> None:
    """Fit, print, and write what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--folds", type=int, default=5, help="parts of the subjects; 0: no cross-validation")
    parser.add_argument("--json", type=parts.numbers_file)
    parser.add_argument("--begin", action="store_true", help="weights of first beats: with begins, from the package's")
    parser.add_argument("--more", type=int, default=0, metavar="RUNS", help="go on from the package's weights")
    parser.add_argument("--out", type=Path, help=f"fit to all records and write here; the package has {FILE.name}")
    given = parser.parse_args()
    if given.more and not given.out:
        parser.error("--more fits weights: name the file for them with --out")
    if given.folds and (given.more or given.begin):
        parser.error("weights that have seen all subjects cannot be cross-validated: --more and --begin need --folds 0")
    console = Console(width=150)
    folders = data_dirs(given.data_dir)
    begun = WEIGHTS[0] if given.begin or given.more else first_weights()
    runs_there = _load(folders, given.begin)
    runs = list(_RUNS)
    subjects = sorted({run.case.record for run in runs})
    np.random.default_rng(1).shuffle(subjects)
    everything = list(range(runs_there))
    analysed: dict[int, Analysed] = {}
    result: dict[str, Any] = {}
    # Each process reads the records for itself: they are large, and read fast.
    with (
        ProcessPoolExecutor(os.cpu_count(), initializer=_load, initargs=(folders, given.begin)) as pool,
        Progress() as bar,
    ):
        task = bar.add_task("fitting", total=(given.folds + max(given.more, given.out is not None)) * ROUNDS)

        def tick() -> None:
            bar.advance(task)

        for fold in range(given.folds):
            out = set(subjects[fold :: given.folds])
            training = [i for i, run in enumerate(runs) if run.case.record not in out]
            kept = [i for i, run in enumerate(runs) if run.case.record in out]
            weights = fit(pool, training, begun, tick)
            analysed.update(zip(kept, pool.map(_judge, [(i, weights) for i in kept], chunksize=4), strict=True))
        if analysed:
            result["cross-validated"] = tables(runs, analysed)
        weights = fit_all(pool, everything, begun, given.more, tick) if given.out else WEIGHTS
        final = dict(zip(everything, pool.map(_judge, [(i, weights) for i in everything], chunksize=4), strict=True))
        result["all records"] = tables(runs, final)
    wrong = {i: (one.table.false_negatives, one.table.false_positives) for i, one in final.items() if one.table}
    worst = sorted(everything, key=lambda i: -sum(wrong[i]))
    for title in ("cross-validated", "all records"):
        for name, row in result.get(title, {}).items():
            figures = "  ".join(f"{key} {value:.2f}" for key, value in row.items())
            console.print(f"{title}  {name:18} {figures}", highlight=False)
    told = [(i, *wrong[i]) for i in worst if runs[i].counts == CLEAN]
    console.print("worst: " + "  ".join(f"{runs[i].case.record} {fn}+{fp}" for i, fn, fp in told[:20]), highlight=False)
    if given.out:
        save(weights, given.out)
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
