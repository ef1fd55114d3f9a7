"""Short SIMD vectors of whole numbers: how they come from others, are multiplied and counted.

`detector.simd` has what all short vectors have in common. Sums of whole numbers are exact whatever their order, so
here the processor's widest instructions may be used.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from detector.simd import I16_LANES, I32_LANES, float32_lanes, int32_lanes, pick, pointer, vector


@intrinsic  # type: ignore[untyped-decorator]
def to_int32(typingctx: Any, a: Any) -> Any:
    """Lanes of float32 that hold whole numbers, as int32."""
    if a != float32_lanes:
        return None
    return int32_lanes(a), lambda context, builder, sig, args: builder.fptosi(args[0], vector(int32_lanes))


@intrinsic  # type: ignore[untyped-decorator]
def madd(typingctx: Any, a: Any, at: Any, b: Any, other: Any) -> Any:
    """Lanes of the sums of two neighbours' products each: of int16 from index `at` of `a`, and `other` of `b`, on."""
    for array, index in ((a, at), (b, other)):
        fits = isinstance(array, types.Array) and (array.ndim, array.layout, array.dtype) == (1, "C", types.int16)
        if not fits or not isinstance(index, types.Integer):
            return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def some(which: int) -> Any:
            kind = ir.VectorType(ir.IntType(16), I16_LANES)
            place = pointer(context, builder, sig.args[which], args[which], args[which + 1], kind)
            given = builder.load(place, align=2)
            return builder.sext(given, ir.VectorType(ir.IntType(32), I16_LANES))

        # Written in this very way the compiler takes the one instruction that does all of it.
        both = builder.mul(some(0), some(2), flags=["nsw"])
        even, odd = (pick(builder, both, both, range(first, I16_LANES, 2)) for first in (0, 1))
        return builder.add(even, odd, flags=["nsw"])

    return int32_lanes(a, types.intp, b, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def to_float32(typingctx: Any, a: Any, factor: Any) -> Any:
    """Lanes of int32 times a float64, in float64, as float32."""
    if a != int32_lanes or factor != types.float64:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(ir.DoubleType(), I32_LANES)
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), args[1], ir.IntType(32)(0))
        product = builder.fmul(builder.sitofp(args[0], kind), pick(builder, one, one, [0] * I32_LANES))
        return builder.fptrunc(product, vector(float32_lanes))

    return float32_lanes(a, factor), generate


@intrinsic  # type: ignore[untyped-decorator]
def reduce_add(typingctx: Any, a: Any) -> Any:
    """Sum of lanes of int32, which may be larger than an int32, as float64."""
    if a != int32_lanes:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, count = builder.sext(args[0], ir.VectorType(ir.IntType(64), I32_LANES)), I32_LANES
        while count > 1:
            count //= 2
            lower, upper = (
                pick(builder, value, value, range(count)),
                pick(builder, value, value, range(count, 2 * count)),
            )
            value = builder.add(lower, upper)
        return builder.sitofp(builder.extract_element(value, ir.IntType(32)(0)), ir.DoubleType())

    return types.float64(a), generate


@intrinsic  # type: ignore[untyped-decorator]
def popcount(typingctx: Any, bits: Any) -> Any:
    """How many bits are set."""
    if not isinstance(bits, types.Integer):
        return None
    return types.int64(types.int64), lambda context, builder, sig, args: builder.ctpop(args[0])


@intrinsic  # type: ignore[untyped-decorator]
def trailing_zeros(typingctx: Any, bits: Any) -> Any:
    """The number of the lowest bit that is set; 64 if none is."""
    if not isinstance(bits, types.Integer):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.IntType(1)(0))

    return types.int64(types.int64), generate
