"""Figures as tables and reports show them; one that is not known is a dash."""

from __future__ import annotations

from typing import Final

NOTHING: Final = "–"


def percent(value: float | None, digits: int = 2) -> str:
    """A figure in per cent."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def share(value: float | None) -> str:
    """A figure between 0 and 1."""
    return NOTHING if value is None else f"{value:.4f}"
