"""What a training run carries from step to step, and how it comes into being on a mesh."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from t5x_lite.checkpoints.parameters import place_parameters
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim import optimizer as optimizers
from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, ScheduleConfig
from t5x_lite.optim.schedules import make_schedule
from t5x_lite.partitioning.partitioner import Partitioner


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Number of steps done, parameters, optimizer slots: all that a checkpoint holds of a model."""

    step: Int[Array, ""] | Any
    parameters: Any
    optimizer_state: Any


@dataclasses.dataclass(frozen=True)
class StateFactory:
    """Makes train states, real and abstract, each leaf on the devices where it belongs."""

    model: ModelConfig
    optimizer_config: AdafactorConfig | AdamWConfig
    learning_rate: ScheduleConfig
    partitioner: Partitioner

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer that the slots belong to."""
        return optimizers.make_optimizer(
            self.optimizer_config,
            make_schedule(self.learning_rate),
            transformer.parameter_axes(self.model),
        )

    @functools.cached_property
    def axes(self) -> TrainState:
        """Logical axes of every leaf."""
        axes = transformer.parameter_axes(self.model)
        parameters = transformer.abstract_parameters(self.model)
        return TrainState((), axes, optimizers.state_axes(self.optimizer_config, axes, parameters))

    @functools.cached_property
    def abstract(self) -> TrainState:
        """Shapes, dtypes and shardings, without an array.

        Raises:
            ValueError: a dimension does not divide over the mesh.
        """
        # Outside the trace, so that a mistake in the schedule is our error and not one of JAX's.
        init = self.optimizer.init
        parameters = transformer.abstract_parameters(self.model)
        step = jax.ShapeDtypeStruct((), jnp.int32)
        shapes = TrainState(step, parameters, jax.eval_shape(init, parameters))
        return _with_shardings(shapes, self.partitioner.shardings(self.axes, shapes))

    @functools.cached_property
    def shardings(self) -> TrainState:
        """The sharding of every leaf."""
        return jax.tree.map(lambda leaf: leaf.sharding, self.abstract)

    def initialize(self, seed: int) -> TrainState:
        """Random parameters, made where they live: no device ever holds the whole model."""
        return self._initialize(jax.random.key(seed))

    @functools.cached_property
    def _initialize(self) -> Callable[[Array], TrainState]:
        return jax.jit(self._make, out_shardings=self.shardings)

    def from_parameters(self, parameters: Any) -> TrainState:
        """Step zero with given parameters and empty optimizer slots."""
        placed = place_parameters(parameters, self.abstract.parameters)

        def with_slots(parameters: Any) -> TrainState:
            return TrainState(jnp.int32(0), parameters, self.optimizer.init(parameters))

        return jax.jit(with_slots, out_shardings=self.shardings, donate_argnums=0)(placed)

    def table(self) -> str:
        """Where every parameter lives and what it costs a device."""
        abstract, axes = self.abstract, self.axes
        return self.partitioner.table(
            axes.parameters,
            abstract.parameters,
            axes.optimizer_state,
            abstract.optimizer_state,
        )

    def _make(self, key: Array) -> TrainState:
        parameters = transformer.init_parameters(self.model, key)
        return TrainState(jnp.int32(0), parameters, self.optimizer.init(parameters))


def _with_shardings(shapes: Any, shardings: Any) -> Any:
    return jax.tree.map(
        lambda shape, sharding: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding),
        shapes,
        shardings,
    )
