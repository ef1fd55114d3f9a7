"""Which of a device's leads are analysed, at the bedside and in training."""

from __future__ import annotations

from typing import Final

from detector.types import LEADS

#: Leads to analyse first, if the device has them: R waves stand upright and tall in II, V leads tell wide beats apart.
PREFERRED: Final = ("MDC_ECG_LEAD_II", "MDC_ECG_LEAD_V5", "MDC_ECG_LEAD_V1", "MDC_ECG_LEAD_V2", "MDC_ECG_LEAD_I")


def choose(leads: tuple[str, ...]) -> tuple[int, ...]:
    """Columns of the leads to analyse, best first; -1 fills up. A device with few leads keeps its own order."""
    if len(leads) <= LEADS:
        return tuple(range(len(leads))) + (-1,) * (LEADS - len(leads))
    ranked = [leads.index(name) for name in PREFERRED if name in leads]
    ranked += [column for column in range(len(leads)) if column not in ranked]
    return tuple(ranked[:LEADS])
