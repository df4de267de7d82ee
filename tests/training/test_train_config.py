"""A training job from its macros, and what it refuses before JAX is loaded."""

import dataclasses

import pytest

from t5x_lite import config as gin_config
from t5x_lite.optim.config import ParameterGroup
from t5x_lite.training.config import ProfileConfig, TrainConfig

FILES = ["models/t5_1_0/tiny.gin", "recipes/pretrain.gin"]
NEEDED = [
    "MODEL_DIR=run",
    "MIXTURE_OR_TASK_NAME=task",
    "TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 8}",
    "TRAIN_STEPS=10",
    "VOCAB_SIZE=384",
]


def resolved(*bindings):
    """The job of a command line."""
    overrides = [(f"--gin.{each}", each) for each in (*NEEDED, *bindings)]
    return gin_config.resolve(TrainConfig, FILES, overrides=overrides)


def test_the_macros_of_the_step_reach_it():
    """Groups are references, each with a scope of its own; the first of the list comes first."""
    found = resolved(
        "NUM_MICROBATCHES=4",
        "CLIP_GRADIENT_NORM=1",
        "LOG_WEIGHT_METRICS=True",
        "PROFILE_START_STEP=7",
        "PROFILE_STEPS=3",
        "PARAMETER_GROUPS=(@head/ParameterGroup(), @rest/ParameterGroup())",
        "head/ParameterGroup.pattern=decoder/.*",
        "head/ParameterGroup.layers=(0, 1)",
        "head/ParameterGroup.learning_rate=2",
        "rest/ParameterGroup.pattern=encoder/.*",
        "rest/ParameterGroup.frozen=True",
    ).config
    assert (found.num_microbatches, found.clip_gradient_norm) == (4, 1)
    assert found.log_weight_metrics
    assert found.profile == ProfileConfig(start_step=7, num_steps=3)
    assert found.parameter_groups == (
        ParameterGroup(pattern="decoder/.*", layers=(0, 1), learning_rate=2.0),
        ParameterGroup(pattern="encoder/.*", frozen=True),
    )


def test_by_default_the_step_is_plain():
    """One pass, gradients as they are, all parameters alike, no profile."""
    found = resolved().config
    plain = TrainConfig(
        **{
            field.name: getattr(found, field.name)
            for field in dataclasses.fields(TrainConfig)
            if field.default is dataclasses.MISSING or field.name.startswith("train_steps")
        }
    )
    for name in (
        "num_microbatches",
        "clip_gradient_norm",
        "log_weight_metrics",
        "parameter_groups",
        "profile",
    ):
        assert getattr(found, name) == getattr(plain, name), name


@pytest.mark.parametrize(
    ("binding", "expected"),
    [
        ("NUM_MICROBATCHES=0", "num_microbatches=0: needed is at least 1"),
        ("CLIP_GRADIENT_NORM=0.0", "clip_gradient_norm=0.0: needed is more than 0"),
        ("PROFILE_STEPS=0", "--gin.PROFILE_STEPS"),
        ("PARAMETER_GROUPS=(@head/ParameterGroup(),)", "ParameterGroup.pattern has no value"),
    ],
)
def test_values_that_cannot_be_meant_are_refused(binding, expected):
    """With the macro to change."""
    with pytest.raises(gin_config.ConfigError, match=expected):
        resolved(binding)
