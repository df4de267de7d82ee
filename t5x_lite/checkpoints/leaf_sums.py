"""Sums by which a restored leaf is known to be the one that was saved.

The sum of an array is that of its elements' bits, each times an odd number that tells its place,
modulo 2 ** 32. A changed bit changes it. As a sum it needs no order: the devices that hold an array
add up their parts, whatever the mesh, so nothing is copied or read a second time.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec, Sharding
from jaxtyping import Array, UInt32

from t5x_lite.checkpoints.errors import DamagedError

# The type on disk, and the sum.
Sums = Mapping[str, tuple[str, int]]

_ELEMENTS_AT_A_TIME = 1 << 20


def begin(leaves: Mapping[str, Array], dtypes: Mapping[str, Any]) -> dict[str, UInt32[Array, ""]]:
    """Sums of leaves as they will be on disk, in these types; returns before the devices are done.
    All processes call.
    """
    arrays = {name: jnp.asarray(leaf) for name, leaf in leaves.items()}
    return {
        name: _sum(leaf, jnp.dtype(dtypes[name]), leaf.sharding) for name, leaf in arrays.items()
    }


def of_part(part: np.ndarray, begins: Sequence[int], whole: Sequence[int]) -> int:
    """What a part of an array, in its type on disk, adds to the sum: the part that begins at
    `begins` of the shape `whole`. A host knows it as it reads, and no program has to be compiled.
    """
    if not part.size:
        return 0
    places = [
        (2 * math.prod(whole[axis + 1 :]) * np.arange(begin, begin + size)).astype(np.uint32)
        for axis, (begin, size) in enumerate(zip(begins, part.shape, strict=True))
    ]
    rows = part.reshape(-1, part.shape[-1]) if part.ndim else part.reshape(1, 1)
    bits = rows.view(f"uint{8 * part.dtype.itemsize}")
    of_row = np.ones(1, np.uint32)
    for steps in places[:-1]:
        of_row = np.add.outer(of_row, steps).ravel()
    of_column = places[-1] if places else np.zeros(1, np.uint32)
    by_rows = np.sum(bits, axis=1, dtype=np.uint32) * of_row
    by_columns = np.sum(bits, axis=0, dtype=np.uint32) * of_column
    return int(np.sum(by_rows, dtype=np.uint32)) + int(np.sum(by_columns, dtype=np.uint32))


def check(found: Mapping[str, int], sums: Sums, whence: object) -> None:
    """Compares what the parts of leaves add up to with what was saved.

    Raises:
        DamagedError: some differ; it names them.
    """
    wrong = [name for name in found if name not in sums or sums[name][1] != found[name] % 2**32]
    if wrong:
        raise DamagedError(whence, [f"{name} has other values than were written" for name in wrong])


@functools.partial(jax.jit, static_argnums=(1, 2))
def _sum(leaf: Array, dtype: jnp.dtype, sharding: Sharding) -> UInt32[Array, ""]:
    if leaf.size <= _ELEMENTS_AT_A_TIME:
        return _sum_at_once(leaf, dtype)
    if not isinstance(sharding, NamedSharding):
        return _sum_of_block(leaf, dtype, [0] * leaf.ndim, leaf.shape)
    axes = [_names(part) for part in sharding.spec] + [()] * (leaf.ndim - len(sharding.spec))

    def of_block(block: Array) -> UInt32[Array, ""]:
        sides = zip(axes, block.shape, strict=True)
        begins = [jax.lax.axis_index(names) * size if names else 0 for names, size in sides]
        found = _sum_of_block(block, dtype, begins, leaf.shape)
        return jax.lax.psum(found, [name for names in axes for name in names])

    mesh, parts = sharding.mesh, sharding.spec
    each = jax.shard_map(
        of_block, mesh=mesh, in_specs=parts, out_specs=PartitionSpec(), check_vma=False
    )
    return each(leaf)


def _names(part: str | Sequence[str] | None) -> tuple[str, ...]:
    """The axes of a mesh that divide an axis of a leaf."""
    if part is None:
        return ()
    return (part,) if isinstance(part, str) else tuple(part)


def _sum_at_once(leaf: Array, dtype: jnp.dtype) -> UInt32[Array, ""]:
    place, stride = jnp.ones(leaf.shape, jnp.uint32), 2
    for axis in reversed(range(leaf.ndim)):
        # A factor of 2 ** 32 and more is of no weight: places that far apart count alike.
        steps = jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        place += steps * np.uint32(stride % 2**32)
        stride *= leaf.shape[axis]
    return jnp.sum(_bits(leaf, dtype) * place, dtype=jnp.uint32)


def _sum_of_block(
    block: Array, dtype: jnp.dtype, begins: Sequence[Any], whole: Sequence[int]
) -> UInt32[Array, ""]:
    """Of a device's part, which begins at `begins` of the whole, a few rows at a time: XLA writes
    down what it adds up, and all of that would be as large as the leaf.
    """
    of_row, of_column = _places(block.shape, begins, whole)
    rows = block.reshape(-1, block.shape[-1])
    count = min(len(rows), max(1, _ELEMENTS_AT_A_TIME // rows.shape[-1]))

    def add(number: Any, total: UInt32[Array, ""]) -> UInt32[Array, ""]:
        # The last rows may be there already.
        begin = jnp.minimum(number * count, len(rows) - count)
        is_new = begin + jnp.arange(count) >= number * count
        bits = _bits(jax.lax.dynamic_slice_in_dim(rows, begin, count), dtype)
        place = jax.lax.dynamic_slice_in_dim(of_row, begin, count)[:, None] + of_column[None]
        return total + jnp.sum(jnp.where(is_new[:, None], bits * place, 0), dtype=jnp.uint32)

    return jax.lax.fori_loop(0, -(-len(rows) // count), add, jnp.uint32(0))


def _places(
    shape: Sequence[int], begins: Sequence[Any], whole: Sequence[int]
) -> tuple[UInt32[Array, " rows"], UInt32[Array, " columns"]]:
    """Odd numbers of a block's places, of which each is the sum of its row's and its column's."""
    strides = [np.uint32(2 * math.prod(whole[axis + 1 :]) % 2**32) for axis in range(len(whole))]
    of_row = jnp.ones(shape[:-1], jnp.uint32)
    for axis in range(len(shape) - 1):
        steps = jax.lax.broadcasted_iota(jnp.uint32, shape[:-1], axis)
        of_row += (steps + _uint32(begins[axis])) * strides[axis]
    columns = jnp.arange(shape[-1], dtype=jnp.uint32) + _uint32(begins[-1])
    return jnp.ravel(of_row), columns * strides[-1]


def _uint32(value: Any) -> UInt32[Array, ""]:
    return jnp.asarray(value).astype(jnp.uint32)


def _bits(leaf: Array, dtype: jnp.dtype) -> UInt32[Array, "..."]:
    """Of the leaf in a type. Casts to and from bfloat16 are done on the bits, as TensorStore does
    them, to the nearest and of two to the even one: compilers may take the smallest numbers for 0.
    """
    if (leaf.dtype, dtype) == (jnp.float32, jnp.bfloat16):
        bits = _bits(leaf, leaf.dtype)
        return (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    if (leaf.dtype, dtype) == (jnp.bfloat16, jnp.float32):
        return _bits(leaf, leaf.dtype) << 16
    stored = leaf.astype(jnp.uint8 if dtype == jnp.bool_ else dtype)
    unsigned = jnp.dtype(f"uint{8 * stored.dtype.itemsize}")
    return jax.lax.bitcast_convert_type(stored, unsigned).astype(jnp.uint32)
