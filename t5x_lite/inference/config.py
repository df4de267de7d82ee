"""An inference job as one frozen value (no JAX)."""

import dataclasses

from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """What it takes to decode a task's examples: evaluation and inference have it in common.

    `checkpoint_path` is a checkpoint, a model directory (then its newest) or a Hugging Face
    directory; `num_examples` None means all of the split.
    """

    checkpoint_path: str
    output_dir: str
    model: ModelConfig
    dataset: DatasetConfig
    decoding: DecodingConfig
    partitioning: PartitioningConfig
    num_examples: int | None = None
    compilation_cache: bool = True


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferConfig(PredictionConfig):
    """Everything `t5x_lite infer` needs."""
