"""Weights as int8, for inference: half a step of rounding, a quarter of the bytes.

Each output channel of a kernel has a scale of its own, its largest absolute value / 127; zero stays
zero. Kernels of attention and those into the hidden units are held so, and the vectors of tokens,
where the head has a kernel of its own. The feed-forward kernels `wo` and the head stay float32:
their rounding costs the most. Products are made in the dtype of the activations, in which int8 is
exact, and scaled behind.

A model whose products are of 8 bits (`QuantizationConfig`) holds all of their kernels so, with the
scales that it was trained with, and multiplies integers (rounding.py).
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int8

from t5x_lite.model.choices import Granularity
from t5x_lite.model.rounding import step_of, steps_of_weights


def quantized(
    weights: Float[Array, "*rows _in _out"],
    *,
    axis: int,
    granularity: Granularity = Granularity.CHANNEL,
) -> tuple[Int8[Array, "*rows _in _out"], Float[Array, "*rows _channels"]]:
    """int8 values and float32 scales; values * scales differs by half a scale at most.

    Args:
        axis: along which a channel runs.
        granularity: TENSOR gives all channels of a matrix the same scale.
    """
    scales = step_of(weights, axis, granularity)
    steps = steps_of_weights(weights, scales)
    return steps.astype(jnp.int8), jnp.squeeze(scales, axis)


def quantized_parameter(
    parameter: nnx.Param, *, axis: int, granularity: Granularity = Granularity.CHANNEL
) -> tuple[nnx.Param, nnx.Param]:
    """The same of a parameter of one layer, or of a stack: values and scales with their axes."""
    held = jnp.asarray(parameter[...])
    values, scales = quantized(held, axis=axis, granularity=granularity)
    axes = list(parameter.get_metadata("axes"))
    own = tuple(axes)
    del axes[axis]
    return nnx.Param(values, axes=own), nnx.Param(scales, axes=tuple(axes))
