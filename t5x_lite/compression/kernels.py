"""Which kernels of a model are pruned, and which cannot be."""

import dataclasses
import re
from collections.abc import Iterable
from typing import Any

import jax

from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.errors import UserError
from t5x_lite.optim.groups import Groups
from t5x_lite.optim.per_layer import Axes, shape_of_layer

_FLAG = "--gin.PruningConfig.weights=..."


@dataclasses.dataclass(frozen=True)
class Kernel:
    """What a parameter is: its shape and its logical axes; no pytree, so that it is a leaf."""

    shape: tuple[int, ...]
    axes: Axes

    @property
    def layer(self) -> tuple[int, ...]:
        """The shape of one layer's."""
        return shape_of_layer(self.shape, self.axes)


def choose(config: PruningConfig, axes: Any, shapes: Any, groups: Groups) -> dict[str, Kernel]:
    """The kernels of a model that a job prunes or whose zeros it locks, by their paths.

    Args:
        axes: logical axes of every parameter.
        shapes: the parameters, or their jax.ShapeDtypeStructs.
        groups: how each is updated.

    Raises:
        UserError: no kernel matches, or one that does cannot be pruned.
    """
    every = leaves(jax.tree.map(lambda leaf, axes: Kernel(tuple(leaf.shape), axes), shapes, axes))
    chosen = {name: each for name, each in every.items() if re.fullmatch(config.weights, name)}
    if not chosen:
        kernels = [name for name in every if name.endswith("/kernel")]
        raise UserError(
            f"weights={config.weights!r} of pruning matches no parameter; needed is a regular "
            f"expression for whole paths, such as {', '.join(kernels[:3])}: {_FLAG}"
        )
    for name, kernel in chosen.items():
        _check_kernel(config, name, kernel)
        if f"{name.removesuffix('kernel')}lora/a" in every:
            raise UserError(
                f"{name} has LoRA beside it: merged, their product would fill the zeros. Needed is "
                f"another method of fine-tuning, or {_FLAG} without this kernel."
            )
    if config.method is not PruningMethod.LOCKED:
        _check_moving(chosen, groups)
    return chosen


def _check_kernel(config: PruningConfig, name: str, kernel: Kernel) -> None:
    shape = kernel.layer
    if len(shape) != 2:
        raise UserError(
            f"weights={config.weights!r} of pruning matches {name}, of the shape {shape} in a "
            f"layer: needed are kernels, which have inputs and outputs: {_FLAG}"
        )
    if config.group is not None and shape[0] % config.group[1]:
        raise UserError(
            f"pattern={config.pattern!r} does not divide the {shape[0]} inputs of {name}: needed "
            f"is an m of which {shape[0]} is a multiple, --gin.PRUNING_PATTERN=..., or "
            f"{_FLAG} without this kernel."
        )


def _check_moving(chosen: Iterable[str], groups: Groups) -> None:
    treatments = leaves(groups.treatments)
    for name in chosen:
        if treatments[name].is_ever_frozen:
            raise UserError(
                f"{name} is to be pruned, and a parameter group keeps it as it is: needed is one "
                f"of the two, --gin.PARAMETER_GROUPS=... or {_FLAG} without it."
            )
