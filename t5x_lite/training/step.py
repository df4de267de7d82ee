"""One optimizer step and one evaluation step, compiled for a mesh."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from t5x_lite.compression import ranges
from t5x_lite.features.layouts import predicted_stack
from t5x_lite.losses.config import TermConfig
from t5x_lite.losses.table import make_loss
from t5x_lite.model import transformer
from t5x_lite.partitioning import compiler_options
from t5x_lite.stability.config import HealthConfig
from t5x_lite.stability.health import judge, metrics_of, select
from t5x_lite.training import microbatches, weight_metrics
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.metrics import COUNTED, PER_STEP
from t5x_lite.training.state import Frozen, StateFactory, TrainState

Batch = Mapping[str, Array]
Metrics = dict[str, Array]
Gradients = dict[str, Any]


class Found(NamedTuple):
    """What a forward and a backward pass give: gradients of what trains, sums of metrics, and the
    ranges that kernels of 8 bits read.
    """

    gradients: Gradients
    metrics: Metrics
    ranges: ranges.Ranges


def make_gradients(
    factory: StateFactory, terms: Sequence[TermConfig], *, seed: int, num_microbatches: int = 1
) -> Callable[[TrainState, Frozen, Batch], Found]:
    """A function, not compiled, of a state, what is frozen beside it and a global batch. The
    dropout noise is a function of (seed, step, number of microbatches) alone.
    """
    partitioner, groups, loss = factory.partitioner, factory.groups, make_loss(terms)

    def gradients_of(state: TrainState, frozen: Frozen, batch: Batch) -> Found:
        step_key = jax.random.fold_in(jax.random.key(seed), state.step)
        normalizers = loss.normalizers(batch)
        trainable = groups.trainable(state.parameters)

        def of_rows(rows: Batch, dropout_key: Array) -> Found:
            taught = factory.taught(loss.wanted_of_teacher, frozen, rows)

            def loss_of(trainable: Gradients) -> tuple[Array, tuple[Metrics, ranges.Ranges]]:
                parameters = groups.whole(trainable, state.parameters)
                with partitioner.activations():
                    outputs, seen = transformer.apply_with_ranges(
                        factory.model,
                        parameters,
                        rows,
                        wanted=loss.wanted,
                        dropout_key=dropout_key,
                    )
                    value, metrics = loss(
                        outputs, taught, rows, training=True, normalizers=normalizers
                    )
                return value, (metrics, seen)

            (value, (metrics, seen)), gradients = jax.value_and_grad(loss_of, has_aux=True)(
                trainable
            )
            return Found(gradients, metrics | {"loss": value}, seen)

        if num_microbatches == 1:
            gradients, metrics, seen = of_rows(batch, step_key)
        else:
            gradients, metrics, seen = microbatches.accumulate(
                lambda rows, number: of_rows(rows, jax.random.fold_in(step_key, number)),
                batch,
                num_microbatches,
                partitioner,
                _together,
            )
            places = groups.trainable(factory.shardings.parameters)
            gradients = jax.lax.with_sharding_constraint(gradients, places)
        return Found(gradients, metrics | _counts(batch), seen)

    return gradients_of


def _together(one: Found, other: Found) -> Found:
    """What two microbatches give."""
    gradients, metrics = jax.tree.map(jnp.add, one[:2], other[:2])
    return Found(gradients, metrics, ranges.union(one.ranges, other.ranges))


@dataclasses.dataclass(frozen=True)
class Step:
    """A jitted step: a function of a state, or of its parameters where nothing is trained, and a
    global batch; what is frozen beside them is given along.
    """

    jitted: jax.stages.Wrapped
    factory: StateFactory

    def __call__(self, state: Any, batch: Batch) -> Any:
        """What `make_train_step` or `make_eval_step` says."""
        return self.jitted(state, self.factory.frozen, batch)

    def lower(self, state: Any, batch: Any) -> jax.stages.Lowered:
        """The program for abstract arguments, on a mesh whose devices may be elsewhere."""
        return self.jitted.lower(state, self.factory.abstract_frozen, batch)


def make_train_step(
    factory: StateFactory,
    terms: Sequence[TermConfig],
    *,
    seed: int,
    num_microbatches: int = 1,
    clip_gradient_norm: float | int | None = None,
    health: HealthConfig | None = None,
    log_weight_metrics: bool = False,
    initial_step: int = 0,
) -> Step:
    """A function that takes a state (and destroys it) and a global batch, and gives the next state
    and sums of metrics. With `health` a step that is not sound gives the state back as it was, but
    for `state.health`.

    Args:
        num_microbatches: parts of the batch that are computed one after the other.
        clip_gradient_norm: a longer gradient is shortened to this norm, over all parameters.
        log_weight_metrics: adds the sizes of each parameter, gradient and update to the metrics.
        initial_step: at which the run began, for parameters that train from a step of it on.
    """
    groups, optimizer, pruning = factory.groups, factory.optimizer, factory.pruning
    gradients_of = make_gradients(factory, terms, seed=seed, num_microbatches=num_microbatches)

    def moving(tree: Gradients, trainable: Any, run_step: Array) -> Gradients:
        tree = groups.moving(tree, run_step)
        return tree if pruning is None else pruning.moving(tree, trainable, run_step)

    def step(state: TrainState, frozen: Frozen, batch: Batch) -> tuple[TrainState, Metrics]:
        run_step = state.step - initial_step
        gradients, metrics, seen = gradients_of(state, frozen, batch)
        trainable = groups.trainable(state.parameters)
        gradients = moving(gradients, trainable, run_step)
        norm = optax.tree.norm(gradients)
        if clip_gradient_norm is not None:
            gradients = clip(gradients, norm, clip_gradient_norm)
        with factory.partitioner.activations():
            updates, slots = optimizer.update(gradients, state.optimizer_state, trainable)
        updates = moving(updates, trainable, run_step)
        slots = groups.slots(state.optimizer_state, slots, run_step)
        parameters = groups.apply(state.parameters, updates, run_step)
        if pruning is not None:
            parameters, share = pruning.prune(parameters, run_step + 1)
            metrics |= {f"{PER_STEP}sparsity": share}
        if factory.model.quantization is not None:
            parameters = ranges.moved(parameters, seen, factory.model.quantization.decay)
        next_state = TrainState(state.step + 1, parameters, slots, state.health)
        is_bad = known = None
        if health is not None:
            is_bad, known = judge(
                state.health,
                step=state.step,
                loss_per_token=metrics["loss_sum"] / jnp.maximum(metrics["weight_sum"], 1.0),
                gradient_norm=norm,
                config=health,
            )
            # Before anything else reads the new parameters, so that they are written only once.
            next_state = dataclasses.replace(select(is_bad, state, next_state), health=known)
        metrics |= {
            f"{PER_STEP}weight_gradient_norm": norm,
            f"{PER_STEP}weight_update_norm": optax.tree.norm(updates),
            f"{PER_STEP}weight_norm": optax.tree.norm(next_state.parameters),
        }
        if log_weight_metrics:
            sizes = weight_metrics.sizes(
                factory.axes.parameters, next_state.parameters, gradients, updates
            )
            metrics |= {f"{PER_STEP}{tag}": size for tag, size in sizes.items()}
        return next_state, metrics if is_bad is None else metrics_of(is_bad, metrics)

    compiled = jax.jit(
        step,
        in_shardings=(
            factory.shardings,
            factory.frozen_shardings,
            factory.partitioner.batch_sharding,
        ),
        out_shardings=(factory.shardings, factory.partitioner.sharding(())),
        donate_argnums=0,
        compiler_options=dict(compiler_options.of_training(factory.partitioner.platform)),
    )
    return Step(compiled, factory)


def make_step_of(config: TrainConfig, factory: StateFactory, *, initial_step: int) -> Step:
    """The training step of a job whose run began at `initial_step`."""
    return make_train_step(
        factory,
        config.loss,
        seed=config.random_seed,
        num_microbatches=config.num_microbatches,
        clip_gradient_norm=config.clip_gradient_norm,
        health=config.health,
        log_weight_metrics=config.log_weight_metrics,
        initial_step=initial_step,
    )


def make_eval_step(factory: StateFactory, terms: Sequence[TermConfig]) -> Step:
    """A function of parameters and a global batch: sums of metrics, without dropout or z-loss."""
    partitioner, loss = factory.partitioner, make_loss(terms)

    def step(parameters: Any, frozen: Frozen, batch: Batch) -> Metrics:
        taught = factory.taught(loss.wanted_of_teacher, frozen, batch)
        with partitioner.activations():
            outputs = transformer.apply(factory.model, parameters, batch, wanted=loss.wanted)
            value, metrics = loss(outputs, taught, batch, training=False)
        return metrics | _counts(batch) | {"loss": value}

    compiled = jax.jit(
        step,
        in_shardings=(
            factory.shardings.parameters,
            factory.frozen_shardings,
            partitioner.batch_sharding,
        ),
        out_shardings=partitioner.sharding(()),
    )
    return Step(compiled, factory)


def clip(gradients: Gradients, norm: Float[Array, ""], longest: float | int) -> Gradients:
    """Gradients no longer than `longest`; shorter ones are multiplied by exactly 1."""
    factor = jnp.where(norm > longest, longest / norm, 1.0)
    return jax.tree.map(lambda gradient: gradient * factor, gradients)


def _counts(batch: Batch) -> Metrics:
    """Steps, rows, positions and real tokens, so that speeds and padding follow from sums."""
    counts = {
        "steps": jnp.float32(1),
        "rows": jnp.float32(len(batch[f"{predicted_stack(batch)}_segment_ids"])),
    }
    for stack, feature in COUNTED.items():
        if feature in batch:
            is_real = batch[f"{stack}_segment_ids"] > 0
            counts[f"positions/{feature}"] = jnp.float32(batch[feature].size)
            counts[f"tokens/{feature}"] = jnp.sum(is_real).astype(jnp.float32)
    return counts
