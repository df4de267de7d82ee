"""From a config to an optax transformation, and where its state (see slots.py) lives."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from t5x_lite.optim.config import OptimizerConfig
from t5x_lite.optim.groups import Treatment
from t5x_lite.optim.per_layer import Axes, per_layer
from t5x_lite.optim.slots import Tensor, by_rule
from t5x_lite.optim.table import rule_of


def make_optimizer(
    config: OptimizerConfig,
    learning_rate: Callable[[Int[Array, ""]], Float[Array, ""]],
    axes: Any,
    treatments: Any = None,
) -> optax.GradientTransformation:
    """The optimizer; its updates hold the learning rate and its sign, so they are to be added.

    Args:
        learning_rate: of the number of updates already done.
        axes: logical axes of every parameter, which tell the stacked layers.
        treatments: the `Treatment` of every parameter; default is the optimizer's own weight decay
            and the learning rate for all.
    """
    rule = rule_of(config)
    directions = by_rule(rule, axes)

    def update(
        gradients: Any, state: dict[str, Any], parameters: Any
    ) -> tuple[Any, dict[str, Any]]:
        rate = learning_rate(state["step"])

        def scaled(
            direction: Tensor, parameter: Tensor, treatment: Treatment, axes: Axes
        ) -> Tensor:
            if np.any(treatment.weight_decay):
                direction = direction + treatment.weight_decay * parameter
            if rule.after_decay is not None:
                direction = per_layer(rule.after_decay, axes)(direction, parameter)
            return -(rate * treatment.learning_rate) * direction

        found, state = directions.update(gradients, state, parameters)
        given = treatments
        if given is None:
            alike = Treatment(weight_decay=float(config.weight_decay))
            given = jax.tree.map(lambda _: alike, parameters)
        return jax.tree.map(scaled, found, parameters, given, axes), state

    return optax.GradientTransformation(directions.init, update)


def state_axes(config: OptimizerConfig, axes: Any, parameters: Any) -> dict[str, Any]:
    """Logical axes of every leaf of the optimizer's state, as a tree like the state.

    Args:
        axes: logical axes of every parameter.
        parameters: the parameters or their shapes (jax.ShapeDtypeStruct).
    """

    rule = rule_of(config)
    slots = jax.tree.map(lambda each, axes: rule.axes(each.shape, axes), parameters, axes)
    return {"step": (), "param_states": slots}
