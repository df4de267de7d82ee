"""Weights that go while a model trains: what is 0 is pruned, and stays 0.

Nothing is kept beside the parameters. After each update the zeros of every layer are counted, and
where there are fewer than the schedule wants, its smallest weights become 0. So a run that resumes,
is rolled back or leaves a step out goes on as it must, and whoever reads the model finds the zeros.
"""

import dataclasses
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from t5x_lite.checkpoints.restoring import leaves, name_of
from t5x_lite.compression import ranking
from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.compression.sparsities import check_length, updates
from t5x_lite.errors import UserError
from t5x_lite.optim.groups import Groups
from t5x_lite.optim.per_layer import Axes, is_stacked, per_layer, shape_of_layer

Step = Int[Array, ""] | int
# Of some kernels by their paths: the weights, or a number for each layer.
Weights = dict[str, Float[Array, "..."]]
Counts = dict[str, Int32[Array, "..."]]
# A trained model has a 0 here and there; fewer than that are no pattern to be locked.
_LEAST_LOCKED = 0.001
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


@dataclasses.dataclass(frozen=True)
class Pruning:
    """What becomes of some kernels of a model, by their paths."""

    config: PruningConfig
    kernels: Mapping[str, Kernel]

    def moving(self, tree: Any, parameters: Any, step: Step) -> Any:
        """A tree of what trains, such as gradients, with zeros for the weights that are pruned.

        Args:
            parameters: a tree like it, before the update.
            step: steps of the run that are done.
        """
        has_begun = jnp.asarray(step) >= self.config.begin_step

        def masked(path: Any, leaf: Array, weights: Array) -> Array:
            if name_of(path) not in self.kernels:
                return leaf
            return jnp.where(has_begun & (weights == 0), 0, leaf)

        return jax.tree_util.tree_map_with_path(masked, tree, parameters)

    def prune(self, parameters: Any, step: Step) -> tuple[Any, Float[Array, ""]]:
        """The parameters after a step of the run, and the share of the weights that are 0 then.

        Args:
            step: steps of the run that are done, this one included.
        """
        weights = self.weights(parameters)
        zeros = self._zeros(weights)
        if not updates(self.config):
            return parameters, self._share(zeros)
        wanted = self._wanted(step)
        is_due = [jnp.any(zeros[name] < wanted[name]) for name in weights]
        pruned = jax.lax.cond(
            jnp.any(jnp.stack(is_due)), self._pruned, lambda weights, _: weights, weights, wanted
        )
        counts = {name: jnp.maximum(zeros[name], wanted[name]) for name in weights}
        parameters = jax.tree_util.tree_map_with_path(
            lambda path, leaf: pruned.get(name_of(path), leaf), parameters
        )
        return parameters, self._share(counts)

    def weights(self, parameters: Any) -> Weights:
        """Of its kernels."""
        return {name: leaf for name, leaf in leaves(parameters).items() if name in self.kernels}

    def check_start(self, parameters: Any, steps: int) -> None:
        """Refuses a run that cannot do what is asked of it.

        Args:
            parameters: those that it starts from.
            steps: how many it has.

        Raises:
            UserError: it ends before its pruning does, or there is no pattern to be locked.
        """
        check_length(self.config, steps)
        if self.config.method is not PruningMethod.LOCKED:
            return
        count = jax.jit(lambda weights: self._share(self._zeros(weights)))
        share = float(count(self.weights(parameters)))
        if share < _LEAST_LOCKED:
            raise UserError(
                f"of the {self.num_weights:,} weights whose zeros are to be locked {share:.2%} are "
                f"0: needed is a model that was pruned, of which {_LEAST_LOCKED:.1%} are at least: "
                "--gin.INITIAL_CHECKPOINT_PATH=..., or --gin_file=compression/prune.gin, which "
                "prunes this one."
            )

    @property
    def num_weights(self) -> int:
        """Of all its kernels."""
        return sum(math.prod(kernel.shape) for kernel in self.kernels.values())

    @property
    def table(self) -> str:
        """What will be pruned, in a line."""
        weights = f"{self.num_weights:,} weights of {len(self.kernels)} kernels"
        done = updates(self.config)
        if not done:
            return f"pruning: the zeros among {weights} stay"
        pattern = "" if self.config.pattern is None else f" in the pattern {self.config.pattern}"
        return (
            f"pruning: of {weights}, in each layer by itself, {done[-1][1]:.4g} are 0{pattern} "
            f"from step {done[-1][0]:,} of the run on"
        )

    def _zeros(self, weights: Weights) -> Counts:
        """How many weights of each layer are 0."""

        def of_layer(layer: Float[Array, "..."]) -> Int32[Array, ""]:
            return jnp.sum(layer == 0, dtype=jnp.int32)

        return {
            name: per_layer(of_layer, self.kernels[name].axes)(leaf)
            for name, leaf in weights.items()
        }

    def _wanted(self, step: Step) -> Counts:
        """How many weights of each layer are to be 0 after a step, at least."""
        steps, shares = zip(*updates(self.config), strict=True)
        number = jnp.searchsorted(np.array(steps, np.int32), step, side="right")

        def of_kernel(kernel: Kernel) -> Int32[Array, "..."]:
            size = math.prod(kernel.layer)
            counts = np.array([0, *(round(share * size) for share in shares)], np.int32)
            layers = kernel.shape[: is_stacked(kernel.axes)]
            return jnp.broadcast_to(jnp.asarray(counts)[number], layers)

        return {name: of_kernel(kernel) for name, kernel in self.kernels.items()}

    def _pruned(self, weights: Weights, wanted: Counts) -> Weights:
        def of_layer(layer: Float[Array, "..."], count: Int32[Array, ""]) -> Float[Array, "..."]:
            keys = ranking.magnitudes(layer)
            if self.config.group is not None:
                keys = ranking.spared(keys, self.config.group)
            return jnp.where(ranking.lowest(keys, count), 0, layer)

        return {
            name: per_layer(of_layer, self.kernels[name].axes)(leaf, wanted[name])
            for name, leaf in weights.items()
        }

    def _share(self, zeros: Counts) -> Float[Array, ""]:
        counts = [jnp.sum(each.astype(jnp.float32)) for each in zeros.values()]
        return jnp.sum(jnp.stack(counts)) / np.float32(self.num_weights)


def make_pruning(config: PruningConfig, axes: Any, shapes: Any, groups: Groups) -> Pruning:
    """The pruning of a model.

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
    return Pruning(config, chosen)


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
