"""What the whole monitor says when electrodes are moved: `python -m benchmarks.noise_on_the_ward`.

`telebeat bench detector` measures the detector in the mixes of mitdb with the noise of nstdb. Here the same mixes go
the whole way, as `telebeat annotate` goes it: fibrillation that is told in noise hides beats from the annotation file,
noise is called ventricular, alarms sound. Beside what is right stands how much was declared to be in doubt, what is
right outside of that, and what an analyser would score that says nothing in doubt (EC57's shutdown).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import track

from benchmarks import parts
from model.bench import Case
from model.cases import cases, expand, mixed_db
from model.ec57 import Annotations, Period, gross, pair, tabulate
from model.reader import Reader
from replay.records import Record
from stream import rhythm
from stream.annotate import RecordOutput, analyse
from stream.annotations import marks_of, shut_down
from stream.settings import data_dirs
from stream.ward import Ward

KINDS: Final = ("noise-em",)  # the noise of moving electrodes; muscle and wander are far easier
ALARMS: Final = ("ventricular_fibrillation", "ventricular_tachycardia", "asystole", "noisy")


def record_of(case: Case) -> Record:
    """A case as the ward would read it."""
    strip = case.strip
    return Record(
        case.record,
        round(strip.rate_hz * 1000),
        tuple(f"MDC_ECG_LEAD_{name}" for name in ("II", "V1")[: strip.leads]),
        tuple(strip.mv_per_bit[: strip.leads].tolist()),
        strip.samples[:, : strip.leads],
    )


def annotated(said: RecordOutput, *, shutdown: bool) -> Annotations:
    """What was said as its annotation file has it."""
    beats, marks = shut_down(said.beats, said.marks) if shutdown else (said.beats, said.marks)
    rows = marks_of(beats, said.revisions, marks)
    return Annotations.of([row.sample for row in rows], [row.symbol for row in rows], [row.subtype for row in rows])


def judge(case: Case, said: RecordOutput) -> dict[str, Any]:
    """Tables of one record, told and silent in doubt, and its alarms."""
    rate = case.strip.rate_hz
    period = Period.of(rate, end_s=len(case.strip.samples) / rate)
    tables = {
        name: tabulate(pair(case.truth, annotated(said, shutdown=shutdown), period), rate)
        for name, shutdown in (("told", False), ("silent", True))
    }
    raised = Counter(alert.rule for alert in said.alerts if alert.state == "raised")
    alarms = {rule: raised[rule] for rule in ALARMS}
    return {
        **tables,
        "alarms": alarms,
        "atrial": _fibrillating(said, len(case.strip.samples)),
        "samples": len(case.strip.samples),
    }


def _fibrillating(said: RecordOutput, end: int) -> int:
    """Samples for which atrial fibrillation was told; none of these hearts has any."""
    told = [(mark.sample, mark.aux) for mark in said.marks if mark.symbol == "+"]
    return sum(
        until - begin for (begin, aux), (until, _) in pairwise([*told, (end, "")]) if aux == rhythm.AUX[rhythm.AF]
    )


def measure(data_dir: Path | None, model: Path | None) -> dict[str, Any]:
    """Gross figures of every level of noise."""
    folders = data_dirs(data_dir)
    reader = Reader.load(model)
    ward = Ward(reader)
    names = expand(KINDS)
    found: dict[str, list[dict[str, Any]]] = {}
    for name in track(names, "moving electrodes", console=Console(stderr=True), transient=True):
        found[name] = [judge(case, analyse(record_of(case), ward)) for case in cases(folders, name, None, None)]
    return {
        "machine": parts.machine(),
        "weights_blake2b": reader.card["weights_blake2b"],
        "mixes": {name: _figures(some) for name, some in found.items()},
    }


def _figures(some: Sequence[dict[str, Any]]) -> dict[str, Any]:
    told, silent = (gross(one[name] for one in some) for name in ("told", "silent"))
    return {
        "records": len(some),
        "qrs_se": told.qrs_se.percent,
        "qrs_ppv": told.qrs_ppv.percent,
        "qrs_f1": told.qrs_f1.percent,
        "declared": 100.0 * told.noise_s / told.period_s,
        "clear_se": told.clear.qrs_se.percent,
        "clear_ppv": told.clear.qrs_ppv.percent,
        "silent_se": silent.qrs_se.percent,
        "silent_ppv": silent.qrs_ppv.percent,
        "veb_se": told.veb_se.percent,
        "veb_ppv": told.veb_ppv.percent,
        "atrial_fibrillation": 100.0 * sum(one["atrial"] for one in some) / sum(one["samples"] for one in some),
        "alarms": {rule: sum(one["alarms"][rule] for one in some) for rule in ALARMS},
    }


def show(figures: dict[str, Any]) -> None:
    """Print per cent of beats and of time, and how many alarms there were."""
    names = (
        *("qrs_se", "qrs_ppv", "qrs_f1", "declared", "clear_se", "clear_ppv", "silent_se", "silent_ppv"),
        *("veb_se", "veb_ppv", "atrial_fibrillation"),
    )
    heads = ("QRS Se", "+P", "F1", "declared", "clear Se", "+P", "silent Se", "+P", "VEB Se", "+P", "AF told")
    print(f"{'noise, dB':>10}" + "".join(f"{head:>11}" for head in heads) + "".join(f"{rule:>26}" for rule in ALARMS))
    for mix, row in figures["mixes"].items():
        shares = "".join(f"{'–' if row[name] is None else f'{row[name]:.2f}':>11}" for name in names)
        print(f"{mixed_db(mix):>10}{shares}" + "".join(f"{row['alarms'][rule]:>26}" for rule in ALARMS))


def main() -> None:
    """Read the command line, measure, print."""
    parts.read_beats("Show the whole monitor what moving electrodes add to an ECG.", measure, show)


if __name__ == "__main__":
    main()
