"""What the kernels do with arrays all over: copy them, add them up, find the greatest.

Written as loops, since a slice assignment or a reduction of NumPy's costs numba a call or an allocation.
"""

from __future__ import annotations

import numpy as np

from detector import simd
from detector.jit import hot, whole_numbers
from detector.simd import F32_LANES
from detector.types import Array, Float32


@hot
def copy(source: Array, target: Array) -> None:
    """Put one array into the beginning of another."""
    for i in range(len(source)):
        target[i] = source[i]


@hot
def copy_float32(source: Array, first: int, count: int, target: Array, to: int) -> None:
    """Put a whole number of vectors of float32 from index `first` on into another array from `to` on."""
    for i in range(0, count, F32_LANES):
        simd.store(target, to + i, simd.load(source, first + i))


@whole_numbers
def largest(values: Array) -> Float32:
    """Greatest magnitude of whole numbers."""
    greatest = np.float32(0.0)
    for i in range(len(values)):
        greatest = max(greatest, abs(values[i]))
    return greatest


@whole_numbers
def span_of(values: Array) -> tuple[Float32, Float32]:
    """Least and greatest of whole numbers."""
    low = high = values[0]
    for i in range(1, len(values)):
        low = min(low, values[i])
        high = max(high, values[i])
    return low, high
