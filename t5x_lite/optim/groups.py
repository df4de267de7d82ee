"""How each parameter is updated: learning rate, weight decay, or not at all.

A parameter that is frozen as a whole is kept out of all that trains: `trainable` leaves it out of
the tree that is differentiated and has optimizer slots, `whole` puts it back. Where only some
layers of a stack differ, factors and masks hold one number a layer.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Shaped

from t5x_lite.optim import group_matching
from t5x_lite.optim.config import ParameterGroup
from t5x_lite.optim.per_layer import Axes, is_stacked

# One number for a parameter, or one a layer in a shape that broadcasts against the stack.
PerLayer = float | bool | int | np.ndarray
Step = Int[Array, ""] | int


@dataclasses.dataclass(frozen=True)
class Treatment:
    """How one parameter is updated; no pytree, so that it is a leaf of its tree."""

    learning_rate: PerLayer = 1.0
    weight_decay: PerLayer = 0.0
    frozen: PerLayer = False
    from_step: PerLayer = 0

    @property
    def is_ever_frozen(self) -> bool:
        """Whether there is a step at which some of it does not move."""
        return bool(np.any(self.frozen) or np.any(self.from_step))

    def is_frozen_at(self, step: Step) -> Bool[Array, "..."]:
        """What does not move in this step of the run, in a shape that broadcasts."""
        return jnp.asarray(self.frozen) | (jnp.asarray(self.from_step) > step)


@dataclasses.dataclass(frozen=True)
class Groups:
    """The treatment of every parameter, as a tree like the parameters', and a table of it."""

    treatments: dict[str, Any]
    table: str

    def trainable(self, tree: Mapping[str, Any]) -> dict[str, Any]:
        """What trains of a tree like the parameters', whatever its leaves are."""
        return _trainable(tree, self.treatments)

    def whole(self, trainable: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters: those that train from `trainable`, the frozen ones from `parameters`."""
        return _whole(trainable, parameters, self.treatments)

    def moving(self, tree: Mapping[str, Any], step: Step) -> dict[str, Any]:
        """A tree of what trains, such as gradients, with zeros for what is frozen in this step."""

        def masked(leaf: Float[Array, "..."], treatment: Treatment) -> Float[Array, "..."]:
            return (
                jnp.where(treatment.is_frozen_at(step), 0, leaf)
                if treatment.is_ever_frozen
                else leaf
            )

        return jax.tree.map(masked, tree, self.trainable(self.treatments))

    def slots(self, old: Mapping[str, Any], new: Mapping[str, Any], step: Step) -> dict[str, Any]:
        """The optimizer's state after this step; slots of what is frozen in it are the old ones."""

        def kept(treatment: Treatment, before: Any, after: Any) -> Any:
            if not treatment.is_ever_frozen:
                return after
            frozen = treatment.is_frozen_at(step)

            def of_slot(one: Shaped[Array, "..."], other: Shaped[Array, "..."]) -> Array:
                # A slot may lack a dimension of its parameter, never that of the layers.
                shape = (*frozen.shape[:1], *(1,) * (one.ndim - 1)) if frozen.ndim else ()
                return jnp.where(frozen.reshape(shape), one, other)

            return jax.tree.map(of_slot, before, after)

        name = "param_states"
        treatments = self.trainable(self.treatments)
        return {**new, name: jax.tree.map(kept, treatments, old[name], new[name])}

    def apply(
        self, parameters: Mapping[str, Any], updates: Mapping[str, Any], step: Step = 0
    ) -> dict[str, Any]:
        """The parameters after `updates` of what trains in this step of the run; what is frozen
        keeps every bit.
        """

        def moved(
            parameter: Float[Array, "..."], update: Float[Array, "..."], treatment: Treatment
        ) -> Float[Array, "..."]:
            new = parameter + update.astype(parameter.dtype)
            if not treatment.is_ever_frozen:
                return new
            # Chosen, not added: -0.0 + 0.0 has other bits.
            return jnp.where(treatment.is_frozen_at(step), parameter, new)

        treatments = self.trainable(self.treatments)
        trained = jax.tree.map(moved, self.trainable(parameters), updates, treatments)
        return self.whole(trained, parameters)


def assign(
    groups: Sequence[ParameterGroup], axes: Any, shapes: Any, *, weight_decay: float | int
) -> Groups:
    """Finds the treatment of every parameter.

    Args:
        axes: logical axes of every parameter.
        shapes: the parameters, or their jax.ShapeDtypeStructs.
        weight_decay: the optimizer's own, for what no group gives another.

    Raises:
        UserError: a group has no parameter of its own or names layers that there are not, or all
            parameters are frozen.
    """

    def tensor_of(shape: Any, axes: Axes) -> group_matching.Tensor:
        return group_matching.Tensor(tuple(shape.shape), is_stacked(axes))

    leaves, structure = jax.tree_util.tree_flatten_with_path(
        jax.tree.map(tensor_of, shapes, axes),
        is_leaf=lambda node: isinstance(node, group_matching.Tensor),
    )
    tensors = {
        jax.tree_util.keystr(path, simple=True, separator="/"): tensor for path, tensor in leaves
    }
    chosen = group_matching.choose(groups, tensors)
    rest = ParameterGroup(pattern=".*")
    found = [
        _treatment(
            [rest if group is None else group for group in chosen[name]],
            tensors[name],
            weight_decay,
        )
        for name in tensors
    ]
    return Groups(
        jax.tree.unflatten(structure, found),
        group_matching.describe(groups, tensors, chosen, weight_decay=weight_decay),
    )


def _treatment(
    groups: Sequence[ParameterGroup], tensor: group_matching.Tensor, weight_decay: float | int
) -> Treatment:
    """What the groups of a parameter's layers say together."""

    def together(value: Callable[[ParameterGroup], float | bool], dtype: type) -> PerLayer:
        values: np.ndarray = np.asarray([value(group) for group in groups], dtype)
        if np.all(values == values[0]):
            return values[0].item()
        return values.reshape(-1, *(1,) * (len(tensor.shape) - 1))

    def decay(group: ParameterGroup) -> float:
        return float(weight_decay if group.weight_decay is None else group.weight_decay)

    return Treatment(
        learning_rate=together(lambda group: group.learning_rate, np.float32),
        weight_decay=together(decay, np.float32),
        frozen=together(lambda group: group.frozen, np.bool_),
        from_step=together(lambda group: group.from_step, np.int32),
    )


def _is_frozen(treatment: Treatment) -> bool:
    return bool(np.all(treatment.frozen))


def _trainable(tree: Mapping[str, Any], treatments: Mapping[str, Any]) -> dict[str, Any]:
    """Without the leaves that are frozen and the folders that hold nothing else."""
    kept: dict[str, Any] = {}
    for name, treatment in treatments.items():
        if isinstance(treatment, Treatment):
            if not _is_frozen(treatment):
                kept[name] = tree[name]
        elif below := _trainable(tree[name], treatment):
            kept[name] = below
    return kept


def _whole(
    trainable: Mapping[str, Any], parameters: Mapping[str, Any], treatments: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        name: (parameters if _is_frozen(treatment) else trainable)[name]
        if isinstance(treatment, Treatment)
        else _whole(trainable.get(name, {}), parameters[name], treatment)
        for name, treatment in treatments.items()
    }
