"""How every parameter begins (Raffel et al. 2020 and its released code): float32, with named axes.

A parameter's `axes` metadata names the logical axes of one layer; partitioning turns names into
devices. It is our own key because Flax's `out_sharding` insists on a mesh when a model is built.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray

Axes = tuple[str, ...]
Shape = tuple[int, ...]

# Standard deviation of a unit normal cut off at two standard deviations.
_TRUNCATED_UNIT_STDDEV = 0.87962566103423978


def normal(key: PRNGKeyArray, shape: Shape, *, axes: Axes, stddev: float) -> nnx.Param:
    """Normal values."""
    return nnx.Param(stddev * jax.random.normal(key, shape, jnp.float32), axes=axes)


def truncated_normal(key: PRNGKeyArray, shape: Shape, *, axes: Axes, stddev: float) -> nnx.Param:
    """Normal values without those beyond two standard deviations; `stddev` is what remains."""
    unit = jax.random.truncated_normal(key, -2.0, 2.0, shape, jnp.float32)
    return nnx.Param(unit * (stddev / _TRUNCATED_UNIT_STDDEV), axes=axes)


def uniform(key: PRNGKeyArray, shape: Shape, *, axes: Axes, stddev: float) -> nnx.Param:
    """Uniform values around zero."""
    limit = stddev * 3**0.5
    return nnx.Param(jax.random.uniform(key, shape, jnp.float32, -limit, limit), axes=axes)


def zeros(shape: Shape, *, axes: Axes) -> nnx.Param:
    """Zeros."""
    return nnx.Param(jnp.zeros(shape, jnp.float32), axes=axes)


def ones(shape: Shape, *, axes: Axes) -> nnx.Param:
    """Ones."""
    return nnx.Param(jnp.ones(shape, jnp.float32), axes=axes)


def joined(each: Sequence[nnx.Param]) -> nnx.Param:
    """One parameter of several that differ along their last axis at most."""
    values = jnp.concatenate([parameter[...] for parameter in each], axis=-1)
    return nnx.Param(values, axes=each[0].get_metadata("axes"))
