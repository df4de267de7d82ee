"""Numbers as multiples of a step, so that products are those of integers of 8 bits (Jacob et al.
2018, section 2; Zafrir et al. 2019, section 2).

A weight is -127 ... 127 steps, zero stays zero. What a kernel reads is 0 ... 255 steps above the
lower end of its range, in which zero is a whole number of steps:

    sum_k x_k w_k  =  step_x step_w  sum_k (q_k - zero) w'_k

The sum is exact, in integers of 32 bits or in float32 up to 2^24. In the backward pass rounding is
the identity; what lies beyond its range has no gradient.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Int8

from t5x_lite.model.choices import Granularity
from t5x_lite.model.collected import Collection

LARGEST = 127.0  # of a weight
_LEVELS = 255  # between the ends of a range
_NARROWEST = 1e-30  # of a range: a smaller step may be zero to a device
_MIDDLE = 128  # what 0 ... 255 lose to be of 8 bits with a sign

# Ranges that kernels read, [lowest, highest] by their parameters' paths.
_COLLECTION = Collection("ranges", lambda one, other: union(one, other))
collecting, apart, add = _COLLECTION.collecting, _COLLECTION.apart, _COLLECTION.add


class Grid(NamedTuple):
    """Scalars: a number is `step * (q - zero)`. `is_known` is False of a range that nothing was
    seen of.
    """

    step: Array
    zero: Array
    is_known: Array


def union(one: Float[Array, "*layers 2"], other: Float[Array, "*layers 2"]) -> Array:
    """The range of both; [0, 0] adds nothing."""
    lows = jnp.minimum(one[..., 0], other[..., 0])
    return jnp.stack([lows, jnp.maximum(one[..., 1], other[..., 1])], axis=-1)


def observe(place: str, x: Float[Array, "..."]) -> None:
    """Notes the range of `x` with zero in it, padding included."""
    if _COLLECTION.is_on:
        alone = jax.lax.stop_gradient(x).astype(jnp.float32)
        ends = [jnp.minimum(jnp.min(alone), 0.0), jnp.maximum(jnp.max(alone), 0.0)]
        _COLLECTION.note(place, jnp.stack(ends))


def grid_of(input_range: Float[Array, "2"]) -> Grid:
    """The steps of a range."""
    low, high = jax.lax.stop_gradient(input_range.astype(jnp.float32))
    is_known = high - low > _NARROWEST
    step = jnp.where(is_known, (high - low) / _LEVELS, 1.0)
    return Grid(step, jnp.round(-low / step), is_known)


def steps_of(x: Float[Array, "*shape"], grid: Grid) -> Float[Array, "*shape"]:
    """How many steps, `q - zero`; `x` itself where the range is not known, and a step is 1."""
    exact = x.astype(jnp.float32) / grid.step
    low, high = -grid.zero, _LEVELS - grid.zero
    # The ends of a range are up to half a step beyond those of its steps.
    is_beyond = (exact < low - 0.5) | (exact > high + 0.5)
    steps = whole(jnp.where(is_beyond, jax.lax.stop_gradient(exact), exact), low, high)
    return jnp.where(grid.is_known, steps, exact).astype(x.dtype)


def integers_of(
    x: Float[Array, "*shape"], grid: Grid
) -> tuple[Int8[Array, "*shape"], Int[Array, ""]]:
    """The same as `q - 128`, and what is to be added to get `q - zero`. The range is known."""
    offset = _MIDDLE - grid.zero
    steps = steps_of(x.astype(jnp.float32), grid)
    return (steps - offset).astype(jnp.int8), offset.astype(jnp.int32)


def step_of(
    weights: Float[Array, "*rows _in _out"], axis: int, granularity: Granularity
) -> Float[Array, "*rows _one _channels"]:
    """The step of each channel, that run along `axis`, which stays with one element; with TENSOR
    they all have that of the matrix. 1 where all weights are zero.
    """
    axes = axis if granularity is Granularity.CHANNEL else (-2, -1)
    alone = jnp.abs(jax.lax.stop_gradient(weights))
    largest = jnp.max(alone, axis=axes, keepdims=True).astype(jnp.float32)
    shape = list(weights.shape)
    shape[axis] = 1
    return jnp.broadcast_to(jnp.where(largest > 0, largest / LARGEST, 1.0), shape)


def steps_of_weights(
    weights: Float[Array, "*rows _in _out"], step: Float[Array, "*rows _one _channels"]
) -> Float[Array, "*rows _in _out"]:
    """How many steps, of weights whose largest is 127 of them."""
    return whole(weights / step, -LARGEST, LARGEST)


@jax.custom_jvp
def whole(
    x: Float[Array, "*shape"],
    low: Float[Array, ""] | float,
    high: Float[Array, ""] | float,
) -> Float[Array, "*shape"]:
    """The nearest whole number from `low` to `high`, of two the even one; its gradient is that of
    `x` (the straight-through estimator of Bengio et al. 2013).
    """
    return jnp.clip(jnp.round(x), low, high)


@whole.defjvp
def _straight_through(primals: tuple[Any, ...], tangents: tuple[Any, ...]) -> tuple[Array, Array]:
    return whole(*primals), tangents[0]
