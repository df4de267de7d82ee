"""Lion: steps of one size, signs of a mean of gradients. Its rule is optax's, in table.py."""

import dataclasses

from t5x_lite.bounds import BELOW_ONE, FINITE, check_bounds
from t5x_lite.optim.config import OptimizerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class LionConfig(OptimizerConfig):
    """Lion (Chen et al. 2023, algorithm 2): half of Adam's memory.

    Each number moves by the learning rate, so that is to be 3 to 10 times smaller than AdamW's, and
    the weight decay as many times larger (section 5).
    """

    beta_1: float = 0.9
    beta_2: float = 0.99
    weight_decay: float = 0.1

    def __post_init__(self) -> None:
        check_bounds(
            self,
            beta_1=(0.0, BELOW_ONE),
            beta_2=(0.0, BELOW_ONE),
            weight_decay=(0.0, FINITE),
        )
