"""Weights that go while a model trains: what is 0 is pruned, and stays 0.

Nothing is kept beside the parameters. After each update the zeros of every layer are counted, and
where there are fewer than the schedule wants, its smallest weights become 0. So a run that resumes,
is rolled back or leaves a step out goes on as it must, and whoever reads the model finds the zeros.
"""

import dataclasses
import math
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Int32

from t5x_lite.checkpoints.restoring import leaves, name_of
from t5x_lite.compression import ranking
from t5x_lite.compression.kernels import Kernel
from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.compression.sparsities import check_length, updates
from t5x_lite.errors import UserError
from t5x_lite.optim.per_layer import is_stacked, per_layer

Step = Int[Array, ""] | int
# Of some kernels by their paths: the weights, or a number for each layer.
Weights = dict[str, Float[Array, "..."]]
Counts = dict[str, Int32[Array, "..."]]
# A trained model has a 0 here and there; fewer than that are no pattern to be locked.
_LEAST_LOCKED = 0.001


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
        self.check_zeros(self.weights(parameters))

    def check_zeros(self, weights: Weights) -> None:
        """Refuses to lock a pattern that is not there, judging by some of its kernels.

        Raises:
            UserError: with how many are 0.
        """
        if self.config.method is not PruningMethod.LOCKED:
            return
        share = float(jax.jit(lambda weights: self._share(self._zeros(weights)))(weights))
        if share < _LEAST_LOCKED:
            size = self._size(weights)
            raise UserError(
                f"of {size:,} weights whose zeros are to be locked {share:.2%} are 0: needed is a "
                f"model that was pruned, with {_LEAST_LOCKED:.1%} of them at least: "
                "--gin.INITIAL_CHECKPOINT_PATH=..., or --gin_file=compression/prune.gin, which "
                "prunes this one."
            )

    @property
    def table(self) -> str:
        """What will be pruned, in a line."""
        weights = f"{self._size(self.kernels):,} weights of {len(self.kernels)} kernels"
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
        return jnp.sum(jnp.stack(counts)) / np.float32(self._size(zeros))

    def _size(self, names: Iterable[str]) -> int:
        """How many weights these kernels have."""
        return sum(math.prod(self.kernels[name].shape) for name in names)
