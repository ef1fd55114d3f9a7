"""Short vectors: what every lane does is what NumPy does with each number, to the last bit."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba.core.errors import TypingError

from detector import simd
from detector.jit import kernel
from detector.types import Array

KINDS = [(np.float32, simd.F32_LANES), (np.float64, simd.F64_LANES)]


@kernel
def each(a: Array, b: Array, out: Array) -> None:
    """Every operation of two vectors, a row of `out` each."""
    x, y = simd.load(a, 0), simd.load(b, 0)
    simd.store(out[0], 0, x + y)
    simd.store(out[1], 0, x - y)
    simd.store(out[2], 0, x * y)
    simd.store(out[3], 0, x / y)
    simd.store(out[4], 0, simd.absolute(x))
    simd.store(out[5], 0, simd.broadcast(a[1]))
    simd.store(out[6], 0, simd.maximum(x, y))
    simd.store(out[7], 0, simd.minimum(x, y))
    simd.store(out[8], 0, simd.floor(x))
    simd.store(out[9], 0, simd.sqrt(simd.absolute(x)))


@kernel
def one(a: Array, b: Array) -> Any:
    """What becomes one number of all lanes."""
    x = simd.load(a, 0)
    return simd.reduce_add(x), simd.mask_gt(x, simd.load(b, 0)), simd.extract(x, 2)


@kernel
def two(a: Array, b: Array) -> Any:
    x = simd.load(a, 0)
    return simd.mask_ge(x, simd.load(b, 0)), simd.reduce_max(x)


@kernel
def inside(a: Array, at: int, out: Array) -> None:
    """Load from within an array: as it is, in sums of two, and times itself and added."""
    x = simd.load(a, at)
    simd.store(out[0], 1, x)
    simd.store(out[1], 1, simd.load_pair_sums(a, at))
    simd.store(out[2], 1, simd.multiply_add(x, x, x))


@kernel
def narrow(a: Array, out: Array) -> None:
    simd.store(out, 0, simd.load(a, 0))


@pytest.mark.parametrize(("kind", "count"), KINDS)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_each_lane_is_rounded_as_a_number_alone(kind: Any, count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = (random.normal(0.0, 10.0 ** random.integers(-3, 6), (2, count))).astype(kind)
    out = np.zeros((10, count), kind)
    each(a, b, out)
    with_more = [np.maximum(a, b), np.minimum(a, b), np.floor(a), np.sqrt(np.abs(a))]
    np.testing.assert_array_equal(out, [a + b, a - b, a * b, a / b, np.abs(a), np.full(count, a[1]), *with_more])
    total, above, third = one(a, b)
    at_least, most = two(a, b)
    assert at_least == sum(1 << i for i in np.flatnonzero(a >= b))
    assert most == a.max()
    parts = a
    while len(parts) > 1:
        parts = parts[: len(parts) // 2] + parts[len(parts) // 2 :]
    assert total == parts[0]
    assert above == sum(1 << i for i in np.flatnonzero(a > b))
    assert third == a[2]


@pytest.mark.parametrize(("kind", "count"), KINDS)
@given(seed=st.integers(0, 2**32 - 1), at=st.integers(0, 5))
@settings(max_examples=50, deadline=None)
def test_a_vector_lies_anywhere_and_nothing_beside_it_is_touched(kind: Any, count: int, seed: int, at: int) -> None:
    a = np.random.default_rng(seed).integers(-1000, 1000, 2 * count + 5).astype(kind)
    out = np.full((3, count + 2), 0.5, kind)
    inside(a, at, out)
    x, both = a[at : at + count], a[at : at + 2 * count]
    np.testing.assert_array_equal(out[:, 1:-1], [x, both[::2] + both[1::2], x * x + x])
    assert (out[:, [0, -1]] == 0.5).all()


@kernel
def fma(a: Array, b: Array, c: Array, out: Array) -> None:
    simd.store(out[0], 0, simd.fma(simd.load(a, 0), simd.load(b, 0), simd.load(c, 0)))
    for i in range(out.shape[1]):
        out[1, i] = simd.fma(a[i], b[i], c[i])


@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=50, deadline=None)
def test_a_fused_product_and_sum_is_rounded_once(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(0.0, 1.0, (2, simd.F32_LANES)).astype(np.float32)
    c = (-a * b * random.choice([1.0, 1.001, 3.0], simd.F32_LANES)).astype(np.float32)  # what is left is small
    out = np.empty((2, simd.F32_LANES), np.float32)
    fma(a, b, c, out)
    exact = [Fraction(float(x)) * Fraction(float(y)) + Fraction(float(z)) for x, y, z in zip(a, b, c, strict=True)]
    once = np.array([float(value) for value in exact]).astype(np.float32)  # exact in a double, or all but surely so
    np.testing.assert_array_equal(out, [once, once])


def test_twice_rounded_would_be_nothing() -> None:
    near, less = np.float32(1.0 + 2.0**-12), np.float32(-(1.0 + 2.0**-11))
    out = np.empty((2, simd.F32_LANES), np.float32)
    fma(np.full(8, near), np.full(8, near), np.full(8, less), out)
    assert near * near + less == 0.0
    assert (out == np.float32(2.0**-24)).all()


def test_singles_are_widened_to_an_array_of_doubles() -> None:
    a, out = np.arange(8, dtype=np.float32) / np.float32(3.0), np.zeros(9)
    narrow(a, out)
    np.testing.assert_array_equal(out, [*a.astype(np.float64), 0.0])


def test_doubles_are_rounded_to_an_array_of_singles() -> None:
    a, out = np.array([1.0, 1 / 3, -1e-3, 1e9 + 1]), np.zeros(5, np.float32)
    narrow(a, out)
    np.testing.assert_array_equal(out, [*a.astype(np.float32), 0.0])


@pytest.mark.parametrize(
    ("a", "out"),
    [
        (np.zeros(16, np.float32)[::2], np.zeros(8, np.float32)),  # what does not lie side by side
        (np.zeros(8, np.int32), np.zeros(8, np.float32)),
        (np.zeros(8, np.int64), np.zeros(8, np.int64)),
        (np.zeros((8, 8)), np.zeros(8)),
    ],
)
def test_what_is_no_vector_does_not_compile(a: npt.NDArray[Any], out: npt.NDArray[Any]) -> None:
    with pytest.raises(TypingError):
        narrow(a, out)


@pytest.mark.parametrize(("kind", "count"), KINDS)
def test_nothing_is_above_what_is_no_number(kind: Any, count: int) -> None:
    a, none = np.arange(count).astype(kind), np.full(count, np.nan, kind)
    assert one(a, none)[1] == one(none, a)[1] == 0
