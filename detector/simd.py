"""Short SIMD vectors in kernels: as many numbers side by side as a processor takes at once.

The compiler vectorises a long loop by itself. A short one, over the 25 ticks of an epoch or the 15 points of a
template, it runs one number after the other. There the kernels say what lies side by side: eight float32, four float64
or eight int32 (more on these in `detector.simd_int`). Vectors have the usual operators, each lane for itself and
rounded as IEEE says, so that results are the same on every machine; one without such lanes takes them in turn.

Nothing here looks at an array's bounds: whoever loads from index `at` on has made sure that a whole vector lies there.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

F32_LANES: Final = 8  # lanes of float32
F64_LANES: Final = 4  # lanes of float64: both are 32 bytes
I32_LANES: Final = 8  # lanes of int32
I16_LANES: Final = 16  # int16 that make as many lanes of int32: a sum of two products each


def room(count: int) -> int:
    """Places for so many numbers, dealt with in whole vectors, and one vector to spare."""
    return (count + F32_LANES - 1) // F32_LANES * F32_LANES + F32_LANES


class Lanes(types.Type):
    """The numba type of a short vector."""

    def __init__(self, element: Any, count: int) -> None:
        self.element = element
        self.count = count
        super().__init__(name=f"Lanes({element} x {count})")


float32_lanes: Final = Lanes(types.float32, F32_LANES)
float64_lanes: Final = Lanes(types.float64, F64_LANES)
int32_lanes: Final = Lanes(types.int32, I32_LANES)
_OF: Final = {types.float32: float32_lanes, types.float64: float64_lanes, types.int32: int32_lanes}
_ELEMENT: Final = {types.float32: ir.FloatType(), types.float64: ir.DoubleType(), types.int32: ir.IntType(32)}


def vector(lanes: Any) -> ir.VectorType:
    """The compiler's type of such lanes."""
    return ir.VectorType(_ELEMENT[lanes.element], lanes.count)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):  # type: ignore[misc]
    def __init__(self, manager: Any, kind: Any) -> None:
        super().__init__(manager, kind, vector(kind))


def pointer(context: Any, builder: Any, array_type: Any, array: Any, at: Any, kind: ir.Type) -> Any:
    """Pointer to what lies in an array from index `at` on, taken for a `kind`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(cgutils.gep(builder, data, at), kind.as_pointer())


def _check(array: Any, at: Any) -> Any:
    """The lanes of a contiguous array of one dimension; numba's error where it is none."""
    fits = isinstance(array, types.Array) and (array.ndim, array.layout) == (1, "C") and isinstance(at, types.Integer)
    return _OF.get(array.dtype) if fits else None


@intrinsic  # type: ignore[untyped-decorator]
def load(typingctx: Any, array: Any, at: Any) -> Any:
    """The lanes that lie in a contiguous array from index `at` on."""
    lanes = _check(array, at)
    if lanes is None:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        place = pointer(context, builder, sig.args[0], args[0], args[1], vector(lanes))
        return builder.load(place, align=lanes.element.bitwidth // 8)

    return lanes(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def store(typingctx: Any, array: Any, at: Any, value: Any) -> Any:
    """Put lanes into a contiguous array from index `at` on; an array of the other kind of floats takes them, too."""
    into = _check(array, at)
    if into is None or (value != into and {into, value} != {float32_lanes, float64_lanes}):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        element = sig.args[0].dtype
        kind = ir.VectorType(_ELEMENT[element], value.count)
        given = args[2]
        if element != value.element:
            given = builder.fptrunc(given, kind) if element == types.float32 else builder.fpext(given, kind)
        place = pointer(context, builder, sig.args[0], args[0], args[1], kind)
        builder.store(given, place, align=element.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


def pick(builder: Any, a: Any, b: Any, lanes: Any) -> Any:
    """Lanes of two vectors by their numbers; those of `b` come after those of `a`."""
    whole = ir.IntType(32)
    chosen = ir.Constant(ir.VectorType(whole, len(lanes)), [whole(i) for i in lanes])
    return builder.shuffle_vector(a, b, chosen)


@intrinsic  # type: ignore[untyped-decorator]
def broadcast(typingctx: Any, number: Any) -> Any:
    """Lanes that all hold a number."""
    lanes = _OF.get(number)
    if lanes is None:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = vector(lanes)
        one = builder.insert_element(ir.Constant(kind, ir.Undefined), args[0], ir.IntType(32)(0))
        return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), lanes.count), None))

    return lanes(number), generate


@intrinsic  # type: ignore[untyped-decorator]
def load_pair_sums(typingctx: Any, array: Any, at: Any) -> Any:
    """Lanes of the sums of two neighbours each, in a contiguous array from index `at` on."""
    lanes = _check(array, at)
    if lanes is None:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.VectorType(_ELEMENT[lanes.element], 2 * lanes.count)
        place = pointer(context, builder, sig.args[0], args[0], args[1], kind)
        both = builder.load(place, align=lanes.element.bitwidth // 8)
        even, odd = (pick(builder, both, both, range(first, 2 * lanes.count, 2)) for first in (0, 1))
        return _add(builder, even, odd)

    return lanes(array, types.intp), generate


def _arithmetic(operation: Any, emit: Callable[[Any, Any, Any], Any], *kinds: Any) -> None:
    """Give lanes of these kinds an operator, each lane for itself."""

    @infer_global(operation)
    class _Template(AbstractTemplate):  # type: ignore[misc]
        def generic(self, args: Any, kws: Any) -> Any:
            if len(args) == 2 and args[0] in kinds and args[0] == args[1]:
                return signature(args[0], *args)
            return None

    @lower_builtin(operation, Lanes, Lanes)  # type: ignore[untyped-decorator]
    def _lower(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return emit(builder, *args)


def _add(builder: Any, a: Any, b: Any) -> Any:
    return builder.add(a, b) if isinstance(a.type.element, ir.IntType) else builder.fadd(a, b)


def _subtract(builder: Any, a: Any, b: Any) -> Any:
    return builder.sub(a, b) if isinstance(a.type.element, ir.IntType) else builder.fsub(a, b)


def _compare(builder: Any, how: str, a: Any, b: Any) -> Any:
    compare = builder.icmp_signed if isinstance(a.type.element, ir.IntType) else builder.fcmp_ordered
    return compare(how, a, b)


_arithmetic(operator.add, _add, float32_lanes, float64_lanes, int32_lanes)
_arithmetic(operator.sub, _subtract, float32_lanes, float64_lanes, int32_lanes)
_arithmetic(operator.mul, lambda builder, a, b: builder.fmul(a, b), float32_lanes, float64_lanes)
_arithmetic(operator.truediv, lambda builder, a, b: builder.fdiv(a, b), float32_lanes, float64_lanes)


def _call(builder: Any, name: str, *args: Any) -> Any:
    """One of the compiler's own functions of lanes."""
    kind = args[0].type
    short = f"v{kind.count}f{32 if isinstance(kind.element, ir.FloatType) else 64}"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, [kind] * len(args)), f"llvm.{name}.{short}"
    )
    return builder.call(function, args)


@intrinsic  # type: ignore[untyped-decorator]
def absolute(typingctx: Any, a: Any) -> Any:
    """Each lane without its sign."""
    if not isinstance(a, Lanes):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[0]
        if a != int32_lanes:
            return _call(builder, "fabs", value)
        return builder.select(builder.icmp_signed("<", value, ir.Constant(value.type, None)), builder.neg(value), value)

    return a(a), generate


@intrinsic  # type: ignore[untyped-decorator]
def floor(typingctx: Any, a: Any) -> Any:
    """The greatest whole number that is not above, of each lane."""
    if a not in (float32_lanes, float64_lanes):
        return None
    return a(a), lambda context, builder, sig, args: _call(builder, "floor", args[0])


@intrinsic  # type: ignore[untyped-decorator]
def sqrt(typingctx: Any, a: Any) -> Any:
    """Square root of each lane."""
    if a not in (float32_lanes, float64_lanes):
        return None
    return a(a), lambda context, builder, sig, args: _call(builder, "sqrt", args[0])


@intrinsic  # type: ignore[untyped-decorator]
def multiply_add(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once or twice as the machine likes: for whole numbers."""
    if a not in (float32_lanes, float64_lanes) or a != b or a != c:
        return None
    return a(a, b, c), lambda context, builder, sig, args: _call(builder, "fmuladd", *args)


@intrinsic  # type: ignore[untyped-decorator]
def fma(typingctx: Any, a: Any, b: Any, c: Any) -> Any:
    """``a * b + c``, rounded once on every machine: numbers in float32, or lanes of them.

    A processor without such an instruction (x86 before 2013) is slow at it, not wrong.
    """
    if a not in (types.float32, float32_lanes) or a != b or a != c:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return _call(builder, "fma", *args) if a == float32_lanes else builder.fma(*args)

    return a(a, b, c), generate


@intrinsic  # type: ignore[untyped-decorator]
def reduce_add(typingctx: Any, a: Any) -> Any:
    """Sum of the lanes: the upper half is added to the lower until one is left."""
    if a not in (float32_lanes, float64_lanes):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, place = args[0], ir.IntType(32)
        count = a.count
        while count > 1:
            count //= 2
            some = ir.VectorType(place, count)
            lower = ir.Constant(some, [place(i) for i in range(count)])
            upper = ir.Constant(some, [place(i + count) for i in range(count)])
            value = builder.fadd(
                builder.shuffle_vector(value, value, lower), builder.shuffle_vector(value, value, upper)
            )
        return builder.extract_element(value, place(0))

    return a.element(a), generate


@intrinsic  # type: ignore[untyped-decorator]
def reduce_add_two(typingctx: Any, a: Any, b: Any) -> Any:
    """Sums of the lanes of two at once: half the work of one after the other, and half the waiting."""
    if a not in (float32_lanes, float64_lanes) or a != b:
        return None
    pair = types.containers.UniTuple(a.element, 2)

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        half = a.count // 2
        lower = [*range(half), *range(a.count, a.count + half)]
        first, second = args
        upper = [i + half for i in lower]
        value = builder.fadd(pick(builder, first, second, lower), pick(builder, first, second, upper))
        while half > 1:  # each half of the lanes is added up for itself
            half //= 2
            value = builder.fadd(value, pick(builder, value, value, [(i + half) % a.count for i in range(a.count)]))
        sums = [builder.extract_element(value, ir.IntType(32)(i)) for i in (0, a.count // 2)]
        return context.make_tuple(builder, pair, sums)

    return pair(a, b), generate


def _better(how: str) -> Callable[..., Any]:
    """What takes, in each lane, the first of two if it compares so with the second, else the second."""
    return lambda context, builder, sig, args: builder.select(_compare(builder, how, *args), *args)


@intrinsic  # type: ignore[untyped-decorator]
def maximum(typingctx: Any, a: Any, b: Any) -> Any:
    """The larger of two in each lane; that of `b` where one is NaN."""
    return (a(a, b), _better(">")) if isinstance(a, Lanes) and a == b else None


@intrinsic  # type: ignore[untyped-decorator]
def minimum(typingctx: Any, a: Any, b: Any) -> Any:
    """The smaller of two in each lane; that of `b` where one is NaN."""
    return (a(a, b), _better("<")) if isinstance(a, Lanes) and a == b else None


@intrinsic  # type: ignore[untyped-decorator]
def load_sums_of_five(typingctx: Any, array: Any, at: Any) -> Any:
    """Lanes of the sums of five neighbours each, in a contiguous array of float32 from index `at` on.

    The sums from every place on are made, and every fifth of them is picked: of the 40 in five vectors one each is
    wanted of the places 0 to 7, so that all fall into a vector without meeting, and are then put in order.
    """
    if _check(array, at) != float32_lanes:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        def some(index: int) -> Any:
            place = builder.add(args[1], ir.IntType(64)(index))
            return builder.load(pointer(context, builder, sig.args[0], args[0], place, vector(float32_lanes)), align=4)

        wanted = [5 * i for i in range(F32_LANES)]
        mixed = None
        for first in range(0, 5 * F32_LANES, F32_LANES):
            pairs = builder.fadd(some(first), some(first + 1)), builder.fadd(some(first + 2), some(first + 3))
            five = builder.fadd(builder.fadd(*pairs), some(first + 4))
            here = [i - first for i in wanted if first <= i < first + F32_LANES]
            choice = [F32_LANES + i if i in here else i for i in range(F32_LANES)]
            mixed = five if mixed is None else pick(builder, mixed, five, choice)
        return pick(builder, mixed, mixed, [i % F32_LANES for i in wanted])

    return float32_lanes(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator]
def reduce_max(typingctx: Any, a: Any) -> Any:
    """The greatest of the lanes, none of which is NaN."""
    if not isinstance(a, Lanes):
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value, count = args[0], a.count
        while count > 1:
            count //= 2
            lower, upper = (
                pick(builder, value, value, range(count)),
                pick(builder, value, value, range(count, 2 * count)),
            )
            value = builder.select(_compare(builder, ">", lower, upper), lower, upper)
        return builder.extract_element(value, ir.IntType(32)(0))

    return a.element(a), generate


@intrinsic  # type: ignore[untyped-decorator]
def extract(typingctx: Any, a: Any, number: Any) -> Any:
    """One of the lanes."""
    if not isinstance(a, Lanes) or not isinstance(number, types.Integer):
        return None
    return a.element(a, number), lambda context, builder, sig, args: builder.extract_element(*args)


def _bits(a: Any, b: Any, how: str) -> Any:
    """Compare lane by lane."""
    if not isinstance(a, Lanes) or a != b:
        return None

    def generate(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        bits = builder.bitcast(_compare(builder, how, args[0], args[1]), ir.IntType(a.count))
        return builder.zext(bits, ir.IntType(64))

    return types.int64(a, b), generate


@intrinsic  # type: ignore[untyped-decorator]
def mask_gt(typingctx: Any, a: Any, b: Any) -> Any:
    """A number with bit i set where lane i of `a` is greater than that of `b`."""
    return _bits(a, b, ">")


@intrinsic  # type: ignore[untyped-decorator]
def mask_ge(typingctx: Any, a: Any, b: Any) -> Any:
    """A number with bit i set where lane i of `a` is not less than that of `b`."""
    return _bits(a, b, ">=")
