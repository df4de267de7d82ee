"""Sums by which a restored leaf is known to be the one that was saved.

The sum of an array is that of its elements' bits, each times an odd number that tells its place,
modulo 2 ** 32. A changed bit changes it. As a sum it needs no order: the devices that hold an array
add up their parts, whatever the mesh, so nothing is copied or read a second time.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, UInt32

from t5x_lite.checkpoints.errors import DamagedError

# The type on disk, and the sum.
Sums = Mapping[str, tuple[str, int]]


def begin(leaves: Mapping[str, Array], dtypes: Mapping[str, Any]) -> dict[str, UInt32[Array, ""]]:
    """Sums of leaves as they will be on disk, in these types; returns before the devices are done.
    All processes call.
    """
    return {name: _sum(leaf, jnp.dtype(dtypes[name])) for name, leaf in leaves.items()}


def check(leaves: Mapping[str, Array], sums: Sums, whence: object) -> None:
    """Compares leaves, in their types on disk, with what was saved; all processes call.

    Raises:
        DamagedError: some differ; it names them.
    """
    found = jax.device_get(begin(leaves, {name: leaf.dtype for name, leaf in leaves.items()}))
    wrong = [name for name in leaves if name not in sums or sums[name][1] != int(found[name])]
    if wrong:
        raise DamagedError(whence, [f"{name} has other values than were written" for name in wrong])


@functools.partial(jax.jit, static_argnums=1)
def _sum(leaf: Array, dtype: jnp.dtype) -> UInt32[Array, ""]:
    place, stride = jnp.ones(leaf.shape, jnp.uint32), 2
    for axis in reversed(range(leaf.ndim)):
        # A factor of 2 ** 32 and more is of no weight: places that far apart count alike.
        steps = jax.lax.broadcasted_iota(jnp.uint32, leaf.shape, axis)
        place += steps * np.uint32(stride % 2**32)
        stride *= leaf.shape[axis]
    return jnp.sum(_bits(leaf, dtype) * place, dtype=jnp.uint32)


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
