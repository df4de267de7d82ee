"""Every optimizer of the table can be named in gin and built; their base is none of them."""

import pytest

from t5x_lite import config
from t5x_lite.config.configurables import configurables, options
from t5x_lite.optim.config import OptimizerConfig
from t5x_lite.optim.table import OPTIMIZERS
from t5x_lite.training.config import TrainConfig

NEEDED = (
    "MODEL_DIR=run",
    "TRAIN_STEPS=10",
    "MIXTURE_OR_TASK_NAME=task",
    "TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 8}",
)


def optimizer_of(value):
    """Of a job to which --gin.OPTIMIZER gives a value."""
    flags = [*NEEDED, f"OPTIMIZER={value}"]
    files = ["models/t5_1_1/tiny.gin", "recipes/pretrain.gin"]
    overrides = [(f"--gin.{flag}", flag) for flag in flags]
    return config.resolve(TrainConfig, files, overrides=overrides).config.optimizer


def test_each_optimizer_has_a_row():
    assert set(OPTIMIZERS) == set(options(OptimizerConfig))


@pytest.mark.parametrize("cls", OPTIMIZERS)
def test_gin_builds_each_where_their_base_is_asked_for(cls):
    assert optimizer_of(f"@{cls.__name__}()") == cls()


def test_the_base_cannot_be_named():
    """It would train by no rule."""
    assert "OptimizerConfig" not in configurables()
    with pytest.raises(config.ConfigError, match="nothing configurable is called OptimizerConfig"):
        optimizer_of("@OptimizerConfig()")
