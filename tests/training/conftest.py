"""A job so small that it compiles in seconds."""

import pytest

from t5x_lite.checkpoints.config import RestoreCheckpointConfig, SaveCheckpointConfig
from t5x_lite.data.config import DatasetConfig
from t5x_lite.losses.config import LossConfig
from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory


@pytest.fixture
def job(tmp_path) -> TrainConfig:
    """A training job in a temporary directory."""
    return TrainConfig(
        model_dir=str(tmp_path / "run"),
        model=tiny_model(vocab_size=64),
        dataset=DatasetConfig(mixture_or_task_name="unused", batch_size=8),
        optimizer=AdafactorConfig(),
        learning_rate=ScheduleConfig(),
        loss=(LossConfig(),),
        partitioning=PartitioningConfig(num_partitions=2),
        checkpoints=SaveCheckpointConfig(),
        restore=RestoreCheckpointConfig(),
        train_steps=10,
    )


@pytest.fixture(scope="session")
def factory() -> StateFactory:
    """The states of `job` on a mesh data=4 x model=2, compiled once for all tests."""
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    return StateFactory(tiny_model(vocab_size=64), AdafactorConfig(), ScheduleConfig(), partitioner)
