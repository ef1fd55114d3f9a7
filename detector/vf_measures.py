"""Measures of a window of a lead: of one wave after the other, or of complexes with rest between them?

They are what `detector.fibrillation` judges by where the lead hardly rests; its introduction says what each is of. All
are taken from the signal without its baseline, in whole numbers.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from detector import simd, simd_int
from detector.arrays import copy
from detector.jit import hot
from detector.simd import F64_LANES, I16_LANES, I32_LANES
from detector.types import RATE, Array, Row

#: Ticks to one sample: 50 Hz holds all of a QRS that tells it from fibrillation. Mains of 50 Hz is nulled by the mean
#: over them, of 60 Hz 15 dB weaker.
STEP: Final = 5
RATE_OUT: Final = RATE // STEP  # Hz, and the samples of a second, over which each greatest deflection is taken
WINDOW: Final = 5 * RATE_OUT  # samples looked at: 5 s, less is too few waves, more is too late
BASE: Final = 50  # samples of the baseline's mean (1 s): removes what is slower than about 0.6 Hz
BUFFER_SAMPLES: Final = WINDOW + BASE  # samples kept: the window, and the baseline of its first sample
SHORTEST: Final = 5  # samples of the shortest period looked for: 0.1 s, 600 a minute
LONGEST: Final = 29  # and of the longest: 0.58 s, 103 a minute; slower is no fibrillation
HALF_MOST: Final = 40  # samples of the longest half period in the leakage: bounds the work on a bare baseline
SLOPE_MEAN: Final = 5  # samples over which the slope is averaged: 0.1 s, a QRS complex is one hump
REST: Final = 4  # the slope is quiet below one in so many of the mean of its peaks

_SHIFT: Final = 6  # y is kept in so many bits less than STEP * BASE to the µV: sums of a window fit into 32 bits ...
_UNIT: Final = STEP * BASE / 2**_SHIFT
_LARGEST: Final = 2**19  # ... if no value is beyond this (130 mV)

AT_ONCE: Final = 4  # lags whose products are added up at once
LAGS: Final = (LONGEST - SHORTEST) // AT_ONCE * AT_ONCE + AT_ONCE  # from the shortest on, as many as are dealt with
PADDED: Final = (WINDOW + I16_LANES - 1) // I16_LANES * I16_LANES  # the window in whole vectors
SHORT: Final = 8191  # the largest value whose products are added up in 32 bits (2.1 mV)

#: A place to work in.
WAVE = np.dtype(
    [
        ("x", "i4", (BUFFER_SAMPLES,)),  # the samples, oldest first; then slopes
        ("base", "i4", (WINDOW,)),  # their baseline; then mean slopes
        ("y", "i4", (WINDOW,)),  # what is measured
        ("exact", "f8", (PADDED + SHORTEST + LAGS,)),  # the same, for products; zeros after it
        ("short", "i2", (PADDED + SHORTEST + LAGS,)),  # the same once more
        ("autocorrelation", "f8", (LAGS,)),  # products with those so many samples after, `SHORTEST` and more
        ("energy", "f8", (LAGS,)),  # of both parts of the window that are compared, multiplied
    ],
    align=True,
)


@hot
def without_baseline(track: Row, oldest: int, wave: Row) -> None:
    """The window less its baseline, in 1 / `_UNIT` µV, in `wave.y`; `oldest`: where the samples kept begin."""
    x, base, y = wave.x, wave.base, wave.y
    copy(track.x[oldest:], x)
    copy(track.x[:oldest], x[BUFFER_SAMPLES - oldest :])
    total = np.int32(0)
    for i in range(BASE):
        total = np.int32(total + x[i])
    for i in range(WINDOW):
        total = np.int32(total + np.int32(x[i + BASE] - x[i]))
        base[i] = total
    centre = x[BASE // 2 :]  # the baseline's mean lies around the sample: it is taken half a baseline late
    for i in range(WINDOW):
        value = np.int32(np.int32(np.int32(BASE) * centre[i]) - base[i]) >> np.int32(_SHIFT)
        y[i] = min(max(np.int32(value), np.int32(-_LARGEST)), np.int32(_LARGEST))


@hot
def deflections(y: Array) -> tuple[float, float, float]:
    """Least, largest and mean of the seconds' greatest deflections, µV."""
    least = 1e18
    largest = 0.0
    mean = 0.0
    for first in range(0, WINDOW, RATE_OUT):
        value = _greatest(y, first) / _UNIT
        least = min(least, value)
        largest = max(largest, value)
        mean += value * RATE_OUT / WINDOW
    return least, largest, mean


@hot
def _greatest(values: Array, first: int) -> int:
    """Greatest magnitude in the second from index `first` on."""
    greatest = simd.broadcast(np.int32(0))
    for i in range(0, RATE_OUT, I32_LANES):
        start = first + min(i, RATE_OUT - I32_LANES)  # the last vector takes some once more, to end where they end
        greatest = simd.maximum(simd.absolute(simd.load(values, start)), greatest)
    return int(simd.reduce_max(greatest))


@hot
def roughness(y: Array) -> float:
    """Mean magnitude of the second difference over that of the first."""
    slope = np.int32(1)
    bend = np.int32(0)
    for i in range(2, WINDOW):
        slope = np.int32(slope + abs(np.int32(y[i] - y[i - 1])))
        bend = np.int32(bend + abs(np.int32(y[i] - 2 * y[i - 1] + y[i - 2])))
    return float(bend / slope)


@hot
def leakage(y: Array) -> float:
    """What the VF filter lets through: 0 for a sine, near 1 for narrow complexes and for noise."""
    size = np.int32(0)
    change = np.int32(1)
    for i in range(1, WINDOW):
        size = np.int32(size + abs(y[i]))
        change = np.int32(change + abs(np.int32(y[i] - y[i - 1])))
    half = min(max(int(np.pi * size / change + 0.5), 1), HALF_MOST)
    through = np.int32(0)
    whole = np.int32(1)
    for i in range(half, WINDOW):
        through = np.int32(through + abs(np.int32(y[i] + y[i - half])))
        whole = np.int32(whole + np.int32(abs(y[i]) + abs(y[i - half])))
    return float(through / whole)


@hot
def quiet(wave: Row) -> float:
    """Share of the window in which the mean slope is below a quarter of its peaks' mean."""
    first = SLOPE_MEAN + 1
    y, slope, mean = wave.y, wave.x[:WINDOW], wave.base
    # Every part from its first element on: an index that cannot be negative lets the compiler fill all lanes.
    late = y[2:]
    for i in range(WINDOW - 2):
        slope[i] = abs(np.int32(late[i] - y[i]))
    mean[:first] = 0
    one, two, three, four, out = slope[1:], slope[2:], slope[3:], slope[4:], mean[first:]
    for i in range(WINDOW - first):
        early = np.int32(np.int32(slope[i] + one[i]) + np.int32(two[i] + three[i]))
        out[i] = np.int32(early + four[i])
    peaks = 0
    for start in range(0, WINDOW, RATE_OUT):
        peaks += _greatest(mean, start)
    seconds = WINDOW // RATE_OUT
    limit = np.int32((peaks + REST * seconds - 1) // (REST * seconds))
    still = np.int32(0)
    for i in range(WINDOW - first):
        still = np.int32(still + (out[i] < limit))
    return float(still / (WINDOW - first))


@hot
def period(wave: Row) -> float:
    """Seconds of lag at which the signal resembles itself most."""
    y, autocorrelation, energy = wave.y, wave.autocorrelation, wave.energy
    # Energy of the window without its last `lag` samples, and without its first.
    early = late = 1.0 + (_multiply_short(wave) if _largest(y) <= SHORT else _multiply(wave))
    for lag in range(1, LONGEST + 1):
        last, first = float(y[WINDOW - lag]), float(y[lag - 1])
        early -= last * last
        late -= first * first
        if lag >= SHORTEST:
            energy[lag - SHORTEST] = early * late
    energy[LONGEST - SHORTEST + 1 :] = 1.0  # of lags that are not asked for
    for i in range(0, LAGS, F64_LANES):
        simd.store(autocorrelation, i, simd.load(autocorrelation, i) / simd.sqrt(simd.load(energy, i)))
    best = -2.0
    where = 0
    for i in range(LONGEST - SHORTEST + 1):
        if autocorrelation[i] > best:
            best = autocorrelation[i]
            where = i
    return (SHORTEST + where) / RATE_OUT


@hot
def _largest(y: Array) -> int:
    """Greatest magnitude of the window."""
    greatest = np.int32(0)
    for i in range(WINDOW):
        greatest = max(greatest, np.int32(abs(y[i])))
    return int(greatest)


@hot
def _multiply(wave: Row) -> float:
    """Sums of the products of whole numbers with those each lag after them: below 2**53, and so exact.

    Four lags at once, which share what they load; after the window there are zeros. Returns the sum of squares.
    """
    y, out = wave.exact, wave.autocorrelation
    for i in range(WINDOW):
        y[i] = wave.y[i]
    y[WINDOW:] = 0.0
    squares = simd.broadcast(0.0)
    for i in range(0, PADDED, F64_LANES):
        now = simd.load(y, i)
        squares = simd.multiply_add(now, now, squares)
    for first in range(0, LAGS, AT_ONCE):
        lag = SHORTEST + first
        one = two = three = four = simd.broadcast(0.0)
        for i in range(0, PADDED, F64_LANES):
            now = simd.load(y, i)
            one = simd.multiply_add(now, simd.load(y, i + lag), one)
            two = simd.multiply_add(now, simd.load(y, i + lag + 1), two)
            three = simd.multiply_add(now, simd.load(y, i + lag + 2), three)
            four = simd.multiply_add(now, simd.load(y, i + lag + 3), four)
        out[first] = simd.reduce_add(one)
        out[first + 1] = simd.reduce_add(two)
        out[first + 2] = simd.reduce_add(three)
        out[first + 3] = simd.reduce_add(four)
    return float(simd.reduce_add(squares))


@hot
def _multiply_short(wave: Row) -> float:
    """The same of numbers up to `SHORT`, of which four times as many are multiplied at once."""
    y, out = wave.short, wave.autocorrelation
    for i in range(WINDOW):
        y[i] = np.int16(wave.y[i])
    y[WINDOW:] = 0
    squares = simd.broadcast(np.int32(0))
    for i in range(0, PADDED, I16_LANES):
        squares = squares + simd_int.madd(y, i, y, i)
    for first in range(0, LAGS, AT_ONCE):
        lag = SHORTEST + first
        one = two = three = four = simd.broadcast(np.int32(0))
        for i in range(0, PADDED, I16_LANES):
            one = one + simd_int.madd(y, i, y, i + lag)
            two = two + simd_int.madd(y, i, y, i + lag + 1)
            three = three + simd_int.madd(y, i, y, i + lag + 2)
            four = four + simd_int.madd(y, i, y, i + lag + 3)
        out[first] = simd_int.reduce_add(one)
        out[first + 1] = simd_int.reduce_add(two)
        out[first + 2] = simd_int.reduce_add(three)
        out[first + 3] = simd_int.reduce_add(four)
    return float(simd_int.reduce_add(squares))


assert 2 * (PADDED // I16_LANES) * SHORT**2 < 2**31, "a lane's sum of products is beyond 32 bits"
