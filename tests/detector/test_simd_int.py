"""Short vectors of whole numbers: what NumPy does with them, exactly, at the ends of their range too."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from detector import simd, simd_int
from detector.jit import hot
from detector.types import Array

LARGEST = 2**31 - 1


@hot
def each(a: Array, b: Array, out: Array) -> Any:
    """Every operation of two vectors, a row of `out` each; then what becomes one number of all lanes."""
    x, y = simd.load(a, 0), simd.load(b, 0)
    simd.store(out[0], 0, x + y)
    simd.store(out[1], 0, x - y)
    simd.store(out[2], 0, simd.absolute(x))
    simd.store(out[3], 0, simd.maximum(x, y))
    return simd_int.reduce_add(x), simd.mask_gt(x, y), simd.reduce_max(x)


@hot
def multiplied(a: Array, at: int, b: Array, other: int, factor: float, out: Array, scaled: Array) -> None:
    products = simd_int.madd(a, at, b, other)
    simd.store(out, 0, products)
    simd.store(scaled, 0, simd_int.to_float32(products, factor))


@hot
def of_singles(a: Array, at: int, out: Array, fifths: Array) -> Any:
    simd.store(out, 0, simd_int.to_int32(simd.load(a, at)))
    simd.store(fifths, 0, simd.load_sums_of_five(a, at))
    return simd.reduce_add_two(simd.load(a, at), simd.load(a, at + 1))


@hot
def counted(bits: int) -> Any:
    return simd_int.popcount(bits), simd_int.trailing_zeros(bits)


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds)
@settings(max_examples=50, deadline=None)
def test_each_lane_is_a_whole_number_and_the_sum_may_be_larger_than_one(seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(-LARGEST, LARGEST, (2, simd.I32_LANES)).astype(np.int32)
    out = np.zeros((4, simd.I32_LANES), np.int32)
    total, above, most = each(a, b, out)
    np.testing.assert_array_equal(out, [a + b, a - b, np.abs(a), np.maximum(a, b)])
    assert total == a.astype(np.int64).sum()
    assert above == sum(1 << i for i in np.flatnonzero(a > b))
    assert most == a.max()


@given(seed=seeds, at=st.integers(0, 5), other=st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_products_of_neighbours_are_added_up_exactly(seed: int, at: int, other: int) -> None:
    a, b = np.random.default_rng(seed).integers(-32768, 32768, (2, 24)).astype(np.int16)
    b = np.maximum(b, -32767)  # only twice the least number times itself is beyond 32 bits
    out, scaled = np.zeros(simd.I32_LANES, np.int32), np.zeros(simd.I32_LANES, np.float32)
    multiplied(a, at, b, other, 1 / 3, out, scaled)
    both = a[at : at + 16].astype(np.int64) * b[other : other + 16]
    expected = both[::2] + both[1::2]
    np.testing.assert_array_equal(out, expected)
    np.testing.assert_array_equal(scaled, (expected * (1 / 3)).astype(np.float32))


@given(seed=seeds, at=st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_of_whole_singles_sums_are_exact_in_any_order(seed: int, at: int) -> None:
    a = np.random.default_rng(seed).integers(-32767, 32768, 64).astype(np.float32)
    out, fifths = np.zeros(8, np.int32), np.zeros(8, np.float32)
    totals = of_singles(a, at, out, fifths)
    np.testing.assert_array_equal(out, a[at : at + 8].astype(np.int32))
    np.testing.assert_array_equal(fifths, a[at : at + 40].reshape(8, 5).sum(axis=1))
    assert totals == (a[at : at + 8].sum(), a[at + 1 : at + 9].sum())


@pytest.mark.parametrize("bits", [0, 1, 0b1000, 0b1010100, (1 << 50) - 1, 1 << 62])
def test_bits_are_counted(bits: int) -> None:
    lowest = (bits & -bits).bit_length() - 1 if bits else 64
    assert counted(bits) == (bits.bit_count(), lowest)


def test_only_16_bits_are_multiplied() -> None:
    a = np.zeros(32, np.int32)
    with pytest.raises(TypingError):
        multiplied(a, 0, a, 0, 1.0, np.zeros(8, np.int32), np.zeros(8, np.float32))


@hot
def multiplied_lanes(a: Array) -> Any:
    """What lanes of whole numbers have no operator for."""
    x = simd.load(a, 0)
    return simd.extract(x * x, 0)


@hot
def divided_lanes(a: Array) -> Any:
    """The same for a quotient."""
    x = simd.load(a, 0)
    return simd.extract(x / x, 0)


@hot
def added_up(a: Array) -> Any:
    """The sum that is of singles and doubles; whole numbers have `simd_int.reduce_add`."""
    return simd.reduce_add(simd.load(a, 0))


@pytest.mark.parametrize("what", [multiplied_lanes, divided_lanes, added_up])
def test_what_lanes_of_whole_numbers_do_not_have_does_not_compile(what: Any) -> None:
    assert np.isfinite(what(np.ones(8, np.float32)))
    with pytest.raises(TypingError):
        what(np.ones(8, np.int32))
