"""What is declared of the signal at the end of an epoch: more than the state of each lead by itself."""

from __future__ import annotations

from typing import Final

from detector.jit import kernel
from detector.types import GOOD, NOISY, Row

LIKELY: Final = 0.5  # likelihood from which an epoch counts as fibrillation


@kernel
def in_doubt(epoch: Row) -> bool:
    """Whether no lead's beats can be trusted. Fibrillation has none to be sure of and says so itself."""
    return bool(epoch.doubtful and epoch.vf < LIKELY)


@kernel
def condition(epoch: Row, lead: int) -> int:
    """State of a lead: one that is good by itself is noisy while the beats are in doubt."""
    return int(NOISY if in_doubt(epoch) and epoch.lead[lead] == GOOD else epoch.lead[lead])
