"""What is declared of a lead at the end of an epoch: more than its state by itself."""

from __future__ import annotations

from detector.jit import kernel
from detector.types import GOOD, NOISY, Row


@kernel
def condition(epoch: Row, lead: int) -> int:
    """State of a lead: one that is good by itself is noisy while the beats are in doubt."""
    return int(NOISY if epoch.doubtful and epoch.lead[lead] == GOOD else epoch.lead[lead])
