"""A training job as one frozen value (no JAX)."""

import dataclasses
import enum

from t5x_lite.checkpoints.config import RestoreCheckpointConfig, SaveCheckpointConfig
from t5x_lite.data.config import DatasetConfig
from t5x_lite.losses.config import LossConfig
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig


class InstabilityPolicy(enum.Enum):
    """What follows a step whose loss or gradient is not finite, or whose loss leaps."""

    STOP = "stop"
    SKIP = "skip"
    ROLLBACK = "rollback"


@dataclasses.dataclass(frozen=True, kw_only=True)
class HealthConfig:
    """When a step is unhealthy, and what follows.

    It is if loss or gradient are not finite, or if the loss per token lies above its running mean
    by more than `spike_margin` nats and by more than `spike_deviations` standard deviations (None:
    spikes are let pass). Mean and deviation forget over `horizon` steps and count after
    `warmup_losses`. SKIP leaves the batch out and goes on; ROLLBACK goes on from the newest
    checkpoint and leaves out that batch and those before it, `skipped_batches` in all; either stops
    after `max_events`.
    """

    policy: InstabilityPolicy = InstabilityPolicy.STOP
    spike_deviations: float | None = 10.0
    spike_margin: float = 1.0
    warmup_losses: int = 100
    horizon: int = 100
    max_events: int = 20
    skipped_batches: int = 1

    def __post_init__(self) -> None:
        if self.spike_deviations is not None and self.spike_deviations <= 0:
            raise ValueError(
                f"spike_deviations={self.spike_deviations}: needed is more than 0, or None to let "
                "spikes pass: --gin.SPIKE_DEVIATIONS=..."
            )
        for name, least in (
            ("spike_margin", 0),
            ("warmup_losses", 1),
            ("horizon", 2),
            ("max_events", 1),
            ("skipped_batches", 1),
        ):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name}={getattr(self, name)}: needed is at least {least}: "
                    f"--gin.HealthConfig.{name}=..."
                )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything `t5x_lite train` needs; gin/recipes/train.gin fills it from the usual macros.

    `train_steps` counts from zero, also when `restore.path` brings a step along;
    `train_steps_relative` counts from the step restored there and excludes `train_steps`.
    `eval_steps` batches of `eval_dataset` are scored every `eval_period` steps.
    """

    model_dir: str
    model: ModelConfig
    dataset: DatasetConfig
    eval_dataset: DatasetConfig | None = None
    optimizer: AdafactorConfig | AdamWConfig
    learning_rate: ScheduleConfig
    loss: LossConfig
    partitioning: PartitioningConfig
    checkpoints: SaveCheckpointConfig
    restore: RestoreCheckpointConfig
    health: HealthConfig = HealthConfig()
    train_steps: int | None = None
    train_steps_relative: int | None = None
    eval_period: int = 1000
    eval_steps: int = 20
    log_period: int = 10
    random_seed: int = 0
    compilation_cache: bool = True

    def __post_init__(self) -> None:
        for name, least in (("eval_period", 1), ("eval_steps", 0), ("log_period", 1)):
            if getattr(self, name) < least:
                raise ValueError(
                    f"{name}={getattr(self, name)}: needed is at least {least}: "
                    f"--gin.{name.upper()}=... (EVAL_STEPS=0 scores no held-out examples)"
                )
        if (self.train_steps is None) == (self.train_steps_relative is None):
            raise ValueError(
                f"train_steps={self.train_steps} and train_steps_relative="
                f"{self.train_steps_relative}: give exactly one, --gin.TRAIN_STEPS=... (counted "
                "from zero) or --gin.TRAIN_STEPS_RELATIVE=... (counted from the restored step)."
            )
