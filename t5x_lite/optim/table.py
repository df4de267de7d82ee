"""The optimizers: a row is a config and what makes its rule.

Another one is a row here and its file, such as adam.py, which gin files can name from then on.
"""

from collections.abc import Callable, Mapping
from typing import Any

from t5x_lite.optim.adafactor import adafactor
from t5x_lite.optim.adam import adam
from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, OptimizerConfig
from t5x_lite.optim.slots import Rule

OPTIMIZERS: Mapping[type[OptimizerConfig], Callable[[Any], Rule]] = {
    AdafactorConfig: adafactor,
    AdamWConfig: adam,
}


def rule_of(config: OptimizerConfig) -> Rule:
    """What the optimizer of a config does to one layer."""
    return OPTIMIZERS[type(config)](config)
