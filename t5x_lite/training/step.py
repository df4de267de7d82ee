"""One optimizer step and one evaluation step, compiled for a mesh."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array

from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.loss import compute_loss
from t5x_lite.model import transformer
from t5x_lite.training.config import HealthConfig
from t5x_lite.training.health import judge, metrics_of, select
from t5x_lite.training.state import StateFactory, TrainState

Batch = Mapping[str, Array]
Metrics = dict[str, Array]


def make_train_step(
    factory: StateFactory,
    loss: LossConfig,
    *,
    seed: int,
    health: HealthConfig | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """A function that takes a state (and destroys it) and a global batch, and gives the next state
    and sums of metrics. The dropout noise is a function of (seed, step) alone. With `health` a step
    that is not sound gives the state back as it was, but for `state.health`.
    """
    model, optimizer, partitioner = (
        factory.model,
        factory.optimizer,
        factory.partitioner,
    )

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        dropout_key = jax.random.fold_in(jax.random.key(seed), state.step)

        def loss_of(parameters: Any) -> tuple[Array, Metrics]:
            with partitioner.activations():
                logits = transformer.apply(model, parameters, batch, dropout_key=dropout_key)
            return compute_loss(logits, batch, loss, training=True)

        (value, metrics), gradients = jax.value_and_grad(loss_of, has_aux=True)(state.parameters)
        metrics |= _counts(batch) | {"loss": value}
        updates, slots = optimizer.update(gradients, state.optimizer_state, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        next_state = TrainState(state.step + 1, parameters, slots, state.health)
        if health is None:
            return next_state, metrics
        is_bad, known = judge(
            state.health,
            step=state.step,
            loss_per_token=metrics["loss_sum"] / jnp.maximum(metrics["weight_sum"], 1.0),
            gradient_norm=optax.tree.norm(gradients),
            config=health,
        )
        chosen = select(is_bad, state, next_state)
        return dataclasses.replace(chosen, health=known), metrics_of(is_bad, metrics)

    return jax.jit(
        step,
        in_shardings=(factory.shardings, partitioner.batch_sharding),
        out_shardings=(factory.shardings, partitioner.sharding(())),
        donate_argnums=0,
    )


def make_eval_step(factory: StateFactory, loss: LossConfig) -> Callable[[Any, Batch], Metrics]:
    """A function of parameters and a global batch: sums of metrics, without dropout or z-loss."""
    partitioner = factory.partitioner

    def step(parameters: Any, batch: Batch) -> Metrics:
        with partitioner.activations():
            logits = transformer.apply(factory.model, parameters, batch)
        value, metrics = compute_loss(logits, batch, loss, training=False)
        return metrics | _counts(batch) | {"loss": value}

    return jax.jit(
        step,
        in_shardings=(factory.shardings.parameters, partitioner.batch_sharding),
        out_shardings=partitioner.sharding(()),
    )


def _counts(batch: Batch) -> Metrics:
    """Steps, rows, positions and real tokens, so that speeds and padding follow from sums."""
    counts = {
        "steps": jnp.float32(1),
        "rows": jnp.float32(len(batch["decoder_target_tokens"])),
    }
    for feature in ("encoder_input_tokens", "decoder_target_tokens"):
        if feature in batch:
            counts[f"positions/{feature}"] = jnp.float32(batch[feature].size)
            counts[f"tokens/{feature}"] = jnp.sum(batch[feature] > 0).astype(jnp.float32)
    return counts
