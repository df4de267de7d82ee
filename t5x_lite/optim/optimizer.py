"""From a config to an optax transformation, and where its state lives.

The state is `{"step": int32, "param_states": {path: {slot: array}}}`, plain dicts that any
checkpoint format can hold.
"""

from collections.abc import Callable
from typing import Any

import jax
import optax
from jaxtyping import Array, Float, Int

from t5x_lite.optim.adafactor import adafactor, slot_dimensions
from t5x_lite.optim.adamw import adamw
from t5x_lite.optim.config import AdafactorConfig, AdamWConfig
from t5x_lite.optim.per_layer import Axes


def make_optimizer(
    config: AdafactorConfig | AdamWConfig,
    learning_rate: Callable[[Int[Array, ""]], Float[Array, ""]],
    axes: Any,
) -> optax.GradientTransformation:
    """The optimizer; its updates hold the learning rate and its sign, so they are to be added.

    Args:
        learning_rate: of the number of updates already done.
        axes: logical axes of every parameter, which tell the stacked layers.
    """
    match config:
        case AdafactorConfig():
            return adafactor(config, learning_rate, axes)
        case AdamWConfig():
            return adamw(config, learning_rate)


def state_axes(config: AdafactorConfig | AdamWConfig, axes: Any, parameters: Any) -> dict[str, Any]:
    """Logical axes of every leaf of the optimizer's state, as a tree like the state.

    Args:
        axes: logical axes of every parameter.
        parameters: the parameters or their shapes (jax.ShapeDtypeStruct).
    """

    def of_slots(parameter: Any, axes: Axes) -> dict[str, Axes]:
        if isinstance(config, AdamWConfig):
            return {"mu": axes, "nu": axes}
        kept = slot_dimensions(parameter.shape, axes, config)
        return {
            name: tuple(axes[dimension] for dimension in dimensions)
            for name, dimensions in kept.items()
        }

    return {"step": (), "param_states": jax.tree.map(of_slots, parameters, axes)}
