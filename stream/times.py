"""Times within a record, as a command line reads and shows them."""

from __future__ import annotations

import re

from stream.errors import SettingsError


def seconds(text: str) -> float:
    """Seconds from ``300``, ``5:00`` or ``1:02:03``.

    Raises
    ------
    SettingsError
        If it is no time.
    """
    if not re.fullmatch(r"\d+(:[0-5]?\d){0,2}(\.\d*)?", text, re.ASCII):
        raise SettingsError(f"{text!r} is no time: write seconds, m:ss or h:mm:ss, with 59 behind a colon at most")
    total = 0.0
    for part in text.split(":"):
        total = 60.0 * total + float(part)
    return total


def format_time(seconds: float) -> str:
    """``10:05``, or ``10:05.5``."""
    minutes, rest = divmod(round(seconds * 10) / 10, 60)
    return f"{int(minutes)}:{rest:04.1f}".removesuffix(".0")
