"""The optimizers: a row is a config and the rule that it stands for.

Another one is a row here and the file of its config, such as lion.py, which gin files can name from
then on; mathematics of its own get a file as well, such as adafactor.py.
"""

from collections.abc import Callable, Mapping
from typing import Any

import optax

from t5x_lite.optim.adafactor import adafactor
from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, OptimizerConfig
from t5x_lite.optim.from_optax import from_optax
from t5x_lite.optim.lamb import LambConfig
from t5x_lite.optim.lion import LionConfig
from t5x_lite.optim.slots import Rule

OPTIMIZERS: Mapping[type[OptimizerConfig], Callable[[Any], Rule]] = {
    AdafactorConfig: adafactor,
    AdamWConfig: lambda c: from_optax(
        optax.scale_by_adam(c.beta_1, c.beta_2, c.epsilon), optax.ScaleByAdamState
    ),
    LambConfig: lambda c: from_optax(
        optax.scale_by_adam(c.beta_1, c.beta_2, c.epsilon),
        optax.ScaleByAdamState,
        after_decay=optax.scale_by_trust_ratio(),
    ),
    LionConfig: lambda c: from_optax(
        optax.scale_by_lion(c.beta_1, c.beta_2), optax.ScaleByLionState
    ),
}


def rule_of(config: OptimizerConfig) -> Rule:
    """What the optimizer of a config does to one layer."""
    return OPTIMIZERS[type(config)](config)
