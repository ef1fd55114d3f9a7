"""How long is a tachycardia of round waves unheard that begins in quiet? `python -m benchmarks.tachycardia_onset`.

A detector measures a beat against those before it, and waits out a pause before it listens to less. So a ventricular
tachycardia whose waves are as round as a sine and no higher than the beats before it may pass for the baseline at
first. After 20 s of each record's own rhythm come 20 s of waves abs(sin)^n of one polarity a lead, with hardly any
noise: n = 2 is as round as ventricular flutter, n = 6 as narrow as a wide QRS complex. Printed for each height: how
many of its beats are found, and the longest time without a beat, from the last one of the rhythm on, over all records
and rates; and, of each record at one of the rates, how soon the whole monitor raises any alarm of high priority.

Our detector's weights were fitted to these records, and to tachycardias of other waves (`benchmarks.qrs_runs`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from rich.console import Console
from rich.progress import track
from rich.table import Table

from benchmarks import parts
from benchmarks.noise_on_the_ward import record_of
from model.bench import Case
from model.cases import CLEAN_DATABASE, cases
from model.detector_runs import Beds
from model.ec57 import Annotations
from model.reader import Reader
from model.strip import Strip
from stream.annotate import analyse
from stream.settings import data_dirs
from stream.ward import Ward

Ints = npt.NDArray[np.int64]

RHYTHM_S, TACHYCARDIA_S = 20.0, 20.0
ROUNDNESS: Final = (2, 4, 6)  # n of |sin|^n
HEIGHTS_MV: Final = (0.3, 0.5, 0.8, 1.2)
RATES: Final = (120.0, 135.0, 150.0, 180.0, 220.0)  # beats a minute
LEADS_MV: Final = (1.0, -0.6)  # of the height, in each lead
NOISE_MV: Final = 0.01  # root mean square: an electrode at rest
NEAR_S: Final = 0.15  # between a beat and where it was told, as EC57 has it
LONG_S: Final = 4.0  # from here on an alarm says asystole
WIDE: Final = 120  # columns of the table
FIGURES: Final = ("found %", "longest unheard s", "over 4 s %", "high alarm after s", "none %")


@dataclass(frozen=True, eq=False)
class Onset:
    """A rhythm and the tachycardia that follows it.

    Attributes
    ----------
    strip : Strip
    begun : int
        Sample at which the tachycardia begins.
    beats : int64, shape (n,)
        Samples of its waves' tops.
    """

    strip: Strip
    begun: int
    beats: Ints


def onset(case: Case, leads: int, roundness: int, height_mv: float, rate: float, seed: int) -> Onset:
    """A record's own rhythm, then waves of this roundness and height, so many a minute."""
    hz = case.strip.rate_hz
    begun, end = round(RHYTHM_S * hz), round((RHYTHM_S + TACHYCARDIA_S) * hz)
    mv = case.strip.mv[:end, :leads].copy()
    time = np.arange(end - begun) / hz
    wave = height_mv * np.abs(np.sin(np.pi * rate / 60.0 * time)) ** roundness
    noise = NOISE_MV * np.random.default_rng(seed).standard_normal((len(time), leads))
    level = np.median(np.nan_to_num(mv[:begun]), axis=0)
    mv[begun:] = level + wave[:, None] * LEADS_MV[:leads] + noise
    tops = begun + np.rint((np.arange(int(TACHYCARDIA_S * rate / 60.0)) + 0.5) * 60.0 / rate * hz).astype(np.int64)
    return Onset(Strip.of_mv(mv, hz), begun, tops[tops < end - round(2 * NEAR_S * hz)])


def detected(one: Onset, told: Ints) -> tuple[int, float]:
    """How many of the tachycardia's beats were told, and the longest time without any, s."""
    hz = one.strip.rate_hz
    apart = np.abs(told[:, None] - one.beats).min(axis=0, initial=len(one.strip.samples))
    before = told[told < one.begun]
    begin = before[-1:] if len(before) else np.array([one.begun])
    edges = np.concatenate([begin, told[told >= one.begun], [len(one.strip.samples)]])
    return int((apart <= NEAR_S * hz).sum()), float(np.diff(edges).max() / hz)


def alarmed(one: Onset, ward: Ward) -> float | None:
    """Seconds from its begin to the monitor's first alarm of high priority; None where there is none."""
    hz = one.strip.rate_hz
    case = Case("onset", "onset", one.strip, Annotations.of(np.array([], np.int64), []))
    after = (
        (alert.decided_sample - one.begun) / hz
        for alert in analyse(record_of(case), ward).alerts
        if alert.priority == "high" and alert.state == "raised" and alert.decided_sample >= one.begun
    )
    return min(after, default=None)


def onsets(clean: Sequence[Case], leads: int, roundness: int, height_mv: float) -> Iterator[Onset]:
    """One of each record at each rate."""
    for number, case in enumerate(clean):
        for turn, rate in enumerate(RATES):
            yield onset(case, leads, roundness, height_mv, rate, len(RATES) * number + turn)


def measure(data_dir: Path | None, model: Path | None) -> dict[str, Any]:
    """Figures by leads, roundness and height."""
    ward = Ward(Reader.load(model))
    machine = parts.machine()
    clean = cases(data_dirs(data_dir), CLEAN_DATABASE, None, None)
    kinds = [(leads, n, mv) for leads in (1, len(LEADS_MV)) for n in ROUNDNESS for mv in HEIGHTS_MV]
    rows = []
    for leads, roundness, height_mv in track(kinds, "tachycardias", console=Console(stderr=True)):
        made = list(onsets(clean, leads, roundness, height_mv))
        said = Beds([one.strip for one in made]).run()
        results = [detected(one, bed.found["sample"]) for one, bed in zip(made, said, strict=True)]
        found, unheard = zip(*results, strict=True)
        alarms = [alarmed(made[len(RATES) * k + k % len(RATES)], ward) for k in range(len(clean))]
        raised = [after for after in alarms if after is not None]
        rows.append(
            {
                "leads": leads,
                "roundness": roundness,
                "mV": height_mv,
                FIGURES[0]: 100.0 * sum(found) / sum(len(one.beats) for one in made),
                FIGURES[1]: parts.spread(unheard),
                FIGURES[2]: 100.0 * float(np.mean(np.array(unheard) > LONG_S)),
                FIGURES[3]: parts.spread(raised) if raised else None,
                FIGURES[4]: 100.0 * (1.0 - len(raised) / len(alarms)),
            }
        )
    return {"machine": machine, "rows": rows}


def show(figures: dict[str, Any]) -> None:
    """Print a table."""
    table = Table("leads", "roundness", "mV", *FIGURES)
    for row in figures["rows"]:
        spreads = [parts.spread_text(row[name]) if row[name] else "" for name in (FIGURES[1], FIGURES[3])]
        values = (f"{row[FIGURES[0]]:.1f}", spreads[0], f"{row[FIGURES[2]]:.0f}", spreads[1], f"{row[FIGURES[4]]:.0f}")
        table.add_row(str(row["leads"]), f"|sin|^{row['roundness']}", str(row["mV"]), *values)
    Console(width=WIDE).print(table)


def main() -> None:
    """Read the command line, measure, print."""
    parts.read_beats("How long a tachycardia of round waves that begins in quiet is unheard.", measure, show)


if __name__ == "__main__":
    main()
