"""How much the last seconds look like ventricular fibrillation or flutter.

Time-domain measures of one lead over a sliding window, kept as counts per epoch.
"""

from __future__ import annotations

import numpy as np

from detector.jit import kernel
from detector.types import Row

FIBRILLATION = np.dtype([("x", "i8")], align=True)


@kernel
def begin(state: Row) -> None:
    """Forget."""
    state.x = 0


@kernel
def take(state: Row, beats: Row, tick: int, microvolts: Row, valid: Row) -> None:
    """One tick."""
    state.x += 1


@kernel
def judge(state: Row) -> float:
    """Likelihood."""
    return 0.0
