"""The signal of one bed: the leads of a record that are analysed, in steps of a known size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from detector.leads import choose
from detector.types import INVALID, LEADS
from replay.framing import hold
from replay.records import Record, read_record
from replay.samples import LARGEST

Floats = npt.NDArray[np.float64]

MICROVOLT: Final = 1e-3  # mV per step of signals that were changed: far below any amplifier's noise, and ±32 mV fit


@dataclass(frozen=True, eq=False)
class Strip:
    """The signal of one bed.

    Attributes
    ----------
    rate_hz : float
        100 to 1000 Hz.
    samples : int16, shape (instants, LEADS)
        `detector.types.INVALID` where there is no reading.
    mv_per_bit : float64, shape (LEADS,)
        Millivolts a step; NaN for a lead that is not there.
    """

    rate_hz: float
    samples: npt.NDArray[np.int16]
    mv_per_bit: Floats

    @classmethod
    def of(cls, record: Record) -> Strip:
        """The leads of a record that the bedside would analyse, as it would be sent them."""
        samples = np.full((len(record.samples), LEADS), INVALID, np.int16)
        units = np.full(LEADS, np.nan)
        for lead, column in enumerate(choose(record.leads)):
            if column >= 0:
                samples[:, lead] = record.samples[:, column]
                units[lead] = record.units_per_bit[column]
        return cls(record.rate_mHz / 1000, samples, units)

    @classmethod
    def of_mv(cls, mv: Floats, rate_hz: float) -> Strip:
        """Millivolts (instants, LEADS) in steps of `MICROVOLT`; a lead without readings is none."""
        steps = np.where(np.isnan(mv), INVALID, np.clip(np.rint(np.nan_to_num(mv) / MICROVOLT), -LARGEST, LARGEST))
        return cls(rate_hz, steps.astype(np.int16), np.where(np.isnan(mv).all(axis=0), np.nan, MICROVOLT))

    @property
    def mv(self) -> Floats:
        """Its leads in millivolts, float64 (instants, LEADS); NaN where there is no reading."""
        mv: Floats = np.where(self.samples == INVALID, np.nan, self.samples * self.mv_per_bit)
        return mv

    @property
    def leads(self) -> int:
        """Leads that are there."""
        return int(np.isfinite(self.mv_per_bit).sum())

    def lead(self, number: int) -> Strip:
        """The strip with this lead alone."""
        samples = np.full_like(self.samples, INVALID)
        samples[:, 0] = self.samples[:, number]
        units = np.full(LEADS, np.nan)
        units[0] = self.mv_per_bit[number]
        return Strip(self.rate_hz, samples, units)

    def start(self, seconds: float) -> Strip:
        """Its first seconds."""
        return Strip(self.rate_hz, self.samples[: round(seconds * self.rate_hz)].copy(), self.mv_per_bit)

    def held(self) -> Strip:
        """The strip with its last reading held, as `annotate` holds a record's: its last beat is told, too."""
        return Strip(self.rate_hz, hold(self.samples, round(self.rate_hz * 1000)), self.mv_per_bit)


def read_strip(path: Path) -> Strip:
    """The leads of a WFDB record that the bedside would analyse.

    Raises
    ------
    RecordError
        The record cannot be read.
    """
    return Strip.of(read_record(path))
