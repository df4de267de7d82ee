"""An evaluation job as one frozen value (no JAX)."""

import dataclasses

from t5x_lite.data.config import DatasetConfig
from t5x_lite.inference.config import PredictionConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig(PredictionConfig):
    """Everything `t5x_lite eval` needs."""

    dataset: DatasetConfig
