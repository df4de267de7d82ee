"""What a training run carries from step to step, and how it comes into being on a mesh."""

import dataclasses
import functools
from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Int

from t5x_lite.checkpoints import restoring
from t5x_lite.checkpoints.parameters import place_parameters
from t5x_lite.compression import ranges
from t5x_lite.compression.kernels import choose
from t5x_lite.compression.pruning import Pruning
from t5x_lite.compression.pruning_config import PruningConfig
from t5x_lite.compression.teacher import Teacher, make_teacher
from t5x_lite.data.ramp import ONE_SIZE, Ramp, make_ramp
from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.finetuning import additions, unfreezing
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim import optimizer as optimizers
from t5x_lite.optim.config import OptimizerConfig, ParameterGroup, ScheduleConfig
from t5x_lite.optim.groups import Groups, assign
from t5x_lite.partitioning.partitioner import Partitioner
from t5x_lite.stability import health
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.ramped_schedule import schedule_over

# What steps read and never change, nor checkpoints hold: a teacher's parameters.
Frozen = Mapping[str, Any]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Number of steps done, parameters, optimizer slots, health: all that a checkpoint holds of a
    model. A step that was passed over counts as done.
    """

    step: Int[Array, ""] | Any
    parameters: Any
    optimizer_state: Any
    health: Any = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class StateFactory:
    """Makes train states, real and abstract, each leaf on the devices where it belongs.

    Parameters that are frozen as a whole have no optimizer slots; `optimizer` is to be given the
    `groups.trainable` part of parameters and gradients. Where batches grow, `ramp` says how.
    """

    model: ModelConfig
    optimizer_config: OptimizerConfig
    learning_rate: ScheduleConfig
    partitioner: Partitioner
    parameter_groups: tuple[ParameterGroup, ...] = ()
    teacher: Teacher | None = None
    ramp: Ramp = ONE_SIZE
    pruning_config: PruningConfig | None = None

    @property
    def frozen(self) -> Frozen:
        """What stands beside the state, on the devices."""
        return {} if self.teacher is None else {"teacher": self.teacher.parameters}

    @property
    def frozen_shardings(self) -> Frozen:
        """The sharding of every leaf of it."""
        return {} if self.teacher is None else {"teacher": self.teacher.shardings}

    @property
    def abstract_frozen(self) -> Frozen:
        """Its shapes, dtypes and shardings, without an array."""
        return {} if self.teacher is None else {"teacher": self.teacher.abstract}

    def taught(
        self, wanted: Wanted | None, frozen: Frozen, batch: Mapping[str, Array]
    ) -> Outputs | None:
        """What the teacher says of a batch, if anything of it is wanted."""
        if wanted is None:
            return None
        assert self.teacher is not None, "TrainConfig refuses a term that lacks its teacher"
        return self.teacher.outputs(frozen["teacher"], batch, wanted)

    def placed(self, rows: Mapping[str, np.ndarray]) -> dict[str, Array]:
        """A global batch of this process's rows, and what is known of what the teacher says."""
        if self.teacher is None:
            return self.partitioner.global_batch(rows)
        return self.teacher.placed(rows)

    @functools.cached_property
    def groups(self) -> Groups:
        """How each parameter is updated.

        Raises:
            UserError: a group does not fit the model.
        """
        return assign(
            ranges.groups(self.model) + self.parameter_groups,
            transformer.parameter_axes(self.model),
            transformer.abstract_parameters(self.model),
            weight_decay=self.optimizer_config.weight_decay,
        )

    @functools.cached_property
    def pruning(self) -> Pruning | None:
        """Which weights become or stay 0, if any do.

        Raises:
            UserError: it does not fit the model or the groups.
        """
        if self.pruning_config is None:
            return None
        axes = transformer.parameter_axes(self.model)
        shapes = transformer.abstract_parameters(self.model)
        kernels = choose(self.pruning_config, axes, shapes, self.groups)
        return Pruning(self.pruning_config, kernels)

    @functools.cached_property
    def optimizer(self) -> optax.GradientTransformation:
        """The optimizer that the slots belong to, of parameters that train."""
        return optimizers.make_optimizer(
            self.optimizer_config,
            schedule_over(self.learning_rate, self.ramp),
            self.groups.trainable(transformer.parameter_axes(self.model)),
            self.groups.trainable(self.groups.treatments),
        )

    @functools.cached_property
    def axes(self) -> TrainState:
        """Logical axes of every leaf."""
        axes = transformer.parameter_axes(self.model)
        parameters = transformer.abstract_parameters(self.model)
        slots = optimizers.state_axes(
            self.optimizer_config, self.groups.trainable(axes), self.groups.trainable(parameters)
        )
        return TrainState((), axes, slots, dict.fromkeys(health.initial(), ()))

    @functools.cached_property
    def abstract(self) -> TrainState:
        """Shapes, dtypes and shardings, without an array.

        Raises:
            UserError: a dimension does not divide over the mesh.
        """
        # Outside the trace, so that a mistake in the schedule is our error and not one of JAX's.
        init = self.optimizer.init
        parameters = transformer.abstract_parameters(self.model)
        step = jax.ShapeDtypeStruct((), jnp.int32)
        slots = jax.eval_shape(init, self.groups.trainable(parameters))
        shapes = TrainState(step, parameters, slots, jax.eval_shape(health.initial))
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

    def fresh_leaves(self, seed: int, names: Collection[str]) -> dict[str, Array]:
        """Some leaves of `initialize(seed)`, by their names as in checkpoints; no other is made."""
        shardings = restoring.leaves(vars(self.shardings))

        def make(key: Array) -> dict[str, Array]:
            made = restoring.leaves(vars(self._make(key)))
            return {name: made[name] for name in names}

        places = {name: shardings[name] for name in names}
        return jax.jit(make, out_shardings=places)(jax.random.key(seed))

    def fresh_health(self) -> Any:
        """Nothing known, on the devices."""
        return jax.jit(health.initial, out_shardings=self.shardings.health)()

    def from_parameters(self, parameters: Any, *, seed: int = 0) -> TrainState:
        """Step zero with given parameters and empty optimizer slots.

        Args:
            parameters: the model's; of what fine-tuning adds they may lack some, which is then as
                `initialize(seed)` makes it.
        """
        lacking = additions.lacking(self.model, parameters)
        placed = place_parameters(parameters, additions.without(self.abstract.parameters, lacking))

        def first(placed: Any, key: Array) -> TrainState:
            if lacking:  # what is not used is not made
                placed = additions.join(transformer.init_parameters(self.model, key), placed)
            return self._first(placed)

        start = jax.jit(first, out_shardings=self.shardings, donate_argnums=0)
        return start(placed, jax.random.key(seed))

    def table(self) -> str:
        """Where every parameter lives and what it costs a device; how groups are treated."""
        abstract, axes = self.abstract, self.axes
        places = self.partitioner.table(
            axes.parameters,
            abstract.parameters,
            axes.optimizer_state,
            abstract.optimizer_state,
        )
        pruning = None if self.pruning is None else self.pruning.table
        return "\n".join(filter(None, (places, self.groups.table, pruning)))

    def _make(self, key: Array) -> TrainState:
        return self._first(transformer.init_parameters(self.model, key))

    def _first(self, parameters: Any) -> TrainState:
        slots = self.optimizer.init(self.groups.trainable(parameters))
        return TrainState(jnp.int32(0), parameters, slots, health.initial())


def make_factory(config: TrainConfig, partitioner: Partitioner) -> StateFactory:
    """The states of a job."""
    groups, datasets = config.parameter_groups, (config.dataset, config.eval_dataset)
    if config.unfreezing is not None:
        groups += unfreezing.groups(config.unfreezing, config.model)
    return StateFactory(
        config.model,
        config.optimizer,
        config.learning_rate,
        partitioner,
        groups,
        None
        if config.teacher_path is None
        else make_teacher(
            config.teacher_path,
            config.model,
            partitioner,
            config.loss,
            config.teacher_cache,
            [dataset for dataset in datasets if dataset is not None],
        ),
        make_ramp(config.dataset),
        config.pruning,
    )


def _with_shardings(shapes: Any, shardings: Any) -> Any:
    return jax.tree.map(
        lambda shape, sharding: jax.ShapeDtypeStruct(shape.shape, shape.dtype, sharding=sharding),
        shapes,
        shardings,
    )
