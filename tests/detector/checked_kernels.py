"""The detector as plain Python, with every access of a short vector checked.

    NUMBA_DISABLE_JIT=1 python -m tests.detector.checked_kernels 250 360     # a signal at each of these rates

Compiled vectors look at no bounds. Here NumPy does what they do, and whoever reads or writes beyond the field of the
row he was given, adds up more than 32 bits hold, or makes a whole number of what is none, ends with an error.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Any

import numba
import numpy as np

from detector import detector, simd, simd_int
from detector.detector import DETECTOR
from detector.scratch import new_scratch
from detector.types import LEADS

LANES = {np.dtype("f4"): 8, np.dtype("f8"): 4, np.dtype("i4"): 8}
WHOLE = 2**31
INVALID = -32768


class Field(np.ndarray):
    """An array that knows where the field lies that it is a part of; a row of a field is a field."""

    begin = end = 0

    def __array_finalize__(self, source: Any) -> None:
        if isinstance(source, Field):
            self.begin, self.end = source.begin, source.end

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        if not isinstance(part, Field):
            return part
        if self.ndim >= 2 and part.ndim == self.ndim - 1:
            part.begin, part.end = part.ctypes.data, part.ctypes.data + part.nbytes
        return part if part.ndim else part[()]


def field(array: Any) -> Field:
    """An array as a field."""
    out: Field = array.view(Field)
    out.begin, out.end = array.ctypes.data, array.ctypes.data + array.nbytes
    return out


class Record:
    """A row as numba sees it: its fields are attributes, and rows in it are rows."""

    __slots__ = ("_row",)

    def __init__(self, row: Any) -> None:
        object.__setattr__(self, "_row", row)

    def __getattr__(self, name: str) -> Any:
        value = self._row[name]
        if value.dtype.names:
            return Records(value) if value.ndim else Record(value)
        return field(value) if value.ndim else value[()]

    def __setattr__(self, name: str, value: Any) -> None:
        self._row[name] = value


class Records:
    """Rows side by side."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return Records(self._rows[index])
        if not 0 <= index < len(self._rows):
            raise IndexError(f"row {index} of {len(self._rows)}")
        return Record(self._rows[index, ...])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._rows[index] = value._row if isinstance(value, Record) else value

    def __len__(self) -> int:
        return len(self._rows)


def at_place(array: Any, at: int, count: int) -> Any:
    """So many numbers from index `at` on, if they lie in the field."""
    place = array.ctypes.data + int(at) * array.itemsize
    begin, end = (
        (array.begin, array.end)
        if isinstance(array, Field) and array.begin
        else (array.ctypes.data, array.ctypes.data + array.nbytes)
    )
    if place < begin or place + count * array.itemsize > end:
        raise IndexError(f"{count} from {(place - begin) // array.itemsize} on of {(end - begin) // array.itemsize}")
    memory = (ctypes.c_char * (count * array.itemsize)).from_address(place)
    return np.ndarray((count,), array.dtype, buffer=memory)


class Sums(np.ndarray):
    """Sums of products, which must stay within 32 bits."""

    def __add__(self, other: Any) -> Any:
        total = np.asarray(self) + np.asarray(other)
        if not (np.abs(total) < WHOLE).all():
            raise OverflowError("more than 32 bits")
        return total.view(Sums)


def _load(array: Any, at: int) -> Any:
    return at_place(array, at, LANES[array.dtype]).copy()


def _store(array: Any, at: int, value: Any) -> None:
    at_place(array, at, len(value))[:] = value


def _pairs(array: Any, at: int) -> Any:
    both = at_place(array, at, 2 * LANES[array.dtype])
    return both[::2] + both[1::2]


def _fives(array: Any, at: int) -> Any:
    return at_place(array, at, 44)[:40].reshape(8, 5).sum(axis=1, dtype=np.float64).astype(np.float32)


def _total(a: Any) -> Any:
    while len(a) > 1:
        a = a[: len(a) // 2] + a[len(a) // 2 :]
    return a[0]


def _spread(number: Any) -> Any:
    if isinstance(number, np.float32):
        return np.full(8, number)
    return np.full(4, number) if isinstance(number, float) else np.full(8, number, np.int32)


def _bits(which: Any) -> int:
    return sum(1 << int(i) for i in np.flatnonzero(which))


def _products(a: Any, at: int, b: Any, other: int) -> Any:
    both = at_place(a, at, 16).astype(np.int64) * at_place(b, other, 16)
    return np.zeros(8, np.int64).view(Sums) + (both[::2] + both[1::2])


def _whole(a: Any) -> Any:
    if not (np.abs(a) < WHOLE).all():
        raise OverflowError("no whole number of 32 bits")
    return a.astype(np.int32)


CHECKED: dict[Any, dict[str, Any]] = {
    simd: {
        "load": _load,
        "store": _store,
        "load_pair_sums": _pairs,
        "load_sums_of_five": _fives,
        "reduce_add": _total,
        "reduce_add_two": lambda a, b: (_total(a), _total(b)),
        "broadcast": _spread,
        "absolute": np.abs,
        "floor": np.floor,
        "sqrt": np.sqrt,
        "multiply_add": lambda a, b, c: a * b + c,
        "fma": lambda a, b, c: (np.float64(a) * b + c).astype(np.float32),
        "maximum": lambda a, b: np.where(a > b, a, b),
        "minimum": lambda a, b: np.where(a < b, a, b),
        "reduce_max": np.max,
        "extract": lambda a, i: a[i],
        "mask_gt": lambda a, b: _bits(a > b),
        "mask_ge": lambda a, b: _bits(a >= b),
    },
    simd_int: {
        "madd": _products,
        "to_int32": _whole,
        "to_float32": lambda a, factor: (np.asarray(a).astype(np.float64) * factor).astype(np.float32),
        "reduce_add": lambda a: float(np.asarray(a).astype(np.int64).sum()),
        "popcount": lambda bits: int(bits).bit_count(),
        "trailing_zeros": lambda bits: (int(bits) & -int(bits)).bit_length() - 1 if bits else 64,
    },
}


def signal(rng: np.random.Generator, count: int, rate_hz: float) -> Any:
    """A lead's samples, int16 (count,): beats, waves, noise or rails, and things that happen to them."""
    t = np.arange(count) / rate_hz
    beat = (t * rng.choice([0.7, 1.2, 3.0, 5.0])) % 1.0
    kind = rng.integers(5)
    if kind <= 1:
        y = 200.0 * rng.choice([1.0, 30.0]) * (np.exp(-(((beat - 0.3) / 0.04) ** 2)) + rng.normal(0, 0.05, count))
    elif kind == 2:
        y = 400.0 * np.sin(2 * np.pi * np.cumsum(rng.normal(4, 1, count)) / rate_hz)
    elif kind == 3:
        y = rng.integers(-32767, 32768, count).astype(float)
    else:
        y = np.where(rng.random(count) < 0.5, 32767.0, -32767.0)
    samples = np.clip(np.rint(y), -32767, 32767).astype(np.int16)
    for value in rng.choice([INVALID, INVALID, 0, 32767, -32767], 4):
        first = rng.integers(count)
        samples[first : first + int(rng.exponential(0.4 * rate_hz)) + 1] = value
    return samples


def play(seed: int, rate_hz: float, seconds: float) -> int:
    """Play a signal of this seed through the detector, in frames of any size; how many peaks were found."""
    rng = np.random.default_rng(seed)
    count = int(rate_hz * seconds)
    samples = np.stack([signal(rng, count, rate_hz) for _ in range(LEADS)])
    mv_per_bit = rng.choice([1e-7, 1e-3, 5e-3, 1.0], LEADS, p=[0.1, 0.2, 0.6, 0.1])
    if rng.random() < 0.3:
        mv_per_bit[1] = np.nan
    row, scratch = Record(np.zeros(1, DETECTOR)[0, ...]), Record(new_scratch()[0, ...])
    detector.begin(row, round(rate_hz * 1000), 0)
    found = at = 0
    while at < count:
        size = min(int(rng.choice([1, 7, int(rate_hz // 4), int(rate_hz)])), count - at)
        detector.update(row, samples, at, size, mv_per_bit, INVALID, scratch)
        found += int(row.n_peaks)
        detector.empty(row)
        at += size
    return found


def main() -> None:
    """Play one signal at each of the rates given."""
    if not numba.config.DISABLE_JIT:
        sys.exit("set NUMBA_DISABLE_JIT=1: what is compiled cannot be checked")
    np.seterr(all="ignore")  # what a kernel makes of NaN is its own affair
    for module, checked in CHECKED.items():
        for name, function in checked.items():
            setattr(module, name, function)
    for seed, rate_hz in enumerate(sys.argv[1:]):
        print(rate_hz, play(seed, float(rate_hz), 8.0))


if __name__ == "__main__":
    main()
