"""How well measured fiducials agree with readers, and which constants a part of the subjects would choose.

Agreement is told as the mean and standard deviation of the error beside the tolerances of the CSE working party
(European Heart Journal 6:815, 1985), over all beats and over subjects. The weights of `detector.bounds` and the
constants of `detector.waves` are chosen by cross-validation: from four fifths of the subjects, judged on the others.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector import bounds as qrs_bounds
from detector import waves
from detector.jit import kernel
from detector.types import TICK_MS, Array, Row
from detector.waves import T_WAVE, t_in_window
from model import bounds_fit
from model.delineation import Fiducials, Found
from model.delineation_marks import LUDB

FOLDS: Final = 5
TOLERANCE_MS: Final = {"onset": 6.5, "end": 11.6, "t_end": 30.6}  # CSE, standard deviation
TRUE: Final = {"onset": "true_onset", "end": "true_end", "t_end": "true_t_end"}

FITTED: Final = 3  # of so many beats of a lead one is fitted to: they are nearly the same
#: What the search tries for the T wave and the P wave.
T_USUALS: Final = (67.5, 72.5, 77.5)
T_SHARES: Final = (0.2, 0.25, 0.3, 0.35, 0.4)
P_LEVELS: Final = tuple(float(level) for level in np.arange(0.4, 0.91, 0.05).round(2))


def errors(readings: Fiducials, name: str) -> npt.NDArray[np.float64]:
    """Measured less marked in ms; NaN where either is missing. `name` is a key of `TOLERANCE_MS` or ``width``."""
    if name == "width":
        return np.asarray(errors(readings, "end") - errors(readings, "onset"), np.float64)
    return np.asarray(readings[name] - readings[TRUE[name]], np.float64)


def agreement(error: npt.NDArray[np.float64], subjects: npt.NDArray[Any]) -> dict[str, Any]:
    """Figures of an error in ms: over all beats, and how subjects differ.

    Returns
    -------
    dict
        ``n`` beats, ``mean``, ``sd``, ``median``, ``within_20``: per cent of beats within 20 ms; ``subjects``,
        ``sd_of_subjects``: of their means, ``sd_within``: median over subjects of the deviation within one.
    """
    known = np.isfinite(error)
    error, subjects = error[known], subjects[known]
    if not len(error):
        return {"n": 0}
    of_subject = [error[subjects == s] for s in np.unique(subjects)]
    return {
        "n": len(error),
        "mean": float(error.mean()),
        "sd": float(error.std()),
        "median": float(np.median(error)),
        "within_20": float(100 * np.mean(np.abs(error) <= 20.0)),
        "subjects": len(of_subject),
        "sd_of_subjects": float(np.std([e.mean() for e in of_subject])),
        "sd_within": float(np.median([e.std() for e in of_subject])),
    }


def presence(readings: Fiducials, level: npt.NDArray[np.float64] | float = waves.P_PRESENT) -> dict[str, Any]:
    """P presence beside what is marked, per cent; a beat with nothing to compare with is not told and counts apart."""
    known = np.isfinite(readings["true_p"])
    told = known & np.isfinite(readings["p_alike"])
    yes = readings["p_alike"] >= level
    true = readings["true_p"] == 1
    hits, misses = int((told & yes & true).sum()), int((told & ~yes & true).sum())
    false, right = int((told & yes & ~true).sum()), int((told & ~yes & ~true).sum())
    return {
        "n": int(known.sum()),
        "told": _percent(int(told.sum()), int(known.sum())),
        "se": _percent(hits, hits + misses),
        "ppv": _percent(hits, hits + false),
        "specificity": _percent(right, right + false),
    }


def table(readings: Fiducials, leads: Sequence[str]) -> list[dict[str, Any]]:
    """A row a measurement and lead, named as in `leads`, and one over all leads."""
    rows = []
    for name in ("onset", "end", "width", "t_end"):
        marked = np.isfinite(readings["true_t_end" if name == "t_end" else "true_end"])
        for lead in (*range(len(leads)), -1):
            chosen = (readings["lead"] == lead) | (lead < 0)
            if not chosen.any():
                continue
            some = readings[chosen]
            row: dict[str, Any] = {"measurement": name, "lead": leads[lead] if lead >= 0 else "all"}
            row |= agreement(errors(some, name), some["subject"])
            row["read"] = _percent(row["n"], int(marked[chosen].sum()))
            row["tolerance_sd"] = TOLERANCE_MS.get(name)
            rows.append(row)
    for lead in (*range(len(leads)), -1):
        some = readings[(readings["lead"] == lead) | (lead < 0)]
        if len(some):
            rows.append({"measurement": "p", "lead": leads[lead] if lead >= 0 else "all"} | presence(some))
    return rows


def both(first: Fiducials, second: Fiducials) -> Fiducials:
    """Two leads of one run as one: the earliest onset and the latest ends, measured and marked, of shared beats."""
    _, a, b = np.intersect1d(first["time_ms"], second["time_ms"], return_indices=True)
    joined = first[a].copy()
    other = second[b]
    joined["lead"] = -1
    for name in ("onset", "true_onset"):
        joined[name] = np.minimum(first[a][name], other[name])
    for name in ("end", "true_end", "t_end", "true_t_end"):
        joined[name] = np.maximum(first[a][name], other[name])
    return joined


def nearer(first: Fiducials, second: Fiducials) -> Fiducials:
    """Of each bound of each beat marked in both leads at once, the lead whose error is less.

    So delineators are judged on qtdb since Martinez et al., IEEE Transactions on Biomedical Engineering 51:570, 2004:
    one mark stands for two leads, and nobody knows in which the reader saw it. It flatters; `both` does not.
    """
    _, a, b = np.intersect1d(first["mark"], second["mark"], return_indices=True)
    chosen = first[a].copy()
    other = second[b]
    chosen["lead"] = -1
    for name in TRUE:
        here, there = np.abs(errors(chosen, name)), np.abs(errors(other, name))
        better = ~(here <= there) & np.isfinite(there)
        for told in (name, TRUE[name]):  # each error is of its own R peak
            chosen[told] = np.where(better, other[told], chosen[told])
    return chosen


# The constants


@kernel
def _t_ends(curves: Array, rr: Array, offsets: Array, usual: float, share: float, wave: Row, out: Array) -> None:
    for n in range(len(curves)):
        if np.isfinite(curves[n, 0]):
            t_in_window(curves[n], rr[n], offsets[n], usual, share, wave)
            if wave.valid:
                out[n] = wave.end_ms


def cross_validate(found: Sequence[Found], folds: int = FOLDS) -> tuple[Fiducials, list[dict[str, Any]]]:
    """Readings whose weights and constants were chosen on other subjects, and the constants each fold chose.

    The last of them, with fold None, is what all subjects together choose.
    """
    readings = np.concatenate([one.readings for one in found])
    curves = np.concatenate([one.curves for one in found])
    t_curves = np.concatenate([one.t_curves for one in found])
    fold = readings["subject"] % folds
    told = {name: bounds_fit.measures(curves, name) for name in bounds_fit.RANGES}
    tried_t = _try_t(readings, t_curves)
    chosen = []
    result = readings.copy()
    level = np.empty(len(readings))
    for number in (*range(folds), None):
        mine = np.ones(len(readings), bool) if number is None else fold != number
        placed = {name: _choose_qrs(readings, told[name], mine, name) for name in told}
        t_constants, t_end = _choose_t(readings, tried_t, mine)
        p_level = _choose_p(readings[mine])
        weights = {f"{name}_weights": some for name, (some, _) in placed.items()}
        chosen.append({"fold": number, **weights, **t_constants, "p_present": p_level})
        if number is not None:
            for name, (_, bound) in placed.items():
                result[name][~mine] = bound[~mine]
            result["t_end"][~mine] = t_end[~mine]
            level[~mine] = p_level
    result["p_alike"] += waves.P_PRESENT - level  # so that every fold is judged by its own level
    return result, chosen


def shipped() -> dict[str, Any]:
    """The constants as the detector has them, by the names `cross_validate` gives them."""
    return {
        "onset_weights": qrs_bounds.ONSET_WEIGHTS.tolist(),
        "end_weights": qrs_bounds.END_WEIGHTS.tolist(),
        "t_usual": waves.T_USUAL,
        "t_share": waves.END,
        "p_present": waves.P_PRESENT,
    }


def _choose_qrs(
    readings: Fiducials, told: npt.NDArray[np.float64], mine: npt.NDArray[np.bool_], name: str
) -> tuple[list[float], npt.NDArray[np.float64]]:
    """The weights of a bound fitted to some of these beats, and where they place it in all, ms from R."""
    marked = readings[TRUE[name]] / TICK_MS
    use = mine & np.isfinite(marked) & np.isfinite(readings[name])
    begins = np.diff(readings["subject"] * len(LUDB.leads) + readings["lead"], prepend=-1) != 0
    at = np.arange(len(readings))
    use &= (at - np.maximum.accumulate(np.where(begins, at, 0))) % FITTED == 0
    weights = bounds_fit.fit(told[use], marked[use], name).round(2)
    bound = bounds_fit.place(told, weights, name) * TICK_MS
    bound[~np.isfinite(readings[name])] = np.nan
    return weights.tolist(), bound


def _try_t(
    readings: Fiducials, t_curves: npt.NDArray[np.float64]
) -> dict[tuple[float, float], npt.NDArray[np.float64]]:
    """T ends in ms from R for each set of constants; J points are as they were measured."""
    offsets = np.nan_to_num(np.rint(readings["end"] / TICK_MS)).astype(np.int64)
    curves = np.where(np.isfinite(readings["onset"])[:, None], t_curves, np.nan)
    tried = {}
    for usual, share in itertools.product(T_USUALS, T_SHARES):
        ends = np.full(len(readings), np.nan)
        _t_ends(curves, readings["rr"].copy(), offsets, usual, share, np.zeros(1, T_WAVE)[0], ends)
        tried[usual, share] = ends
    return tried


def _choose_t(
    readings: Fiducials, tried: dict[tuple[float, float], npt.NDArray[np.float64]], mine: npt.NDArray[np.bool_]
) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
    def squares(constants: tuple[float, float]) -> float:
        error = (tried[constants] - readings["true_t_end"])[mine]
        error = error[np.isfinite(error)]
        return float(np.mean(error**2)) if len(error) else np.inf

    usual, share = min(tried, key=squares)
    return {"t_usual": usual, "t_share": share}, tried[usual, share]


def _choose_p(readings: Fiducials) -> float:
    """The level with the largest sum of sensitivity and specificity."""

    def worth(level: float) -> float:
        told = presence(readings, level)
        return float((told["se"] or 0.0) + (told["specificity"] or 0.0))

    return max(P_LEVELS, key=worth)


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None
