"""Adam (Kingma and Ba 2015): optax's, with the state laid out as Adafactor's.

The W of AdamW, decoupled weight decay, is added in optimizer.py, as it is to Adafactor.
"""

from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from t5x_lite.optim.config import AdamWConfig


def adam(config: AdamWConfig) -> optax.GradientTransformation:
    """From gradients to directions, to be subtracted once multiplied by the learning rate.

    Each element is treated on its own, so stacked layers need no care.
    """
    optax_adam = optax.scale_by_adam(config.beta_1, config.beta_2, config.epsilon)

    def init(parameters: Any) -> dict[str, Any]:
        moments = optax_adam.init(parameters)
        return _state(moments.count, moments.mu, moments.nu)

    def update(
        gradients: Any, state: dict[str, Any], parameters: Any
    ) -> tuple[Any, dict[str, Any]]:
        step, slots = state["step"], state["param_states"]
        mu = jax.tree.map(lambda _, slot: slot["mu"], gradients, slots)
        nu = jax.tree.map(lambda _, slot: slot["nu"], gradients, slots)
        before = optax.ScaleByAdamState(step, mu, nu)
        directions, moments = optax_adam.update(gradients, before, parameters)
        return directions, _state(moments.count, moments.mu, moments.nu)

    return optax.GradientTransformation(init, update)


def _state(count: Int[Array, ""], mu: Any, nu: Any) -> dict[str, Any]:
    slots = jax.tree.map(lambda mu, nu: {"mu": mu, "nu": nu}, mu, nu)
    return {"step": jnp.asarray(count, jnp.int32), "param_states": slots}
