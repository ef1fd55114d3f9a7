"""Fiducials by neurokit2, for measurements side by side: offline, with the whole lead before it says anything."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.measure import SPAN
from detector.waves import T_WINDOW
from model.delineation import Found, blank, pair_with_marks
from model.delineation_marks import Wave

NAME: Final = "neurokit2 dwt"
PACKAGE: Final = "neurokit2"

#: From a lead in mV and its rate to samples: R peaks, QRS onsets, QRS ends, T ends, P peaks; NaN where none was found.
Delineate = Callable[[npt.NDArray[np.float64], int], Sequence[npt.NDArray[np.float64]]]


def load() -> Delineate:
    """Its function, called as its documentation says.

    Raises
    ------
    ImportError
        It is not installed.
    """
    kit = importlib.import_module(PACKAGE)

    def delineate(mv: npt.NDArray[np.float64], rate: int) -> list[npt.NDArray[np.float64]]:
        cleaned = kit.ecg_clean(mv, sampling_rate=rate)
        _, told = kit.ecg_peaks(cleaned, sampling_rate=rate)
        peaks = told["ECG_R_Peaks"]
        _, parts = kit.ecg_delineate(cleaned, peaks, sampling_rate=rate, method="dwt")
        names = ("ECG_R_Onsets", "ECG_R_Offsets", "ECG_T_Offsets", "ECG_P_Peaks")
        return [np.asarray(peaks, np.float64)] + [np.asarray(parts[name], np.float64) for name in names]

    return delineate


def follow(
    delineate: Delineate, mv: npt.NDArray[np.float64], rate_hz: float, marks: Sequence[Wave], subject: int, number: int
) -> Found:
    """What it says of a lead, paired with the marks; where it fails it has found nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            peaks, onsets, ends, t_ends, p_peaks = delineate(mv, round(rate_hz))
    except Exception:  # whatever somebody else's code raises is a result, not our end
        return pair_with_marks([], marks, subject, number)
    beats: list[Any] = []
    ms = 1000.0 / rate_hz
    for peak, onset, end, t_end, p_peak in zip(peaks, onsets, ends, t_ends, p_peaks, strict=True):
        reading = blank()
        reading["time_ms"] = peak * ms
        reading["onset"], reading["end"], reading["t_end"] = (
            (onset - peak) * ms,
            (end - peak) * ms,
            (t_end - peak) * ms,
        )
        reading["p_alike"] = 1.0 if np.isfinite(p_peak) else -1.0
        beats.append([reading, np.zeros(SPAN, np.float32), 0, np.full(T_WINDOW, np.nan)])
    return pair_with_marks(beats, marks, subject, number)
