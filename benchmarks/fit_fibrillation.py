"""The constants of the fibrillation score: fitted and cross-validated by subject, and how the alarm does with them.

    python -m benchmarks.fit_fibrillation                    # the constants as they are, and fitted anew
    python -m benchmarks.fit_fibrillation --databases vfdb   # only there

Every half second of every record is measured as the bed measures it. A logistic regression is fitted to the windows
that lie wholly in fibrillation or flutter or wholly outside; ventricular tachycardia of vfdb, much of which is
flutter, counts as fibrillation by half, noise and asystole by half as their contrary, and so does the noise of moving
electrodes that nstdb's recording adds to records of mitdb (of one lead, `/1`, and of both). Each record weighs the
same, each with fibrillation more. The constant is then moved until as many windows of fibrillation, record by record,
speak for it as with the constants as they are: only then do two scores compare by their false alarms. New constants are
to be taken over when they are better in all databases, or where lives do not hang on it: a missed fibrillation is worse
than a false one.
"""

from __future__ import annotations

import argparse
import csv
import functools
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import wfdb
from rich.console import Console
from rich.progress import track
from rich.table import Table
from sklearn.linear_model import LogisticRegression

from detector import doubt, fibrillation, vf_measures
from detector.detector import Detector
from detector.jit import kernel
from detector.scratch import CARRIED_TICKS, new_scratch
from detector.types import EPOCH, GOOD, LEADS, NOISY, RATE, RING, Array, Row
from model import noise
from model.cases import CLEAN, CLEAN_DATABASE, cases, mixed_db
from model.strip import read_strip
from replay.records import find_records
from stream.limits import DEFAULTS
from stream.rules import LIKELY, VF_ENDS
from stream.settings import data_dirs

Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

REAL: Final = ("vfdb", "cudb", "mitdb", "svdb", "cinc2015", "cpsc2021")
MIXES: Final = tuple(f"noise-em{db}{lead}" for db in ("-12", "-6", "-0", "_6") for lead in ("", "/1"))
DATABASES: Final = (*REAL, *MIXES)
PER_S: Final = RATE // fibrillation.EVERY  # measurements a second
SPAN: Final = fibrillation.HALVES  # of them in a window
MEASURES: Final = ("size", "steadiness", "leakage", "quiet", "period", "roughness", "leaky")
SCORE: Final = np.array(
    [
        fibrillation.SIZE,
        fibrillation.STEADY,
        fibrillation.LEAKAGE,
        fibrillation.QUIET,
        fibrillation.PERIOD,
        fibrillation.ROUGHNESS,
        fibrillation.LEAKY,
        fibrillation.REGULAR,
    ]
)
SILENT, RESTS, ROUGH, SPEAKS = range(4)  # a lead: says nothing, rests or is rough and so certainly no, is to be judged
ELSE, NOISE, TACHYCARDIA, UNKNOWN, VF = range(5)  # what a half second is; the later overrules
WEIGHT: Final = {ELSE: 1.0, NOISE: 0.5, TACHYCARDIA: 3.0, VF: 6.0}  # of a record's windows of each
RHYTHM: Final = {"VF": VF, "VFIB": VF, "VFL": VF, "VT": TACHYCARDIA, "NOISE": NOISE, "ASYS": NOISE}
ALARM_S, TRUE_S = 300.0, 12.0  # where the alarm of the 2015 Challenge stands, and for how long before it it is true
LONG_S: Final = 5  # shortest fibrillation that must be told
NEAR_S: Final = 6  # an alarm that begins so soon after fibrillation is not false: the window still holds it
FOLDS: Final = 5


@dataclass(frozen=True, eq=False)
class Analysed:
    """A record by half seconds: what it is (n,), what each lead says (n, LEADS) and its measures (n, LEADS, 7), and how
    much its beats speak for a rhythm (n,).
    """

    database: str
    subject: str
    labels: npt.NDArray[np.int64]
    says: npt.NDArray[np.int64]
    measures: Floats
    regular: Floats

    @functools.cached_property
    def whole(self) -> npt.NDArray[np.int64]:
        """What each window is; `UNKNOWN` where it is more than one thing."""
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(self.labels, (SPAN - 1, 0)), SPAN)
        return np.where((windows == windows[:, :1]).all(axis=1), self.labels, UNKNOWN)


@kernel
def _run_kernel(state: Row, uv: Array, valid: Array, scratch: Row, says: Array, measures: Array) -> None:
    for epoch in range(uv.shape[0]):
        for lead in range(LEADS):
            scratch.lead[lead].uv[CARRIED_TICKS : CARRIED_TICKS + EPOCH] = uv[epoch, lead]
            scratch.lead[lead].valid[:EPOCH] = valid[epoch, lead]
        fibrillation.take(state, epoch * EPOCH, EPOCH, scratch, 0)
        if epoch % fibrillation.HALF < fibrillation.HALF - 1 or state.n < fibrillation.HALVES:
            continue
        k = epoch // fibrillation.HALF
        for lead in range(LEADS):
            track = state.lead[lead]
            if fibrillation.is_lost(track.lost):
                continue
            vf_measures.without_baseline(track, state.here, scratch.wave)
            y = scratch.wave.y
            least, largest, mean = vf_measures.deflections(y)
            if fibrillation.rests(track, k % fibrillation.HALVES):
                says[k, lead] = RESTS
            elif mean >= fibrillation.SMALLEST_UV:
                says[k, lead] = ROUGH if vf_measures.roughness(y) > fibrillation.ROUGH else SPEAKS
                measures[k, lead, 0] = np.log2(mean)
                measures[k, lead, 1] = least / largest
                measures[k, lead, 2] = vf_measures.leakage(y)
                measures[k, lead, 3] = vf_measures.quiet(scratch.wave)
                measures[k, lead, 4] = vf_measures.period(scratch.wave)
                measures[k, lead, 5] = vf_measures.roughness(y)
                measures[k, lead, 6] = max(measures[k, lead, 2] - fibrillation.MUCH, 0.0)


def analyse(path: Path, database: str, folders: Sequence[Path]) -> Analysed:
    """Measure a record, or its mix with noise."""
    mix, _, lead = database.partition("/")
    if mixed_db(mix) is None:
        strip = read_strip(path)
    else:
        (case,) = cases(folders, mix, [path.name], None)
        strip = case.strip.lead(0) if lead else case.strip
    detector = Detector(strip.rate_hz, strip.mv_per_bit[: strip.leads])
    epochs = int(len(strip.samples) / strip.rate_hz) * RATE // EPOCH
    mv = np.full(((epochs + 20) * EPOCH, LEADS), np.nan)
    state = np.full((epochs + 21, LEADS), GOOD)
    regular = np.zeros(epochs // fibrillation.HALF)
    done, size = 0, int(strip.rate_hz) // 2
    for first in range(0, len(strip.samples), size):
        _, closed = detector.update(strip.samples[first : first + size, : strip.leads])
        new = np.arange(done, min(detector.signal["end"], len(mv)))
        mv[new] = detector.signal["mv"][:, new % RING].T
        done = int(detector.signal["end"])
        for one in closed[closed["tick"] < epochs * EPOCH]:
            state[one["tick"] // EPOCH + 1] = one["lead"]
        lately = detector.state()[0]["doubt"]
        regular[min(done // fibrillation.EVERY, len(regular)) - 1 :] = doubt.regular(lately["told"], lately["scores"])
    mv = mv[: epochs * EPOCH]
    there = np.isfinite(mv)
    last = np.maximum.accumulate(np.where(there, np.arange(len(mv))[:, None], 0), axis=0)  # the last reading is held
    uv = np.rint(np.nan_to_num(np.take_along_axis(mv, last, axis=0)) * 1000.0).astype(np.int32)
    valid = there & (np.repeat(state[:epochs], EPOCH, axis=0) <= NOISY)
    rows = epochs // fibrillation.HALF
    says, measures = np.zeros((rows, LEADS), np.int64), np.zeros((rows, LEADS, len(MEASURES)))
    table = np.zeros(1, fibrillation.FIBRILLATION)
    fibrillation.begin(table[0])
    by_epoch = (epochs, EPOCH, LEADS)
    stretch = np.ascontiguousarray(uv.reshape(by_epoch).transpose(0, 2, 1))
    readable = np.ascontiguousarray(valid.astype(np.uint8).reshape(by_epoch).transpose(0, 2, 1))
    _run_kernel(table[0], stretch, readable, new_scratch()[0], says, measures)
    subject = path.name.rsplit("_", 1)[0] if database == "cpsc2021" else path.name
    of = CLEAN_DATABASE if mix != database or mixed_db(mix) is not None else database
    return Analysed(database, f"{of}/{subject}", label(path, mix, rows), says, measures, regular[:rows])


def spans(path: Path, database: str) -> Iterable[tuple[float, float, int]]:
    """From and to, s, and what it is there."""
    if mixed_db(database) is not None:
        yield 0.0, 1e9, UNKNOWN  # what is not noise is in mitdb already
        for begin in np.arange(noise.CLEAN_S, 1800.0, 2 * noise.TURN_S):
            yield float(begin), float(begin + noise.TURN_S), NOISE
    elif database in ("vfdb", "mitdb"):
        read = wfdb.rdann(str(path), "atr")
        rate = float(wfdb.rdheader(str(path)).fs)
        begun, rhythm, flutter = 0.0, ELSE, 0.0
        for sample, symbol, note in zip([*read.sample, 1e9], [*read.symbol, "+"], [*read.aux_note, ""], strict=True):
            if symbol == "+":
                yield begun, sample / rate, rhythm
                begun, rhythm = sample / rate, RHYTHM.get(note.strip("\0("), ELSE)
            elif symbol == "[":
                flutter = sample / rate
            elif symbol == "]":
                yield flutter, sample / rate, VF
    elif database == "cudb":
        with (path.parent / "labels_5s.csv").open(encoding="utf-8") as lines:
            for line in csv.DictReader(lines):
                if line["record"] == path.name and line["shockable"] == "1":
                    yield int(line["start_sample"]) / RATE, int(line["start_sample"]) / RATE + 5.0, VF
    elif database == "cinc2015":
        with (path.parent / "ALARMS").open(encoding="utf-8") as lines:
            kinds = {line["record"]: line["alarm"] for line in csv.DictReader(lines) if line["true"] == "1"}
        if kinds.get(path.name) == "Ventricular_Flutter_Fib":
            yield 0.0, 1e9, UNKNOWN
            yield ALARM_S - TRUE_S, ALARM_S, VF
        elif kinds.get(path.name) == "Ventricular_Tachycardia":
            yield ALARM_S - 20.0, 1e9, TACHYCARDIA


def label(path: Path, database: str, rows: int) -> npt.NDArray[np.int64]:
    """What each half second is."""
    out = np.full(rows, ELSE)
    order = (lambda span: -span[2]) if mixed_db(database) is not None else (lambda span: span[2])
    for begin, end, kind in sorted(spans(path, database), key=order):
        out[round(begin * PER_S) : min(round(end * PER_S), rows)] = kind
    return out


def likelihood(analysed: Analysed, score: Floats, constant: float) -> Floats:
    """As `detector.fibrillation` has it, of each half second."""
    value = np.where(analysed.says == SPEAKS, analysed.measures @ score[:-1] + constant, fibrillation.LOG_ODDS_MIN)
    judged = ((analysed.says == RESTS) | (analysed.says == SPEAKS)).any(axis=1, keepdims=True)
    value = np.where((analysed.says == ROUGH) & judged, fibrillation.NOISE_SAYS, value)
    spoken = analysed.says != SILENT
    total = np.where(spoken, value.clip(fibrillation.LOG_ODDS_MIN, fibrillation.LOG_ODDS_MAX), 0.0).sum(axis=1)
    count = spoken.sum(axis=1)
    odds = total / np.maximum(count, 1)
    beats = np.maximum(score[-1] * analysed.regular, fibrillation.REGULAR_MOST)
    odds += np.where(odds > fibrillation.LOG_ODDS_MIN, beats, 0.0)
    return np.where(count > 0, 1.0 / (1.0 + np.exp(-odds)), 0.0)


def fit(some: Sequence[Analysed]) -> tuple[Floats, float]:
    """Score and constant, as sensitive to the windows of these records as the constants as they are."""
    x, y, w = [], [], []
    for analysed in some:
        whole = analysed.whole
        for kind, weight in WEIGHT.items():
            if kind == TACHYCARDIA and analysed.database != "vfdb":
                continue
            windows = (whole == kind)[:, None] & (analysed.says != SILENT)
            used = windows & (analysed.says == SPEAKS)
            regular = np.broadcast_to(analysed.regular[:, None], used.shape)[used]
            x.append(np.column_stack([analysed.measures[used], regular]))
            y.append(np.full(used.sum(), kind >= TACHYCARDIA))
            w.append(np.full(used.sum(), weight / max(int(windows.sum()), 1)))
    rows, weights = np.concatenate(x), np.concatenate(w)
    spread = rows.std(axis=0)
    model = LogisticRegression(max_iter=2000).fit(
        rows / spread, np.concatenate(y), sample_weight=weights / weights.mean()
    )
    score: Floats = model.coef_[0] / spread

    real = [one for one in some if (one.whole == VF).any()]

    def sensitivity(score: Floats, constant: float) -> float:
        return float(np.mean([(likelihood(one, score, constant) >= LIKELY)[one.whole == VF].mean() for one in real]))

    wanted = sensitivity(SCORE, fibrillation.CONSTANT)
    tried = float(model.intercept_[0]) + np.arange(-4.0, 6.0, 0.25)
    return score, float(next((c for c in tried if sensitivity(score, c) >= wanted), tried[-1]))


def alarm(likely: Flags, alone: Flags) -> Flags:
    """When the alarm is on, as `stream.rules` has it: begun by signal and beats, it goes on by the signal `alone`."""
    hold, ends = round(DEFAULTS.fibrillation_s * PER_S), VF_ENDS * PER_S // RATE
    on = np.zeros(len(likely), np.bool_)
    active, since, last = False, -1, 0
    for k, looks in enumerate(likely):
        if looks or (active and alone[k]):
            since, last = k if since < 0 else since, k
            active |= k - since >= hold
        elif not active or k - last >= ends:
            active, since = False, -1
        on[k] = active
    return on


def stretches(flags: Flags) -> list[tuple[int, int]]:
    """Begin and end of each."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(int), [0]])))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))


def row(some: Sequence[Analysed], judge: Callable[[Analysed], Floats]) -> list[str]:
    """Episodes, sensitivity, predictivity, specificity, false alarms an hour, latency, tachycardia also told."""
    vf = told = rest = false_s = tachycardia = also = hours = 0.0
    found, wrong, delays = [], 0, []
    for analysed in some:
        likely, alone = (
            judge(one) >= LIKELY for one in (analysed, replace(analysed, regular=np.zeros(len(analysed.regular))))
        )
        on, real = alarm(likely, alone), analysed.labels == VF
        outside = analysed.labels < TACHYCARDIA
        vf, told = vf + real.sum(), told + (on & real).sum()
        rest, false_s = rest + outside.sum(), false_s + (on & outside).sum()
        tachycardia += (analysed.labels == TACHYCARDIA).sum()
        also += (on & (analysed.labels == TACHYCARDIA)).sum()
        hours += len(on) / PER_S / 3600.0
        for first, end in stretches(real):
            if end - first >= LONG_S * PER_S:
                at = np.flatnonzero(on[first : end + 3 * PER_S])
                found.append(len(at) > 0)
                delays += [at[0] / PER_S] if len(at) else []
        wrong += sum(bool(outside[max(a - NEAR_S * PER_S, 0) : b].all()) for a, b in stretches(on))
    return [
        f"{sum(found)}/{len(found)}",
        _percent(told, vf),
        _percent(told, told + false_s) if vf else "–",
        _percent(rest - false_s, rest, 2),
        f"{wrong / hours:.2f}",
        f"{np.median(delays):.1f}" if delays else "–",
        _percent(also, tachycardia),
    ]


def _percent(part: float, whole: float, digits: int = 1) -> str:
    return f"{100.0 * part / whole:.{digits}f}" if whole else "–"


def show(title: str, analysed: Sequence[Analysed], judge: Callable[[Analysed], Floats]) -> None:
    """Print a table."""
    columns = ("database", "episodes", "Se %", "+P %", "specificity %", "false/h", "latency s", "VT told %")
    table = Table(*columns, title=title)
    for database in dict.fromkeys(one.database for one in analysed):
        table.add_row(database, *row([one for one in analysed if one.database == database], judge))
    Console(width=110).print(table)


def _paths(folders: Sequence[Path], database: str) -> list[Path]:
    """Its records; of a mix those that noise is added to."""
    if mixed_db(database.partition("/")[0]) is None:
        return find_records(folders, None, database)
    return find_records(folders, CLEAN, CLEAN_DATABASE)


def main() -> None:
    """Measure, fit, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", type=Path, help="folder of the databases; default: the usual places")
    parser.add_argument("--databases", nargs="+", default=DATABASES, choices=DATABASES)
    parser.add_argument("--no-fit", action="store_true", help="only the constants as they are")
    arguments = parser.parse_args()
    folders = data_dirs(arguments.data_dir)
    paths = [(path, name) for name in arguments.databases for path in _paths(folders, name)]
    analysed: list[Any] = [
        analyse(*job, folders) for job in track(paths, "records", console=Console(stderr=True), transient=True)
    ]
    show("As it is", analysed, lambda one: likelihood(one, SCORE, fibrillation.CONSTANT))
    if arguments.no_fit:
        return
    fold = {one.subject: zlib.crc32(one.subject.encode()) % FOLDS for one in analysed}
    fitted = [fit([one for one in analysed if fold[one.subject] != k]) for k in range(FOLDS)]
    show("Fitted anew, cross-validated by subject", analysed, lambda one: likelihood(one, *fitted[fold[one.subject]]))
    score, constant = fit(analysed)
    names = (*MEASURES, "regular")
    print(*(f"{name} {value:.2f}" for name, value in zip(names, score, strict=True)), f"constant {constant:.2f}")


if __name__ == "__main__":
    main()
