"""AdamW (Loshchilov and Hutter 2019): optax's, with the state laid out as Adafactor's."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from t5x_lite.optim.config import AdamWConfig


def adamw(
    config: AdamWConfig, learning_rate: Callable[[Int[Array, ""]], Float[Array, ""]]
) -> optax.GradientTransformation:
    """The transformation; each element is treated on its own, so stacked layers need no care."""
    adam = optax.scale_by_adam(config.beta_1, config.beta_2, config.epsilon)

    def init(parameters: Any) -> dict[str, Any]:
        moments = adam.init(parameters)
        return _state(moments.count, moments.mu, moments.nu)

    def update(
        gradients: Any, state: dict[str, Any], parameters: Any
    ) -> tuple[Any, dict[str, Any]]:
        step = state["step"]
        rate = learning_rate(step)
        slots = state["param_states"]
        mu = jax.tree.map(lambda _, slot: slot["mu"], gradients, slots)
        nu = jax.tree.map(lambda _, slot: slot["nu"], gradients, slots)
        scaled, moments = adam.update(gradients, optax.ScaleByAdamState(step, mu, nu), parameters)
        updates = jax.tree.map(
            lambda update, parameter: -rate * (update + config.weight_decay * parameter),
            scaled,
            parameters,
        )
        return updates, _state(moments.count, moments.mu, moments.nu)

    return optax.GradientTransformation(init, update)


def _state(count: Int[Array, ""], mu: Any, nu: Any) -> dict[str, Any]:
    slots = jax.tree.map(lambda mu, nu: {"mu": mu, "nu": nu}, mu, nu)
    return {"step": jnp.asarray(count, jnp.int32), "param_states": slots}
