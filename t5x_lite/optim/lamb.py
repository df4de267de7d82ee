"""LAMB: Adam for large batches. Its rule is optax's, in table.py."""

import dataclasses

from t5x_lite.bounds import BELOW_ONE, FINITE, POSITIVE, check_bounds
from t5x_lite.optim.config import OptimizerConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class LambConfig(OptimizerConfig):
    """LAMB (You et al. 2020, algorithm 2): AdamW's step, made as long as the layer's tensor.

    So the learning rate is the share of its own size by which a tensor moves. The step has its
    weight decay already when it is measured; where it or the tensor is zero it stays as it is.
    """

    beta_1: float = 0.9
    beta_2: float = 0.999
    epsilon: float = 1e-6
    weight_decay: float = 0.01

    def __post_init__(self) -> None:
        check_bounds(
            self,
            beta_1=(0.0, BELOW_ONE),
            beta_2=(0.0, BELOW_ONE),
            epsilon=(POSITIVE, FINITE),
            weight_decay=(0.0, FINITE),
        )
