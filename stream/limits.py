"""The limits of the alarm rules: settings for people, a record for the kernels.

Defaults are those of bedside monitors; asystole, extreme rates and ventricular tachycardia as defined for the
PhysioNet/CinC Challenge 2015 (Clifford et al., 2015).
"""

from __future__ import annotations

import difflib
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from detector.types import RATE
from stream.errors import SettingsError
from stream.settings import ENCODING, ENV_FILE, load_as, variables

PREFIX: Final = "TELEBEAT_LIMIT_"


class Limits(BaseSettings):
    """When a condition counts: `TELEBEAT_LIMIT_...`."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, env_file=ENV_FILE, env_file_encoding=ENCODING, extra="ignore", frozen=True
    )

    asystole_s: float = Field(4.0, ge=2.0, le=10.0, description="seconds without a beat")
    pause_s: float = Field(2.0, ge=1.2, le=5.0, description="seconds between two beats")
    extreme_tachycardia_bpm: float = Field(140.0, ge=100.0, le=250.0, description="beats a minute, and more")
    extreme_tachycardia_beats: int = Field(17, ge=4, le=17, description="beats over which the rate is taken")
    extreme_bradycardia_bpm: float = Field(40.0, ge=20.0, le=60.0, description="beats a minute, and fewer")
    extreme_bradycardia_beats: int = Field(5, ge=3, le=17, description="beats over which the rate is taken")
    ventricular_run_beats: int = Field(3, ge=3, le=10, description="ventricular beats in a row")
    ventricular_tachycardia_beats: int = Field(
        5, ge=3, le=15, description="ventricular beats in a row, on average with a probability of 40 % at least"
    )
    ventricular_tachycardia_bpm: float = Field(100.0, ge=90.0, le=180.0, description="beats a minute, and more")
    fibrillation_s: float = Field(3.0, ge=1.0, le=10.0, description="seconds that look like fibrillation")
    lead_off_s: float = Field(1.0, ge=0.2, le=30.0, description="seconds with an electrode off")
    unmonitored_s: float = Field(2.0, ge=0.5, le=30.0, description="seconds without any readable lead")
    flat_line_s: float = Field(3.0, ge=1.0, le=30.0, description="seconds of a lead without movement")
    saturated_s: float = Field(3.0, ge=1.0, le=30.0, description="seconds of a lead at the end of its range")
    noisy_s: float = Field(10.0, ge=1.0, le=60.0, description="seconds of noise, or of beats in doubt")

    def changed(self) -> dict[str, float]:
        """Those that are not the defaults."""
        return {name: value for name, value in self if value != getattr(DEFAULTS, name)}


#: What holds where nobody says otherwise, whatever variables there are.
DEFAULTS: Final = Limits.model_construct()


def load() -> Limits:
    """The limits of this process.

    Raises
    ------
    SettingsError
        If a variable is out of its range, or one that begins like a limit is none: a limit that was misspelt must not
        seem to hold.
    """
    known = {PREFIX + name.upper() for name in Limits.model_fields}
    for name in sorted(variables(Limits)):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1) or sorted(known)
            raise SettingsError(f"{name} is no limit: did you mean {' or '.join(near)}?")
    return load_as(Limits, {})


#: The limits as kernels read them, times in ticks.
LIMITS = np.dtype(
    [
        ("asystole", "i8"),
        ("pause", "i8"),
        ("tachycardia_rr", "f8"),
        ("tachycardia_beats", "i8"),
        ("bradycardia_rr", "f8"),
        ("bradycardia_beats", "i8"),
        ("run_beats", "i8"),
        ("vt_beats", "i8"),
        ("vt_rr", "f8"),
        ("fibrillation", "i8"),
        ("lead_off", "i8"),
        ("unmonitored", "i8"),
        ("flat_line", "i8"),
        ("saturated", "i8"),
        ("noisy", "i8"),
    ],
    align=True,
)


def pack(limits: Limits) -> npt.NDArray[Any]:
    """The limits as one `LIMITS` record, shape ()."""
    return np.array(
        (
            round(limits.asystole_s * RATE),
            round(limits.pause_s * RATE),
            60.0 * RATE / limits.extreme_tachycardia_bpm,
            limits.extreme_tachycardia_beats,
            60.0 * RATE / limits.extreme_bradycardia_bpm,
            limits.extreme_bradycardia_beats,
            limits.ventricular_run_beats,
            limits.ventricular_tachycardia_beats,
            60.0 * RATE / limits.ventricular_tachycardia_bpm,
            round(limits.fibrillation_s * RATE),
            round(limits.lead_off_s * RATE),
            round(limits.unmonitored_s * RATE),
            round(limits.flat_line_s * RATE),
            round(limits.saturated_s * RATE),
            round(limits.noisy_s * RATE),
        ),
        LIMITS,
    )
