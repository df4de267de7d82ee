"""Is a training step sound? Judged on the devices at every step, without a word to the host.

A step whose loss or gradient is not finite, or whose loss leaps above its running mean, changes
nothing: parameters, slots and step stay, and `halted_at` keeps its number. All further steps leave
the state alone too, so that the host may look as late as it likes (`guard.Guard`): what it finds
then is the state before the step, to the last bit.
"""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.stability.config import HealthConfig

Health = dict[str, Array]

# The only metric of a step that did not count; all others are zero then.
UNHEALTHY_STEPS = "unhealthy_steps"


def initial() -> Health:
    """Nothing known: replicated scalars, part of every train state.

    `halted_at` is the number of the step that did not count (0: all did), `halted_loss` and
    `halted_gradient_norm` are what it was judged by; mean and variance are those of the loss per
    token, exponentially forgotten.
    """
    return {
        "halted_at": jnp.int32(0),
        "halted_loss": jnp.float32(0),
        "halted_gradient_norm": jnp.float32(0),
        "loss_mean": jnp.float32(0),
        "loss_variance": jnp.float32(0),
        "num_losses": jnp.int32(0),
    }


def judge(
    health: Health,
    *,
    step: Int[Array, ""],
    loss_per_token: Float[Array, ""],
    gradient_norm: Float[Array, ""],
    config: HealthConfig,
) -> tuple[Bool[Array, ""], Health]:
    """Whether the state must stay as it is, and what is known of the run's health from then on.

    A spike is a loss above the mean by more than `spike_margin` and by more than
    `spike_deviations` standard deviations; losses count as usual after `warmup_losses` of them.

    Args:
        step: steps done before this one.
    """
    rise = loss_per_token - health["loss_mean"]
    is_bad = ~(jnp.isfinite(loss_per_token) & jnp.isfinite(gradient_norm))
    if config.spike_deviations is not None:
        leap = config.spike_deviations * jnp.sqrt(health["loss_variance"])
        is_spike = rise > jnp.maximum(leap, config.spike_margin)
        is_bad |= is_spike & (health["num_losses"] >= config.warmup_losses)
    was_halted = blocked(health)
    halted = health | {
        "halted_at": jnp.asarray(step, jnp.int32) + 1,
        "halted_loss": loss_per_token.astype(jnp.float32),
        "halted_gradient_norm": gradient_norm.astype(jnp.float32),
    }
    judged = select(is_bad, halted, _with_loss(health, rise, config))
    return was_halted | is_bad, select(was_halted, health, judged)


def blocked(health: Health) -> Bool[Array, ""]:
    """Whether an earlier step did not count, so that none does until `clear`."""
    return health["halted_at"] > 0


def select(keep_old: Bool[Array, ""], old: Any, new: Any) -> Any:
    """One of two trees, leaf by leaf; what is not chosen may be NaN."""
    return jax.tree.map(functools.partial(jnp.where, keep_old), old, new)


def metrics_of(is_bad: Bool[Array, ""], metrics: dict[str, Array]) -> dict[str, Array]:
    """A step's metrics, all zero if it did not count, so that sums over steps hold only the
    others; `unhealthy_steps` counts it instead.
    """
    zeros = jax.tree.map(jnp.zeros_like, metrics)
    return select(is_bad, zeros, metrics) | {UNHEALTHY_STEPS: is_bad.astype(jnp.float32)}


def reason(loss: float, gradient_norm: float, *, mean: float, variance: float) -> str:
    """Why a step did not count, in words."""
    if not math.isfinite(loss):
        return f"loss is {loss}"
    if not math.isfinite(gradient_norm):
        return f"gradient norm is {gradient_norm}"
    deviation = math.sqrt(variance)
    if deviation == 0.0:
        return f"loss {loss:.4g} is above its mean {mean:.4g}, from which it never differed"
    deviations = (loss - mean) / deviation
    return f"loss {loss:.4g} is {deviations:.3g} deviations above its mean {mean:.4g}"


def clear(state: Any) -> Any:
    """The train state before the step that did not count, with which training may go on."""
    halted = {name: value for name, value in state.health.items() if name.startswith("halted")}
    return dataclasses.replace(state, health=state.health | _on_same_devices(_zeros, halted))


def pass_over(state: Any) -> Any:
    """The train state after a step that makes no update: only `step` counts it. A halted state
    stays the one before its bad step.
    """
    return dataclasses.replace(state, step=_on_same_devices(_next_step, state.step, state.health))


def _next_step(step: Int[Array, ""], known: Health) -> Int[Array, ""]:
    return step + jnp.where(blocked(known), 0, 1)


def _zeros(health: Health) -> Health:
    return jax.tree.map(jnp.zeros_like, health)


def _on_same_devices(function: Callable[..., Any], tree: Any, *others: Any) -> Any:
    """A new `tree` where the old one is; the parameters beside such scalars are not touched."""
    shardings = jax.tree.map(lambda leaf: leaf.sharding, tree)
    return jax.jit(function, out_shardings=shardings)(tree, *others)


def _with_loss(health: Health, rise: Float[Array, ""], config: HealthConfig) -> Health:
    count = health["num_losses"] + 1
    # The plain mean until `horizon` losses are there: no bias towards the zero at the beginning.
    weight = 1.0 / jnp.minimum(count, config.horizon).astype(jnp.float32)
    rise = rise.astype(jnp.float32)
    variance = (1.0 - weight) * (health["loss_variance"] + weight * jnp.square(rise))
    return health | {
        "loss_mean": health["loss_mean"] + weight * rise,
        "loss_variance": variance,
        "num_losses": count,
    }
