"""An inference job as one frozen value (no JAX)."""

import dataclasses

from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferConfig:
    """Everything `t5x_lite infer` needs; the same paths as `EvalConfig`."""

    checkpoint_path: str
    output_dir: str
    model: ModelConfig
    dataset: DatasetConfig
    decoding: DecodingConfig
    partitioning: PartitioningConfig
    num_examples: int | None = None
    compilation_cache: bool = True
