"""When none of the analysed leads gives a reading any more, others of the device that do are analysed instead.

Two leads are analysed, chosen by name (`detector.leads`), and one electrode that comes off may take both with it while
the device goes on showing others. After `FAILED_S` of that the bed turns to those that could be read, and stays with
them until they fail in turn. It is counted in samples, so that it does not matter how frames are cut; samples that
never came do not count, for they say nothing about electrodes.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from detector.leads import choose
from detector.types import LEADS
from stream.frames import INVALID, Frame

HIGHEST: Final = 2**15 - 1  # that a sample can be

FAILED_S: Final = 5  # a moved electrode is back by then; not longer, for nobody watches the bed meanwhile
WORTH: Final = 0.5  # of that time a lead must have given readings to be turned to ...
MOVES_MV: Final = 0.1  # ... and have moved so far: less than any QRS, more than a channel with nothing connected


def stretches(intake: Any, frame: Frame, skip: int) -> list[tuple[int, int]]:
    """What is new in a frame, all but its first `skip` instants: first instant and end of it, or of two parts of it.

    They are two where the analysed leads have failed for long enough within it (`intake`: its bed's `INTAKE`).
    """
    end = skip + _limit(intake) - int(intake["failed"])
    if skip < end < frame.instants and len(frame.leads) > LEADS:
        if (frame.samples[skip:end, _analysed(intake)] == INVALID).all():
            return [(skip, end), (end, frame.instants)]
    return [(skip, frame.instants)]


def watch(intake: Any, frame: Frame, first: int, end: int) -> None:
    """Count the readings of each lead in a stretch of a frame, since none of the analysed leads has given any."""
    if len(frame.leads) <= LEADS:
        return
    analysed = _analysed(intake)
    if (frame.samples[end - 1, analysed] != INVALID).any():  # nearly always; what follows costs more
        forget(intake)
        return
    read = frame.samples[first:end] != INVALID
    last = np.flatnonzero(read[:, analysed].any(axis=1))
    if len(last):
        read = read[last[-1] + 1 :]
        forget(intake)
    intake["failed"] += len(read)
    there = slice(len(frame.leads))
    new = frame.samples[end - len(read) : end]
    intake["readings"][there] += np.count_nonzero(read, axis=0)
    intake["lowest"][there] = np.minimum(intake["lowest"][there], np.where(read, new, HIGHEST).min(axis=0))
    intake["highest"][there] = np.maximum(intake["highest"][there], new.max(axis=0))  # `INVALID` is the lowest there is
    if due(intake):
        worth = _worth(intake, frame)
        intake["readings"][~worth] = 0
        if not worth.any():
            forget(intake)


def due(intake: Any) -> bool:
    """Whether the analysed leads have failed, and others are to be analysed from the next sample on."""
    return bool(intake["failed"] >= _limit(intake))


def turn(intake: Any, frame: Frame) -> None:
    """Analyse those leads first that could be read while the others could not."""
    intake["column"] = choose(frame.leads, np.flatnonzero(intake["readings"]).tolist())
    forget(intake)


def forget(intake: Any) -> None:
    """No analysed lead has failed so far."""
    intake["failed"] = 0
    intake["readings"] = 0
    intake["lowest"] = HIGHEST
    intake["highest"] = INVALID


def _limit(intake: Any) -> int:
    return FAILED_S * int(intake["rate_mhz"]) // 1000


def _analysed(intake: Any) -> list[int]:
    return [column for column in intake["column"].tolist() if column >= 0]


def _worth(intake: Any, frame: Frame) -> npt.NDArray[np.bool_]:
    """Which leads could be read, and moved as a heart moves them."""
    worth: npt.NDArray[np.bool_] = intake["readings"] >= WORTH * _limit(intake)
    for column, mv in enumerate(frame.units_per_bit):
        worth[column] &= (int(intake["highest"][column]) - int(intake["lowest"][column])) * mv >= MOVES_MV
    return worth
