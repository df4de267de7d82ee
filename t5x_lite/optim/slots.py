"""Optimizer slots: what an optimizer remembers of each layer, and of how many updates.

The state is `{"step": int32, "param_states": {path: {slot: array}}}`, plain dicts that any
checkpoint format can hold. `step` counts the updates of the run, which the learning rate follows.
Every parameter has a slot `count` beside its optimizer's own, one number a layer: slots may begin
later than the run (layers that thaw, adapters on a model that was trained before), and whatever
corrects for a young average has to go by their own age.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from t5x_lite.optim.per_layer import Axes, is_stacked, per_layer

Tensor = Float[Array, "..."]
Slots = dict[str, Tensor]

COUNT = "count"


@dataclasses.dataclass(frozen=True)
class Rule:
    """An optimizer, as what it does to one layer.

    `dimensions(shape, axes)` names the slots of a parameter and which of its dimensions each keeps;
    that of the layers is always kept. `update(gradient, slots, count, parameter)` gives a
    direction, to be subtracted once multiplied by the learning rate, and the new slots; `count` is
    the number of updates that the slots have seen. `after_decay(direction, parameter)` changes a
    direction that has its weight decay already.
    """

    dimensions: Callable[[tuple[int, ...], Axes], dict[str, tuple[int, ...]]]
    update: Callable[[Tensor, Slots, Int[Array, ""], Tensor], tuple[Tensor, Slots]]
    after_decay: Callable[[Tensor, Tensor], Tensor] | None = None

    def axes(self, shape: tuple[int, ...], axes: Axes) -> dict[str, Axes]:
        """Logical axes of each slot of a parameter."""
        own = {
            name: tuple(axes[dimension] for dimension in dimensions)
            for name, dimensions in self.dimensions(shape, axes).items()
        }
        return {**own, COUNT: axes[:1] if is_stacked(axes) else ()}


@dataclasses.dataclass(frozen=True)
class _Updated:
    """What becomes of one parameter; no pytree, so that it is a leaf of its tree."""

    direction: Tensor
    slots: dict[str, Array]


def by_rule(rule: Rule, axes: Any) -> optax.GradientTransformation:
    """From gradients to directions.

    Args:
        axes: logical axes of every parameter; each layer of a stacked one is treated on its own.
    """

    def init(parameters: Any) -> dict[str, Any]:
        def zeros(parameter: Tensor, axes: Axes) -> dict[str, Array]:
            shape = parameter.shape
            own = {
                name: jnp.zeros([shape[dimension] for dimension in dimensions])
                for name, dimensions in rule.dimensions(shape, axes).items()
            }
            return {**own, COUNT: jnp.zeros(shape[: is_stacked(axes)], jnp.int32)}

        slots = jax.tree.map(zeros, parameters, axes)
        return {"step": jnp.zeros((), jnp.int32), "param_states": slots}

    def of_layer(
        gradient: Tensor, slots: dict[str, Array], parameter: Tensor
    ) -> tuple[Tensor, dict[str, Array]]:
        own = {name: slot for name, slot in slots.items() if name != COUNT}
        direction, own = rule.update(gradient, own, slots[COUNT], parameter)
        return direction, {**own, COUNT: slots[COUNT] + 1}

    def update(
        gradients: Any, state: dict[str, Any], parameters: Any
    ) -> tuple[Any, dict[str, Any]]:
        def updated(
            gradient: Tensor, slots: dict[str, Array], parameter: Tensor, axes: Axes
        ) -> _Updated:
            return _Updated(*per_layer(of_layer, axes)(gradient, slots, parameter))

        found = jax.tree.map(updated, gradients, state["param_states"], parameters, axes)
        directions = jax.tree.map(lambda each: each.direction, found)
        slots = jax.tree.map(lambda each: each.slots, found)
        return directions, {"step": state["step"] + 1, "param_states": slots}

    return optax.GradientTransformation(init, update)
