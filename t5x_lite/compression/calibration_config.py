"""How ranges of 8 bits are found without training, as frozen values (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_COUNT, check_bounds
from t5x_lite.model.choices import Granularity
from t5x_lite.model.quantization_config import QuantizationConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class CalibrationConfig:
    """Ranges of products of 8 bits without training: the mean of what batches of the first
    `num_examples` of a task's `split` show, with weights of float32.
    """

    split: str = "train"
    num_examples: int = 256
    quantization: QuantizationConfig = dataclasses.field(
        default_factory=lambda: QuantizationConfig(granularity=Granularity.CHANNEL)
    )

    def __post_init__(self) -> None:
        check_bounds(self, num_examples=(1, MAX_COUNT))
