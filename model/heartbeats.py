"""Single beats as in the well-known set of 123,998 beats: 187 samples at 125 Hz, from R on, between 0 and 1.

Kachuee, Fazeli and Sarrafzadeh, "ECG Heartbeat Classification: A Deep Transferable Representation", ICHI 2018. Their
steps, and what is done here:

1. Lead II at 125 Hz. *Here*: the lead named MLII or II, else the first.
2. The signal in windows of 10 s, each brought to 0 ... 1. *The same*; a beat near the end of a window reads on into the
   next one on the scale of its own, cut at 0 and 1.
3. R peaks: local maxima above 0.9 of the window. *Not here*: that misses every beat that is not among the tallest, and
   the published set cannot have been made so: it holds 109,446 of the 109,494 annotated beats of MIT-BIH, all but one a
   record. So MIT-BIH beats lie at the reference annotations by default, which makes it the same task, or at the beats
   the online detector finds (`detected`), labelled by EC57's matching. PTB has no annotations: the online detector's.
4. T, the median RR interval of the window. *The same*; of the record where a window has a single beat.
5. From each R peak 1.2 T of signal, padded with zeros to 187 samples. *The same*. Beats whose 1.2 T the record does not
   hold are left out.

Classes: N with L R e j, S with A a J, V with E, F, Q with / f (the paper's Table I), which differs from EC57 in the
escape beats e j. PTB: myocardial infarction against healthy control, by the header's reason for admission; records with
other diagnoses are left out.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import wfdb
from scipy.signal import resample_poly

from detector.types import LEADS
from model.dataset import REFERENCE, refuse
from model.detector_runs import Beds
from model.ec57 import Annotations, Period, pair, read
from model.strip import Strip
from model.subjects import subject_of
from replay import folders, headers
from stream.errors import RecordError

SAMPLES: Final = 187  # of a beat
RATE_HZ: Final = 125
WINDOW: Final = 10 * RATE_HZ  # samples of a window
REACH: Final = 1.2  # of the median RR interval: the beat and the P wave and QRS of the next
FLAT_MV: Final = 0.02  # a window that moves less holds no beat

#: The paper's classes of MIT-BIH; `?` is a learned beat, `B` and `r` as EC57 has them (none in mitdb).
SYMBOLS: Final[dict[str, str]] = {
    **dict.fromkeys("NLRBej", "N"),
    **dict.fromkeys("AaJS", "S"),
    **dict.fromkeys("VEr", "V"),
    "F": "F",
    **dict.fromkeys("/fQ?", "Q"),
}
LEAD_II: Final = ("mlii", "ii")  # names of lead II in MIT-BIH and PTB


@dataclass(frozen=True)
class Task:
    """One of the two classic tasks.

    Attributes
    ----------
    name, title : str
    database : str
        Folder of its WFDB records.
    classes : tuple of str
        In the order of the CSV files' labels.
    published : float
        Accuracy in percent that the paper gives, on its random split.
    """

    name: str
    title: str
    database: str
    classes: tuple[str, ...]
    published: float


MITBIH: Final = Task("mitbih", "MIT-BIH, five classes", "mitdb", ("N", "S", "V", "F", "Q"), 93.4)
PTB: Final = Task("ptb", "PTB Diagnostic, infarction", "ptbdb", ("normal", "infarction"), 95.9)


@dataclass(frozen=True, eq=False)
class Heartbeats:
    """Single beats with their classes.

    Attributes
    ----------
    task : Task
    rows : float32 (n, SAMPLES)
        0 ... 1; zeros after the beat's end.
    labels : int64 (n,)
        Index into ``task.classes``.
    subjects : str (n,) or None
        ``group/subject`` of each beat; None where the files do not tell.
    records : str (n,) or None
        Record of each beat.
    test : bool (n,) or None
        The files' own test part.
    source : str
        Where they are from, for the report.
    notes : tuple of str
        What must be known to read figures made with them.
    """

    task: Task
    rows: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    subjects: npt.NDArray[np.str_] | None
    records: npt.NDArray[np.str_] | None
    test: npt.NDArray[np.bool_] | None
    source: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)

    def counts(self) -> dict[str, int]:
        """Beats of each class."""
        return {name: int((self.labels == k).sum()) for k, name in enumerate(self.task.classes)}

    def take(self, chosen: npt.NDArray[Any]) -> Heartbeats:
        """Some of them, by index or mask."""

        def part(array: Any) -> Any:
            return None if array is None else array[chosen]

        return replace(
            self,
            rows=self.rows[chosen],
            labels=self.labels[chosen],
            subjects=part(self.subjects),
            records=part(self.records),
            test=part(self.test),
        )

    def subsample(self, count: int, seed: int) -> Heartbeats:
        """So many of them by lot, in their order, with a note that says so; all where there are no more."""
        if count >= len(self):
            return self
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self))[:count])
        note = f"{count} of {len(self)} beats by lot (--subsample): rare classes have few, the figures are rough"
        return replace(self.take(chosen), notes=(*self.notes, note))


def cut(
    signal: npt.NDArray[np.float64], rate_hz: float, peaks: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Cut single beats out of a lead.

    Parameters
    ----------
    signal : float64 (n,)
        mV; NaN where there is no reading.
    rate_hz : float
    peaks : int64 (k,)
        R peaks in samples, rising.

    Returns
    -------
    float32 (m, SAMPLES), int64 (m,)
        The beats, and which peaks they begin at.
    """
    there = np.isfinite(signal)
    if len(peaks) < 2 or not there.any():
        return np.zeros((0, SAMPLES), np.float32), np.zeros(0, np.int64)
    signal = np.interp(np.arange(len(signal)), np.flatnonzero(there), signal[there])
    ratio = Fraction(RATE_HZ / rate_hz).limit_denominator(10_000)
    slow = resample_poly(signal, ratio.numerator, ratio.denominator, padtype="line")
    places = np.rint(peaks * (RATE_HZ / rate_hz)).astype(np.int64)
    intervals = np.diff(places)
    usual = float(np.median(intervals))
    windows = places // WINDOW
    rows, kept = [], []
    for window in np.unique(windows):
        scale = slow[window * WINDOW : (window + 1) * WINDOW]
        if not len(scale) or (span := float(np.ptp(scale))) < FLAT_MV:
            continue
        inside = np.flatnonzero(windows == window)
        between = np.diff(places[inside])
        period = float(np.median(between)) if len(between) else usual
        length = min(round(REACH * period), SAMPLES)
        for i in inside:
            part = slow[places[i] : places[i] + length]
            if length < 2 or len(part) < length:
                continue
            row = np.zeros(SAMPLES, np.float32)
            row[:length] = np.clip((part - scale.min()) / span, 0.0, 1.0)
            rows.append(row)
            kept.append(i)
    return np.array(rows, np.float32).reshape(-1, SAMPLES), np.array(kept, np.int64)


def from_mitbih(
    folder: Path,
    records: Sequence[str],
    *,
    detected: bool = False,
    report: Callable[[str], None] = lambda _: None,
    remark: Callable[[str], object] = refuse,
) -> Heartbeats:
    """Beats of annotated WFDB records in the five classes.

    Parameters
    ----------
    folder : Path
    records : sequence of str
    detected : bool
        At the beats the online detector finds, instead of the annotated ones; those that EC57's matching (150 ms) pairs
        with no annotated beat are left out.
    report : callable
        Told each record when it is done.
    remark : callable
        Told of each record that cannot be read, and why: it is left out, unless this raises.

    Raises
    ------
    RecordError
        There is no beat in any.
    """
    parts, left_out = [], []
    database = folders.database_of(folder)
    for name in records:
        try:
            record = _record(folder / name)
            reference = read(folder, name, REFERENCE, float(record.fs))
        except RecordError as error:
            remark(str(error))
            left_out.append(name)
            continue
        if detected:
            peaks = detect(record)
            pairs = pair(reference, Annotations.of(peaks, "N" * len(peaks)), Period.of(float(record.fs), start_s=0.0))
            symbols = np.full(len(peaks), "", object)
            for found_at, reference_at in zip(pairs.test, pairs.reference, strict=True):
                if found_at >= 0 and reference_at >= 0:
                    symbols[found_at] = reference.symbols[reference_at]
        else:
            beats = [i for i, symbol in enumerate(reference.symbols) if symbol in SYMBOLS]
            peaks = reference.samples[beats]
            symbols = np.array([reference.symbols[i] for i in beats], object)
        rows, kept = cut(_lead(record), float(record.fs), peaks)
        labels = np.array([MITBIH.classes.index(SYMBOLS[s]) if s in SYMBOLS else -1 for s in symbols[kept]], np.int64)
        subject = subject_of("mitdb", name).removeprefix("mitdb/")
        parts.append((rows[labels >= 0], labels[labels >= 0], f"{database}/{subject}", name))
        report(name)
    where = "the online detector's beats" if detected else "reference beats"
    told = f"{len(records) - len(left_out)} records of {database}, {where}"
    return replace(_joined(MITBIH, parts, told, folder), notes=_unread(left_out))


def diagnosis(comments: Sequence[str]) -> str | None:
    """`normal` or `infarction` by the comments of a PTB header; None for other reasons of admission or none told.

    >>> diagnosis(["age: 81", "Reason for admission: Myocardial infarction"])
    'infarction'
    """
    for comment in comments:
        match = re.match(r"\s*reason for admission\s*:\s*(.+?)\s*$", comment, re.IGNORECASE)
        if match is not None:
            reason = match[1].lower()
            return (
                "infarction" if reason == "myocardial infarction" else "normal" if reason == "healthy control" else None
            )
    return None


def patient_of(path: Path, comments: Sequence[str]) -> str | None:
    """The patient of a PTB record: its folder ``patientNNN``, as PhysioNet has it, or a comment that names it."""
    for text in (path.parent.name, *comments):
        match = re.search(r"\bpatient\d{3}\b", text)
        if match is not None:
            return match[0]
    return None


def from_ptb(
    folder: Path,
    paths: Sequence[Path],
    *,
    report: Callable[[str], None] = lambda _: None,
    remark: Callable[[str], object] = refuse,
) -> Heartbeats:
    """Beats of PTB records, infarction and healthy control, lead II at the online detector's R peaks.

    Parameters
    ----------
    folder : Path
        The database.
    paths : sequence of Path
        Records, without extension; those with other diagnoses are passed over.
    report : callable
        Told each record when it is done.
    remark : callable
        As of `from_mitbih`.

    Raises
    ------
    RecordError
        There is none of either diagnosis.
    """
    parts, strangers = [], 0
    left_out: list[str] = []
    for path in paths:
        try:
            comments = _header(path).comments or []
            found = diagnosis(comments)
            record: Any = _record(path) if found is not None else None
        except RecordError as error:
            remark(str(error))
            left_out.append(path.name)
            continue
        if found is not None:
            rows, _ = cut(_lead(record), float(record.fs), detect(record))
            patient = patient_of(path, comments)
            strangers += patient is None
            labels = np.full(len(rows), PTB.classes.index(found), np.int64)
            parts.append((rows, labels, f"{found}/{patient or path.name}", path.name))
        report(path.name)
    notes = _unread(left_out)
    if strangers:
        notes = (*notes, f"records that name no patient, each taken for a patient of its own: {strangers}")
    used = f"{len(parts)} of {len(paths)} records of {folders.database_of(folder)} (infarction or healthy control)"
    return replace(_joined(PTB, parts, f"{used}, the online detector's beats", folder), notes=notes)


def ptb_records(folder: Path) -> list[Path]:
    """All records of a PTB folder, flat or in folders of patients, as paths without extension."""
    return [header.with_suffix("") for header in folders.files(folder, ".hea")]


def detect(record: Any) -> npt.NDArray[np.int64]:
    """R peaks of a WFDB record by the online detector, in samples; it is given lead II and the first other one."""
    names = [_lead_number(record), *(i for i in range(record.n_sig) if i != _lead_number(record))][:LEADS]
    mv = np.full((record.sig_len, LEADS), np.nan)
    for lead, number in enumerate(names):
        one = record.p_signal[:, number]  # an electrode's offset may exceed the 32 mV that fit
        mv[:, lead] = one - np.nanmedian(one) if np.isfinite(one).any() else one
    (said,) = Beds([Strip.of_mv(mv, float(record.fs))]).run()
    return said.found["sample"].astype(np.int64)


def _unread(names: Sequence[str]) -> tuple[str, ...]:
    return (f"left out, since they cannot be read: {', '.join(names)}",) if names else ()


def _joined(task: Task, parts: Sequence[tuple[Any, Any, str, str]], source: str, folder: Path) -> Heartbeats:
    parts = [part for part in parts if len(part[1])]
    if not parts:
        raise RecordError(
            f"{folder}: no beats for {task.title}; fetch the database with `telebeat download {task.database}` or "
            "name the folder of databases with --data-dir"
        )
    return Heartbeats(
        task,
        np.concatenate([rows for rows, *_ in parts]),
        np.concatenate([labels for _, labels, *_ in parts]),
        np.concatenate([np.full(len(labels), subject) for _, labels, subject, _ in parts]),
        np.concatenate([np.full(len(labels), name) for _, labels, _, name in parts]),
        None,
        source,
    )


def _lead_number(record: Any) -> int:
    names = [name.strip().lower() for name in record.sig_name]
    return next((names.index(name) for name in LEAD_II if name in names), 0)


def _lead(record: Any) -> npt.NDArray[np.float64]:
    lead: npt.NDArray[np.float64] = record.p_signal[:, _lead_number(record)]
    return lead


def _header(path: Path) -> Any:
    with headers.opened(path) as (_, header):
        return header


def _record(path: Path) -> Any:
    try:
        with headers.opened(path) as (place, _):
            return wfdb.rdrecord(str(place))
    except (OSError, ValueError, IndexError, KeyError) as error:
        raise RecordError(f"{path}: no readable WFDB record ({error}); fetch it with `telebeat download`") from error
