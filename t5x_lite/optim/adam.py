"""Adam (Kingma and Ba 2015): optax's, for one layer at a time.

The W of AdamW, decoupled weight decay, is added in optimizer.py, as it is to Adafactor.
"""

import optax
from jaxtyping import Array, Int

from t5x_lite.optim.config import AdamWConfig
from t5x_lite.optim.per_layer import Axes
from t5x_lite.optim.slots import Rule, Slots, Tensor


def adam(config: AdamWConfig) -> Rule:
    """The slots `mu` and `nu` are as large as the parameter."""
    optax_adam = optax.scale_by_adam(config.beta_1, config.beta_2, config.epsilon)

    def dimensions(shape: tuple[int, ...], axes: Axes) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("mu", "nu"), tuple(range(len(shape))))

    def update(
        gradient: Tensor, slots: Slots, count: Int[Array, ""], parameter: Tensor
    ) -> tuple[Tensor, Slots]:
        before = optax.ScaleByAdamState(count, slots["mu"], slots["nu"])
        direction, after = optax_adam.update(gradient, before, parameter)
        return direction, {"mu": after.mu, "nu": after.nu}

    return Rule(dimensions, update)
