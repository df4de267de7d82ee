"""The smallest weights of a layer, exactly so many, without sorting.

A threshold is found bit by bit, each time by counting what is not above it. Counts are whole
numbers, so that any mesh finds the same one, no device needs more than its own part of a layer, and
nothing but a number travels.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32

_BITS = 31
_LARGEST = np.int32(2**_BITS - 1)


def magnitudes(weights: Float32[Array, "*shape"]) -> Int32[Array, "*shape"]:
    """Whole numbers in the order of the absolute values; 0 is 0."""
    return jax.lax.bitcast_convert_type(jnp.abs(weights), jnp.int32)


def lowest(keys: Int32[Array, "*shape"], count: Int32[Array, ""]) -> Bool[Array, "*shape"]:
    """Where the `count` smallest keys are, none of them negative; of equal ones the first."""
    threshold = _least(lambda value: _number(keys <= value) >= count, _BITS)
    is_equal = keys == threshold
    missing = count - _number(keys < threshold)
    places = _places(keys.shape)
    end = _least(
        lambda place: _number(is_equal & (places < place)) >= missing, keys.size.bit_length()
    )
    return (keys < threshold) | (is_equal & (places < end))


def spared(
    keys: Int32[Array, "inputs outputs"], group: tuple[int, int]
) -> Int32[Array, "inputs outputs"]:
    """The keys, the largest one there is in place of the n largest of m that follow each other
    along the inputs.
    """
    kept, size = group
    groups = keys.reshape(-1, size, keys.shape[-1])
    ranks = jnp.argsort(jnp.argsort(groups, axis=1), axis=1)
    return jnp.where(ranks < size - kept, groups, _LARGEST).reshape(keys.shape)


def _least(holds: Callable[[Int32[Array, ""]], Bool[Array, ""]], bits: int) -> Int32[Array, ""]:
    """The smallest number of so many bits from which on `holds` is true."""

    def halve(_: object, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = low + (high - low) // 2
        is_enough = holds(middle)
        return jnp.where(is_enough, low, middle + 1), jnp.where(is_enough, middle, high)

    return jax.lax.fori_loop(0, bits, halve, (jnp.int32(0), jnp.int32(2**bits - 1)))[0]


def _number(mask: Bool[Array, "..."]) -> Int32[Array, ""]:
    return jnp.sum(mask, dtype=jnp.int32)


def _places(shape: tuple[int, ...]) -> Int32[Array, "..."]:
    """The number of each element, row by row."""
    places, stride = jnp.zeros(shape, jnp.int32), 1
    for axis in reversed(range(len(shape))):
        places += jax.lax.broadcasted_iota(jnp.int32, shape, axis) * np.int32(stride)
        stride *= shape[axis]
    return places
