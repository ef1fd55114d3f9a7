"""R-peak detectors side by side: the same leads, the same judge, the same process.

Right or wrong is judged by `model.ec57` beat by beat, within 150 ms, from 5:00 on and over the full record. A detector
that fails on a record has found nothing in it. Speed is samples (instants times leads) for each second of processor
time of the process, measured in rounds in which all detectors take turns, so that what else the machine does in that
time meets all of them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.types import INVALID
from model.detector_runs import MARK, Beds
from model.ec57 import LEARNING_S, Annotations, BeatTable, Period, gross, pair, tabulate
from model.peers import Find, Lead, find
from model.strip import Strip

OURS: Final = "telebeat"
OURS_ALL: Final = "telebeat, all leads"
PERIODS: Final = {"from 5:00": LEARNING_S, "full": 0.0}
NO_MARKS: Final = np.zeros(0, MARK)  # of a detector that declares nothing
LEAST_CPU_S: Final = 0.25  # of one measurement of speed: far above the clock's grain


@dataclass(frozen=True, eq=False)
class Case:
    """A record to be judged on.

    Attributes
    ----------
    database, record : str
    strip : Strip
        The leads of it that are analysed.
    truth : Annotations
        Its reference annotations.
    """

    database: str
    record: str
    strip: Strip
    truth: Annotations


def lead_of(strip: Strip, number: int = 0) -> Lead:
    """One lead as the peers take it: without missing readings, each replaced by the last reading before it."""
    steps = strip.samples[:, number].astype(np.int64)
    gone = steps == INVALID
    last = np.maximum.accumulate(np.where(gone, 0, np.arange(len(steps))))
    steps = np.where(gone[last], 0, steps[last])
    return Lead(steps * strip.mv_per_bit[number], steps, float(strip.mv_per_bit[number]), strip.rate_hz)


@dataclass(frozen=True, eq=False)
class Result:
    """What one detector made of one record.

    Attributes
    ----------
    detector, database, record : str
    tables : dict of BeatTable
        By name of the period, see `PERIODS`.
    delays_ms : float64 array or None
        From each R peak to its detection; None of a detector that is not online.
    unreadable_s : float or None
        Declared unreadable; None of a detector that declares nothing, which finds all in the clear.
    error : str
        Why it found nothing, if it failed.
    """

    detector: str
    database: str
    record: str
    tables: Mapping[str, BeatTable]
    delays_ms: npt.NDArray[np.float64] | None = None
    unreadable_s: float | None = None
    error: str = ""


def judge(case: Case, samples: npt.ArrayLike, marks: npt.NDArray[Any] = NO_MARKS) -> dict[str, BeatTable]:
    """Compare R peaks with the reference, over each of `PERIODS`; `marks` (`MARK`) say what was declared."""
    beats = np.asarray(samples, np.int64)
    order = np.argsort(np.concatenate([marks["sample"], beats]), kind="stable")
    found = Annotations.of(
        np.concatenate([marks["sample"], beats])[order],
        np.array(["~"] * len(marks) + ["N"] * len(beats), "U1")[order].tolist(),
        np.concatenate([marks["subtype"], np.zeros(len(beats), np.int64)])[order].tolist(),
    )
    rate, length_s = case.strip.rate_hz, len(case.strip.samples) / case.strip.rate_hz
    periods = {
        name: Period.of(rate, start_s=min(start_s, length_s), end_s=length_s) for name, start_s in PERIODS.items()
    }
    return {name: tabulate(pair(case.truth, found, period), rate) for name, period in periods.items()}


def our_result(case: Case, *, every_lead: bool) -> Result:
    """The online detector on a case, on its first lead or on both."""
    strip = case.strip if every_lead else case.strip.lead(0)
    (said,) = Beds([strip.held()]).run()
    name = OURS_ALL if every_lead else OURS
    tables = judge(case, said.found["sample"], said.marks)
    return Result(name, case.database, case.record, tables, said.found["delay_ms"].copy(), said.unreadable_s)


def peer_result(name: str, function: Find, case: Case) -> Result:
    """A peer on the first lead of a case."""
    samples: npt.ArrayLike = []
    error = ""
    try:
        samples = find(function, lead_of(case.strip))
    except Exception as failure:  # whatever somebody else's code raises is a result, not our end
        error = f"{type(failure).__name__}: {failure}"
    return Result(name, case.database, case.record, judge(case, samples), error=error)


def results(
    cases: Sequence[Case], peers: Mapping[str, Find], budget_s: float | None, said: Callable[[str], None]
) -> Iterator[Result]:
    """All detectors over the records of one database, one detector after another.

    Parameters
    ----------
    cases : sequence of Case
    peers : dict of functions
    budget_s : float or None
        Processor seconds a peer may spend on the database: it takes no further record after that. None: no limit.
    said : callable
        Told the name of each detector as it begins.
    """
    for every_lead in (False, True):
        said(OURS_ALL if every_lead else OURS)
        for case in cases:
            yield our_result(case, every_lead=every_lead)
    for name, function in peers.items():
        said(name)
        began = time.process_time()
        for case in cases:
            yield peer_result(name, function, case)
            if budget_s is not None and time.process_time() - began > budget_s:
                break


def summarise(all_results: Sequence[Result], of: Mapping[str, int]) -> list[dict[str, Any]]:
    """Gross figures: a row for each detector, database and period.

    Parameters
    ----------
    all_results : sequence of Result
    of : dict of int
        Records each database has in this run; a detector that took fewer has `subset` true, and its `records` names
        them.
    """
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in all_results:
        groups.setdefault((result.database, result.detector), []).append(result)
    rows = []
    for (database, detector), some in groups.items():
        names = [result.record for result in some]
        same = {result.record: result for result in groups.get((database, OURS), [])}
        for period in PERIODS:
            ours = [same[name].tables[period] for name in names if name in same]
            rows.append(
                {
                    "detector": detector,
                    "database": database,
                    "period": period,
                    **_figures(gross(result.tables[period] for result in some)),
                    "f1_of_ours_on_these": gross(ours).qrs_f1.percent if ours else None,
                    **_delay(some),
                    "unreadable_s": _unreadable(some),
                    "subset": len(names) < of[database],
                    "records": names,
                    "failed": {result.record: result.error for result in some if result.error},
                }
            )
    return rows


def by_record(all_results: Sequence[Result]) -> list[dict[str, Any]]:
    """A row for each detector, record and period."""
    return [
        {
            "detector": result.detector,
            "database": result.database,
            "record": result.record,
            "period": period,
            **_figures(table),
            **_delay([result]),
            "unreadable_s": result.unreadable_s,
            "error": result.error,
        }
        for result in all_results
        for period, table in result.tables.items()
    ]


def _figures(table: BeatTable) -> dict[str, Any]:
    return {
        "se": table.qrs_se.percent,
        "ppv": table.qrs_ppv.percent,
        "f1": table.qrs_f1.percent,
        "tp": table.true_positives,
        "fn": table.false_negatives,
        "fp": table.false_positives,
        "offset_median_ms": table.offset_median_ms,
        "offset_iqr_ms": table.offset_iqr_ms,
        "noise_s": table.noise_s,
        "se_clear": table.clear.qrs_se.percent,
        "ppv_clear": table.clear.qrs_ppv.percent,
    }


def _delay(some: Sequence[Result]) -> dict[str, Any]:
    """Percentiles of the delay, all beats of the record alike."""
    delays = np.concatenate([r.delays_ms for r in some if r.delays_ms is not None] or [np.zeros(0)])
    online = any(result.delays_ms is not None for result in some)
    told = dict.fromkeys(("delay_median_ms", "delay_p95_ms", "delay_p99_ms"))
    if len(delays):
        told = dict(zip(told, map(float, np.percentile(delays, (50, 95, 99))), strict=True))
    return {"online": online, **told}


def _unreadable(some: Sequence[Result]) -> float | None:
    declared = [result.unreadable_s for result in some if result.unreadable_s is not None]
    return sum(declared) if declared else None


@dataclass
class Speed:
    """Rounds of measurements of one detector.

    Attributes
    ----------
    detector : str
    beds : int
        Number of beds in the load that was measured.
    timed : int
        Beds of these that it had time for.
    values : int
        Samples in one pass, instants times leads.
    per_cpu_s : list of float
        Samples per processor second, one each round.
    """

    detector: str
    beds: int
    timed: int
    values: int
    per_cpu_s: list[float] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        """The spread of the rounds."""
        lowest, middle, highest = np.percentile(self.per_cpu_s, (0, 50, 100))
        return {
            "detector": self.detector,
            "beds": self.beds,
            "beds_timed": self.timed,
            "samples": self.values,
            "samples_per_cpu_s_median": float(middle),
            "samples_per_cpu_s_min": float(lowest),
            "samples_per_cpu_s_max": float(highest),
            "rounds": len(self.per_cpu_s),
        }


def speeds(
    strips: Sequence[Strip],
    peers: Mapping[str, Find],
    rounds: int,
    budget_s: float,
    done: Callable[[str], None],
) -> list[Speed]:
    """Measure all detectors with one bed and with as many as there are strips.

    Ours takes them all in one call a step; a peer takes one after the other, and when it would need more than
    `budget_s` processor seconds a round, only as many as it has time for.

    Parameters
    ----------
    strips : sequence of Strip
        One a bed.
    peers : dict of functions
    rounds : int
    budget_s : float
    done : callable
        Told the name of the detector after each measurement.

    Returns
    -------
    list of Speed
        `per_cpu_s` of the same place belong to the same round.
    """
    runs: list[tuple[Speed, Callable[[], Any]]] = []
    for beds in dict.fromkeys((1, len(strips))):
        for name, some in (
            (OURS, [strip.lead(0) for strip in strips[:beds]]),
            (OURS_ALL, list(strips[:beds])),
        ):
            ward = Beds(some)
            ward.run()  # compiles
            runs.append((Speed(name, beds, beds, ward.values), ward.run))
    leads = [lead_of(strip) for strip in strips]
    for name, function in peers.items():
        one_s = pass_s(_in_turn(function, leads[:1]), 0.0)
        for beds in dict.fromkeys((1, len(strips))):
            timed = max(1, min(beds, int(budget_s / one_s)))
            some_leads = leads[:timed]
            values = sum(len(lead.mv) for lead in some_leads)
            work = _in_turn(function, some_leads)
            runs.append((Speed(name, beds, timed, values), work))
    for _ in range(rounds):
        for speed, work in runs:
            speed.per_cpu_s.append(speed.values / pass_s(work, LEAST_CPU_S))
            done(speed.detector)
    return [speed for speed, _ in runs]


def speedup(measured: Sequence[Speed], beds: int, over: str) -> float | None:
    """How many times faster ours is on one lead: the median of the ratios within each round; None without `over`."""
    named = {speed.detector: speed.per_cpu_s for speed in measured if speed.beds == beds}
    if OURS not in named or over not in named:
        return None
    return float(np.median(np.array(named[OURS]) / np.array(named[over])))


def _in_turn(function: Find, leads: Sequence[Lead]) -> Callable[[], None]:
    def work() -> None:
        for lead in leads:
            find(function, lead)

    return work


def pass_s(work: Callable[[], object], least_s: float, clock: Callable[[], float] = time.process_time) -> float:
    """Seconds of one pass by a clock, over as many passes as make up `least_s`."""
    passes = 0
    began = clock()
    while True:
        work()
        passes += 1
        spent = clock() - began
        if spent >= least_s and spent > 0:
            return spent / passes
