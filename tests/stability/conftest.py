"""States so small that their step compiles in seconds."""

import pytest

from t5x_lite.optim.config import AdafactorConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.training.state import StateFactory


@pytest.fixture(scope="session")
def factory() -> StateFactory:
    """On a mesh data=4 x model=2, compiled once for all tests."""
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    return StateFactory(tiny_model(vocab_size=64), AdafactorConfig(), ScheduleConfig(), partitioner)
