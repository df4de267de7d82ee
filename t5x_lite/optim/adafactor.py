"""Adafactor as T5 was trained with it: Shazeer and Stern (2018), algorithm 4, without momentum.

optax.adafactor computes the same for a single matrix. It is not used here, because on stacked
layers it clips and scales by the RMS over all layers together.
"""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from t5x_lite.optim.config import AdafactorConfig
from t5x_lite.optim.per_layer import Axes, is_stacked, per_layer, shape_of_layer

Tensor = Float[Array, "..."]
Slots = dict[str, Tensor]


@dataclasses.dataclass(frozen=True)
class _Step:
    """What becomes of one parameter; no pytree, so that it is a leaf of its tree."""

    direction: Tensor
    slots: Slots


def factored_dimensions(shape: tuple[int, ...], min_size: int) -> tuple[int, int] | None:
    """(second largest, largest) dimension of one layer's tensor if both reach `min_size`.

    >>> factored_dimensions((2048, 512), 128)
    (1, 0)
    """
    order = np.argsort(shape, kind="stable")
    if len(shape) < 2 or shape[order[-2]] < min_size:
        return None
    return int(order[-2]), int(order[-1])


def slot_dimensions(
    shape: tuple[int, ...], axes: Axes, config: AdafactorConfig
) -> dict[str, tuple[int, ...]]:
    """Which dimensions of a parameter each of its slots keeps, under T5X's names.

    `v` keeps all. A factored parameter has `v_row` without the largest dimension and `v_col`
    without the second largest instead. `layers` is always kept.
    """
    everything = tuple(range(len(shape)))
    factored = factored_dimensions(shape_of_layer(shape, axes), config.min_dim_size_to_factor)
    if factored is None:
        return {"v": everything}
    second, largest = (dimension + is_stacked(axes) for dimension in factored)
    return {
        "v_row": tuple(dimension for dimension in everything if dimension != largest),
        "v_col": tuple(dimension for dimension in everything if dimension != second),
    }


def adafactor(config: AdafactorConfig, axes: Any) -> optax.GradientTransformation:
    """From gradients to directions, to be subtracted once multiplied by the learning rate.

    Args:
        axes: logical axes of every parameter; each layer of a stacked one is treated on its own.
    """

    def init(parameters: Any) -> dict[str, Any]:
        def zeros(parameter: Tensor, axes: Axes) -> Slots:
            kept = slot_dimensions(parameter.shape, axes, config)
            return {
                name: jnp.zeros([parameter.shape[dimension] for dimension in dimensions])
                for name, dimensions in kept.items()
            }

        slots = jax.tree.map(zeros, parameters, axes)
        return {"step": jnp.zeros((), jnp.int32), "param_states": slots}

    def update(
        gradients: Any, state: dict[str, Any], parameters: Any
    ) -> tuple[Any, dict[str, Any]]:
        step = state["step"]
        count = jnp.maximum(step - config.step_offset, 0) + 1
        decay = 1.0 - count.astype(jnp.float32) ** -config.decay_rate

        def of_layer(gradient: Tensor, slots: Slots, parameter: Tensor) -> tuple[Tensor, Slots]:
            gradient = gradient.astype(jnp.float32)
            scaled, slots = _scale_by_second_moment(gradient, slots, decay, config)
            scaled = scaled / jnp.maximum(1.0, _rms(scaled) / config.clip_threshold)
            if config.multiply_by_parameter_scale:
                size = _rms(parameter.astype(jnp.float32))
                scaled = scaled * jnp.maximum(config.epsilon_parameter, size)
            return scaled, slots

        def of_parameter(gradient: Tensor, slots: Slots, parameter: Tensor, axes: Axes) -> _Step:
            return _Step(*per_layer(of_layer, axes)(gradient, slots, parameter))

        steps = jax.tree.map(of_parameter, gradients, state["param_states"], parameters, axes)
        directions = jax.tree.map(lambda each: each.direction, steps)
        slots = jax.tree.map(lambda each: each.slots, steps)
        return directions, {"step": step + 1, "param_states": slots}

    return optax.GradientTransformation(init, update)


def _scale_by_second_moment(
    gradient: Tensor, slots: Slots, decay: Float[Array, ""], config: AdafactorConfig
) -> tuple[Tensor, Slots]:
    """One layer's gradient over the root of its second moment, and the moment's new estimate."""

    def average(old: Tensor, new: Tensor) -> Tensor:
        return decay * old + (1.0 - decay) * new

    squared = jnp.square(gradient) + config.epsilon_gradient
    factored = factored_dimensions(gradient.shape, config.min_dim_size_to_factor)
    if factored is None:
        moment = average(slots["v"], squared)
        return gradient * jax.lax.rsqrt(moment), {"v": moment}
    second, largest = factored
    row = average(slots["v_row"], jnp.mean(squared, axis=largest))
    col = average(slots["v_col"], jnp.mean(squared, axis=second))
    wide_row, wide_col = jnp.expand_dims(row, largest), jnp.expand_dims(col, second)
    share = wide_row / jnp.mean(wide_row, axis=second, keepdims=True)
    # Two roots, not the root of the product: that underflows for small gradients.
    scaled = gradient * jax.lax.rsqrt(share) * jax.lax.rsqrt(wide_col)
    return scaled, {"v_row": row, "v_col": col}


def _rms(tensor: Tensor) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(jnp.square(tensor)))
