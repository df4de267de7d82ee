"""Adafactor as T5 was trained with it: Shazeer and Stern (2018), algorithm 4, without momentum.

optax.adafactor computes the same for a single matrix. It is not used here, because on stacked
layers it clips and scales by the RMS over all layers together.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from t5x_lite.optim.config import AdafactorConfig
from t5x_lite.optim.per_layer import Axes, is_stacked, shape_of_layer
from t5x_lite.optim.slots import Rule, Slots, Tensor
from t5x_lite.partitioning.constrain import is_one_cpu

_EIGHTHS = 8


def factored_dimensions(shape: tuple[int, ...], min_size: int) -> tuple[int, int] | None:
    """(second largest, largest) dimension of one layer's tensor if both reach `min_size`.

    >>> factored_dimensions((2048, 512), 128)
    (1, 0)
    """
    order = np.argsort(shape, kind="stable")
    if len(shape) < 2 or shape[order[-2]] < min_size:
        return None
    return int(order[-2]), int(order[-1])


def adafactor(config: AdafactorConfig) -> Rule:
    """The slots have T5X's names.

    `v` is as large as the parameter. A factored one has `v_row` without the largest dimension and
    `v_col` without the second largest instead.
    """

    def dimensions(shape: tuple[int, ...], axes: Axes) -> dict[str, tuple[int, ...]]:
        everything = tuple(range(len(shape)))
        factored = factored_dimensions(shape_of_layer(shape, axes), config.min_dim_size_to_factor)
        if factored is None:
            return {"v": everything}
        second, largest = (dimension + is_stacked(axes) for dimension in factored)
        return {
            "v_row": tuple(dimension for dimension in everything if dimension != largest),
            "v_col": tuple(dimension for dimension in everything if dimension != second),
        }

    def update(
        gradient: Tensor, slots: Slots, count: Int[Array, ""], parameter: Tensor
    ) -> tuple[Tensor, Slots]:
        number = jnp.maximum(count - config.step_offset, 0) + 1
        decay = 1.0 - number.astype(jnp.float32) ** -config.decay_rate
        gradient = gradient.astype(jnp.float32)
        scaled, size, slots = _scale_by_second_moment(gradient, slots, decay, config)
        scaled = scaled / jnp.maximum(1.0, size / config.clip_threshold)
        if config.multiply_by_parameter_scale:
            size = _rms(parameter.astype(jnp.float32))
            scaled = scaled * jnp.maximum(config.epsilon_parameter, size)
        return scaled, slots

    return Rule(dimensions, update)


def _scale_by_second_moment(
    gradient: Tensor, slots: Slots, decay: Float[Array, ""], config: AdafactorConfig
) -> tuple[Tensor, Float[Array, ""], Slots]:
    """One layer's gradient over the root of its second moment, the RMS of that, and the moment's
    new estimate.
    """

    def average(old: Tensor, new: Tensor) -> Tensor:
        # Added to means, not to each square: they are those of the gradient's norm, computed once.
        return decay * old + (1.0 - decay) * (new + config.epsilon_gradient)

    squared = jnp.square(gradient)
    factored = factored_dimensions(gradient.shape, config.min_dim_size_to_factor)
    if factored is None:
        moment = average(slots["v"], squared)
        scaled = gradient * jax.lax.rsqrt(moment)
        return scaled, _rms(scaled), {"v": moment}
    second, largest = factored
    row = average(slots["v_row"], _mean(squared, largest))
    col = average(slots["v_col"], _mean(squared, second))
    wide_row, wide_col = jnp.expand_dims(row, largest), jnp.expand_dims(col, second)
    share = wide_row / jnp.mean(wide_row, axis=second, keepdims=True)
    # Two roots, not the root of the product: that underflows for small gradients.
    scaled = gradient * jax.lax.rsqrt(share) * jax.lax.rsqrt(wide_col)
    size = _rms_of_quotients(scaled, squared, share, wide_col)
    return scaled, size, {"v_row": row, "v_col": col}


def _rms_of_quotients(
    scaled: Tensor, squared: Tensor, share: Tensor, col: Tensor
) -> Float[Array, ""]:
    """The RMS of gradients over the roots of both moments; of a matrix on one CPU by products with
    squares that are there already: they are read once, where `scaled` would be written and read.
    """
    if scaled.ndim != 2 or not is_one_cpu():
        return _rms(scaled)
    of_rows, of_columns = (share, col) if col.shape[0] == 1 else (col, share)
    sums = squared @ (1 / of_columns[0])
    return jnp.sqrt(jnp.dot(1 / of_rows[:, 0], sums) / squared.size)


def _mean(tensor: Tensor, axis: int) -> Tensor:
    """The mean along `axis`; on one CPU the rows of a matrix are added by eighths of them. YNNPACK,
    which XLA calls for such a sum, takes fifteen times as long over a head, [512, 32128].
    """
    total = tensor
    if is_one_cpu() and axis != tensor.ndim - 1:
        while total.shape[axis] % _EIGHTHS == 0:
            total = functools.reduce(jnp.add, jnp.split(total, _EIGHTHS, axis))
    return jnp.sum(total, axis=axis) / tensor.shape[axis]


def _rms(tensor: Tensor) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(jnp.square(tensor)))
