"""Fiducials as they are measured online, beside those that readers marked (`model.delineation_marks`).

Every record is played through the online detector in short steps, its R peaks are found online, and each beat is
measured when it may be: the QRS and P wave 300 ms after the R peak, the T wave 600 ms after it. What readers marked is
met only afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.detector import Detector
from detector.measure import MEASURES, SPAN, measure_window, window
from detector.types import AFTER, TICK_MS
from detector.waves import COMPARED, T_AFTER, T_WAVE, T_WINDOW, p_alike, t_wave, t_window
from model.delineation_marks import Wave

STEP_S: Final = 0.25  # s of signal given at once, as a bedside monitor sends it
SAME_MS: Final = 150.0  # an R peak this close to a marked QRS is its beat, as in EC57
P_WITHIN_MS: Final = 300.0  # a P wave whose peak lies this long before a QRS at most belongs to it

#: One beat in one lead: measured, and marked (NaN where it is not). Times in ms from the R peak that was found.
FIDUCIALS = np.dtype(
    [
        ("subject", "i4"),  # number of the record in the order it was given
        ("lead", "i4"),  # in the database's `leads`
        ("mark", "i4"),  # number of the marked QRS in its lead
        ("time_ms", "f8"),  # of the R peak, from the begin of the record
        ("rr", "i8"),  # ticks since the R peak before it, 0: none
        ("known_ms", "f8"),  # after the R peak: QRS and P
        ("t_known_ms", "f8"),  # T
        ("onset", "f8"),  # NaN where it could not be measured
        ("end", "f8"),
        ("t_end", "f8"),
        ("p_alike", "f8"),
        ("true_onset", "f8"),
        ("true_end", "f8"),
        ("true_t_end", "f8"),
        ("true_p", "f8"),  # 1: a P wave is marked, 0: none, NaN: cannot be told
    ]
)
Fiducials = npt.NDArray[Any]


def blank() -> Any:
    """A reading of which nothing is known."""
    reading = np.zeros(1, FIDUCIALS)[0]
    for name in FIDUCIALS.names or ():
        if FIDUCIALS[name].kind == "f":
            reading[name] = np.nan
    return reading


@dataclass(frozen=True, eq=False)
class Found:
    """What was read in one lead of one record.

    Attributes
    ----------
    readings : READING array
        Beats that readers marked too.
    curves : float32, shape (n, SPAN)
        The window each QRS was measured in.
    t_curves : float64, shape (n, T_WINDOW)
        That of each T wave; NaN where it could not be read.
    marked, extra : int
        QRS complexes marked, and R peaks found between the first and the last of them that are none.
    """

    readings: Fiducials
    curves: npt.NDArray[np.float32]
    t_curves: npt.NDArray[np.float64]
    marked: int
    extra: int


def follow(
    samples: npt.NDArray[np.int16],
    rate_hz: float,
    mv_per_bit: npt.NDArray[np.float64],
    marks: Sequence[Sequence[Wave]],
    subject: int,
    numbers: Sequence[int],
) -> list[Found]:
    """Play one or two leads of a record and measure every beat in each, online.

    Parameters
    ----------
    samples : int16, shape (instants, leads)
    rate_hz : float
    mv_per_bit : float64, shape (leads,)
    marks : sequence of sequence of Wave
        Of each lead.
    subject, numbers
        What `FIDUCIALS` says of the record and of each lead.
    """
    detector = Detector(rate_hz, mv_per_bit)
    leads = samples.shape[1]
    step = max(int(rate_hz * STEP_S), 1)
    peaks: list[Any] = []
    begun: list[list[Any]] = [[] for _ in range(leads)]
    t_done = 0
    for first in range(0, len(samples), step):
        peaks += list(detector.update(samples[first : first + step])[0])
        end = int(detector.signal["end"])
        while len(begun[0]) < len(peaks) and peaks[len(begun[0])]["tick"] + AFTER <= end:
            for lead in range(leads):
                begun[lead].append(_read_qrs(detector.signal, peaks, len(begun[lead]), lead))
        while t_done < len(begun[0]) and peaks[t_done]["tick"] + T_AFTER <= end:
            for lead in range(leads):
                _read_t(detector.signal, int(peaks[t_done]["tick"]), lead, begun[lead][t_done])
            t_done += 1
    return [pair_with_marks(begun[lead], marks[lead], subject, numbers[lead]) for lead in range(leads)]


def _read_qrs(signal: Any, peaks: Sequence[Any], number: int, lead: int) -> Any:
    """Reading, window and J point of a beat, 300 ms after its R peak."""
    tick, found = int(peaks[number]["tick"]), int(peaks[number]["found"])
    before = [int(peaks[number - k]["tick"]) if number >= k else -1 for k in range(1, COMPARED + 1)]
    reading = blank()
    reading["time_ms"] = tick * TICK_MS
    reading["rr"] = tick - before[0] if number > 0 else 0
    reading["known_ms"] = max(found + 1 - tick, AFTER) * TICK_MS
    reading["t_known_ms"] = max(found + 1 - tick, T_AFTER) * TICK_MS
    curve = np.zeros(SPAN, np.float32)
    measures = np.zeros(1, MEASURES)[0]
    readable = window(signal, tick, lead, curve)
    measure_window(curve, measures)
    if readable and measures["valid"]:
        reading["onset"], reading["end"] = measures["onset_ms"], measures["offset_ms"]
        reading["p_alike"] = p_alike(signal, tick, np.array(before), lead, int(measures["onset"]))
    return [reading, curve, int(measures["offset"]), np.full(T_WINDOW, np.nan)]


def _read_t(signal: Any, tick: int, lead: int, beat: Any) -> None:
    """Complete a beat's reading by its T wave, 600 ms after its R peak."""
    reading, _, offset, t_curve = beat
    out = np.zeros(1, T_WAVE)[0]
    t_wave(signal, tick, int(reading["rr"]), lead, offset, out)
    if out["valid"] and np.isfinite(reading["onset"]):
        reading["t_end"] = out["end_ms"]
    raw = np.empty(T_WINDOW, np.float64)
    if t_window(signal, tick, lead, raw):
        t_curve[:] = raw


def pair_with_marks(beats: Sequence[Any], marks: Sequence[Wave], subject: int, number: int) -> Found:
    """Pair the beats of a lead with the marked ones.

    Parameters
    ----------
    beats : sequence
        Of each beat its reading, the window it was measured in, its J point in ticks, the window of its T wave.
    """
    marked = [wave for wave in marks if wave.kind == "N"]
    times = np.array([beat[0]["time_ms"] for beat in beats])
    taken: set[int] = set()
    kept = []
    for k, qrs in enumerate(marked):
        if not len(times):
            break
        nearest = int(np.argmin(np.abs(times - qrs.peak)))
        if abs(times[nearest] - qrs.peak) > SAME_MS or nearest in taken:
            continue
        taken.add(nearest)
        reading = beats[nearest][0]
        reading["subject"], reading["lead"], reading["mark"] = subject, number, k
        reading["true_onset"], reading["true_end"] = qrs.onset - times[nearest], qrs.end - times[nearest]
        after = marked[k + 1].peak if k + 1 < len(marked) else np.inf
        ends = [wave.end for wave in marks if wave.kind == "t" and qrs.peak < wave.peak < after]
        t_ends = [end for end in ends if np.isfinite(end)]  # the first peak of a biphasic wave has none
        if t_ends:
            reading["true_t_end"] = t_ends[0] - times[nearest]
        if k > 0:  # the waves before the first marked QRS are not marked in every record
            begin = max(marked[k - 1].peak, (qrs.onset if np.isfinite(qrs.onset) else qrs.peak) - P_WITHIN_MS)
            reading["true_p"] = float(any(wave.kind == "p" and begin <= wave.peak < qrs.peak for wave in marks))
        kept.append(nearest)
    between = 0
    if marked and len(times):
        inside = (times >= marked[0].peak - SAME_MS) & (times <= marked[-1].peak + SAME_MS)
        between = int(inside.sum()) - len(taken)
    return Found(
        np.array([beats[k][0] for k in kept], FIDUCIALS),
        np.array([beats[k][1] for k in kept], np.float32).reshape(-1, SPAN),
        np.array([beats[k][3] for k in kept], np.float64).reshape(-1, T_WINDOW),
        len(marked),
        max(between, 0),
    )
