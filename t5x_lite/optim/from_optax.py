"""Optimizers of optax, each layer on its own."""

from collections.abc import Callable
from typing import Any

import optax
from jaxtyping import Array, Int

from t5x_lite.optim.per_layer import Axes
from t5x_lite.optim.slots import COUNT, Rule, Slots, Tensor


def from_optax(
    transformation: optax.GradientTransformation,
    state: Any,
    after_decay: optax.GradientTransformation | None = None,
) -> Rule:
    """The rule of a transformation that remembers means of gradients.

    optax multiplies by the learning rate and decays weights in transformations of their own, which
    are left out: optimizer.py does both for all rules.

    Args:
        state: the class of its state, a NamedTuple of `count` and of slots that are as large as the
            parameter.
        after_decay: what optax chains behind the weight decay; it remembers nothing.
    """
    names = tuple(name for name in state._fields if name != COUNT)

    def dimensions(shape: tuple[int, ...], axes: Axes) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(names, tuple(range(len(shape))))

    def update(
        gradient: Tensor, slots: Slots, count: Int[Array, ""], parameter: Tensor
    ) -> tuple[Tensor, Slots]:
        before = state(**slots, **{COUNT: count})
        direction, after = transformation.update(gradient, before, parameter)
        return direction, {name: getattr(after, name) for name in names}

    changed = None if after_decay is None else _without_state(after_decay)
    return Rule(dimensions, update, changed)


def _without_state(
    transformation: optax.GradientTransformation,
) -> Callable[[Tensor, Tensor], Tensor]:
    def changed(direction: Tensor, parameter: Tensor) -> Tensor:
        return transformation.update(direction, optax.EmptyState(), parameter)[0]

    return changed
