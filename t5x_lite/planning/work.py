"""What a traced step computes and what it sends; no compiler is asked.

A product over a dimension that the mesh splits leaves each device a part of a sum. It is summed
where a constraint places it, or where it is first read by what is not linear. Parameters are
gathered where a constraint says so.
"""

import dataclasses
import math
from collections import Counter
from collections.abc import Iterator, Mapping

from t5x_lite.planning.shares import Shares, Split
from t5x_lite.planning.traced import Op, Program, Value, elements
from t5x_lite.planning.written import Write, written

_TAKING = frozenset(("dynamic_slice", "gather"))
_PUTTING = frozenset(("dynamic_update_slice",))
# Of blocks of attention this much stays within the chip, as compiled programs show.
_ON_CHIP = 56 * 2**20
ACTIVATIONS, PARAMETERS = "activations", "parameters"
_LINEAR = frozenset(
    "add add_any convert_element_type copy name neg reduce_precision reshape squeeze transpose "
    "broadcast_in_dim reshard".split()
)


@dataclasses.dataclass(frozen=True)
class Sending:
    """A collective that is to be expected, `bytes` as `collectives.Collective` counts payloads."""

    kind: str
    axes: tuple[str, ...]
    of: str
    bytes: int


@dataclasses.dataclass(frozen=True)
class Work:
    """Of one device: FLOPs of products, seconds of computing, and what is sent how often."""

    flops: int
    seconds: float
    sendings: Mapping[Sending, int]


@dataclasses.dataclass(frozen=True)
class Rates:
    """FLOP/s and bytes/s through HBM of a device."""

    flops: float
    hbm: float


def work(program: Program, shares: Shares, rates: Rates, *, depth: int = 0) -> Work:
    """Of a microbatch; every write takes the longer of its FLOPs and its bytes.

    Args:
        depth: the number of loops around it; that over layers is the first.
    """
    least = _ON_CHIP if depth > 1 else 0
    flops, seconds = 0, 0.0
    sendings = Counter(_sendings(program, shares))
    for write in written(program, shares).writes:
        if write.gathers:
            sendings.update((_gathering(program, shares, write),))
        if write.op.body is None:
            own = _product_flops(program, shares, write.op)
            flops += own
            seconds += max(own / rates.flops, _moved(program, shares, write, least) / rates.hbm)
        else:
            inside = work(write.op.body, shares, rates, depth=depth + 1)
            trips = shares.trips(write.op.trips)
            flops += trips * inside.flops
            seconds += trips * inside.seconds
            sendings.update({each: trips * count for each, count in inside.sendings.items()})
    return Work(flops, seconds, sendings)


def _product_flops(program: Program, shares: Shares, op: Op) -> int:
    """A device's part: whatever of operands or result is split, is so for all of them."""
    if op.name != "dot_general":
        return 0
    left, _, out = (program.values[index] for index in (*op.inputs, *op.outputs))
    summed = [left.dims[dim] for dim in op.contracted[0]]
    split = {axis for dim in shares.split_of(out) for axis in dim}
    split |= _summed_over(program, shares, op)
    total = 2 * elements((*out.dims, *summed), shares.sizes)
    return total // shares.size_of(split)


def _summed_over(program: Program, shares: Shares, op: Op) -> set[str]:
    """The mesh axes that split what a product sums over."""
    splits, clashes = _splits(program, shares, op), _clashes(program, shares, op)
    return {
        axis
        for split, dims, gathered in zip(splits, op.contracted, clashes, strict=True)
        for dim in dims
        for axis in split[dim]
        if axis not in gathered
    }


def _splits(program: Program, shares: Shares, op: Op) -> list[Split]:
    """How the operands of a product are split; a kernel as if a constraint had gathered it."""
    values = (program.values[index] for index in op.inputs)
    return [
        shares.split(
            value.placed or shares.names(value),
            shares.activation_rules if value.has_rows else shares.kernel_rules,
        )
        for value in values
    ]


def _clashes(program: Program, shares: Shares, op: Op) -> list[set[str]]:
    """For each operand of a product the mesh axes along which it is gathered first, because they
    split another dimension of the other operand: what stands between sub-layers has to give way.
    """
    left, right = _splits(program, shares, op)
    pairs = {*zip(*op.contracted, strict=True), *zip(*op.paired, strict=True)}
    both = {
        axis
        for i, first in enumerate(left)
        for j, second in enumerate(right)
        for axis in {*first} & {*second}
        if (i, j) not in pairs
    }
    found = []
    for index, split in zip(op.inputs, (left, right), strict=True):
        names = shares.names(program.values[index])
        between = [dim for name, dim in zip(names, split) if name in ("length", "embed")]
        found.append({axis for dim in between for axis in dim} & both)
    return found


def _moved(program: Program, shares: Shares, write: Write, least: int) -> int:
    """Bytes through HBM of arrays that are larger than `least`: what is behind the operands, and
    the results; of an array that a slice is taken from or put into the slice.
    """
    read = (*write.read, *write.read_arguments)
    sizes = [*write.sizes.values(), *(shares.bytes_of(program.values[each]) for each in read)]
    if write.op.name in _TAKING:
        sizes = 2 * [*write.sizes.values()]
    elif write.op.name in _PUTTING:
        sizes = 2 * [shares.bytes_of(program.values[write.op.inputs[1]])]
    return sum(size for size in sizes if size > least)


def _gathering(program: Program, shares: Shares, write: Write) -> Sending:
    value = program.values[write.op.outputs[0]]
    axes = _lost(shares, value)
    return Sending("all-gather", axes, PARAMETERS, shares.bytes_of(value))


def _lost(shares: Shares, value: Value) -> tuple[str, ...]:
    """Mesh axes that a constraint takes from what splits an array by itself."""
    before = {axis for dim in shares.split_at_rest(value) for axis in dim}
    after = {axis for dim in shares.split_of(value) for axis in dim}
    return _ordered(shares, before - after)


def _ordered(shares: Shares, axes: set[str]) -> tuple[str, ...]:
    return tuple(axis for axis in shares.mesh if axis in axes and shares.mesh[axis] > 1)


def _sendings(program: Program, shares: Shares) -> Iterator[Sending]:
    """Sums over devices, and activations that are gathered where they are used."""
    pending: dict[int, set[str]] = {}
    gathered: set[int] = set()
    for op in program.ops:
        open_axes = set().union(*(pending.get(index, set()) for index in op.inputs))
        out = program.values[op.outputs[0]]
        if op.name == "dot_general":
            pending[op.outputs[0]] = _summed_over(program, shares, op)
            for index, clash in zip(op.inputs, _clashes(program, shares, op), strict=True):
                if (axes := _ordered(shares, clash)) and index not in gathered:
                    gathered.add(index)
                    value = program.values[index]
                    whole = shares.bytes_but_for(value, axes)
                    yield Sending("all-gather", axes, ACTIVATIONS, whole)
        if op.name in _LINEAR:
            pending[op.outputs[0]] = open_axes
            continue
        is_constraint = op.name == "sharding_constraint"
        for index in op.inputs:
            if axes := _ordered(shares, pending.pop(index, set())):
                value = out if is_constraint else program.values[index]
                yield from _sums(shares, value, axes)
        if is_constraint and not open_axes and out.has_rows and (lost := _lost(shares, out)):
            yield Sending("all-gather", lost, ACTIVATIONS, shares.bytes_of(out))
    for index in program.outputs:
        if axes := _ordered(shares, pending.pop(index, set())):
            yield from _sums(shares, program.values[index], axes)


def _sums(shares: Shares, value: Value, axes: tuple[str, ...]) -> Iterator[Sending]:
    """Scattered along axes that split the result in the end, before pieces are summed along others:
    of a gradient only a chip's piece crosses slices.
    """
    at_rest = {axis for dim in shares.split_at_rest(value) for axis in dim}
    scattered = tuple(axis for axis in axes if axis in at_rest)
    rest = tuple(axis for axis in axes if axis not in at_rest)
    of = ACTIVATIONS if value.has_rows else PARAMETERS
    size = shares.bytes_but_for(value, axes)
    if scattered:
        yield Sending("reduce-scatter", scattered, of, size)
        size //= math.prod(shares.mesh[axis] for axis in scattered)
    if rest:
        yield Sending("all-reduce", rest, of, size)
