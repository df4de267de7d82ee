"""Each file of gin/compression behind each model and recipe that it is for: terms and weights."""

import pytest

from t5x_lite import config as gin_config
from t5x_lite.config.errors import ConfigError
from t5x_lite.losses.config import (
    ClassesLossConfig,
    LossConfig,
    MatchTeacherConfig,
    RegressionLossConfig,
)
from t5x_lite.losses.states_config import (
    MatchDirectionConfig,
    MatchInputConfig,
    MatchScoresConfig,
    MatchStatesConfig,
)
from t5x_lite.training.config import TrainConfig

NEEDED = {
    "MODEL_DIR": "'run'",
    "MIXTURE_OR_TASK_NAME": "'task'",
    "TASK_FEATURE_LENGTHS": "{'inputs': 8, 'targets': 8}",
    "TRAIN_STEPS": "100",
    "TEACHER_PATH": "'teacher'",
}
PRETRAINING = {"DECAY_STEPS": "100", "WARMUP_STEPS": "10"}
FINETUNING = {"INITIAL_CHECKPOINT_PATH": "'student'"}


def job(*files, **macros):
    given = [(f"--gin.{name}", f"{name}={value}") for name, value in (NEEDED | macros).items()]
    return gin_config.resolve(TrainConfig, files, overrides=given).config


@pytest.mark.parametrize(
    "model",
    [
        ["models/t5_1_1/small.gin"],
        ["models/t5_1_0/base.gin", "models/architectures/half_depth.gin"],
        ["models/t5_1_0/base.gin", "models/architectures/shared.gin"],
        ["models/t5_1_0/base.gin", "models/architectures/lm.gin"],
        ["models/t5_1_0/base.gin", "models/architectures/prefix_lm.gin"],
        ["models/gpt2/small.gin"],
    ],
    ids=lambda files: files[-1],
)
def test_every_architecture_learns_word_by_word(model):
    """Beside its own targets; both have the weight 1."""
    found = job(*model, "recipes/pretrain.gin", "compression/distil.gin")
    terms = {type(term): term.weight for term in found.loss}
    assert terms == {LossConfig: 1.0, MatchTeacherConfig: 1.0}
    assert found.teacher_path == "teacher" and found.model.projections is None


@pytest.mark.parametrize(
    ("recipe", "loss", "head"),
    [
        ("classes", ClassesLossConfig, "classes"),
        ("values", RegressionLossConfig, "regression"),
    ],
)
def test_examples_are_matched_by_their_head(recipe, loss, head):
    found = job(
        "models/bert/base.gin",
        f"recipes/encoder_{recipe}.gin",
        "compression/distil.gin",
        **FINETUNING,
        DATA_LOSS=f"@{loss.__name__}()",
        TEACHER_HEAD=f"'{head}'",
    )
    assert [type(term) for term in found.loss] == [loss, MatchTeacherConfig]
    assert found.loss[1].head == head


def test_distilbert_is_5_2_and_1():
    """Sanh et al. (2019), released code: temperature 2."""
    files = ["models/distilbert/base.gin", "recipes/encoder_pretrain.gin"]
    found = job(*files, "compression/distilbert.gin", **PRETRAINING)
    weights = {type(term): term.weight for term in found.loss}
    assert weights == {LossConfig: 2.0, MatchTeacherConfig: 5.0, MatchDirectionConfig: 1.0}
    assert found.loss[1].temperature == 2.0


@pytest.mark.parametrize("recipe", ["encoder_pretrain", "encoder_classes"])
def test_tinybert_learns_inside_before_and_on_a_task(recipe):
    """Through matrices to the teacher's width, without a target."""
    macros = PRETRAINING if recipe == "encoder_pretrain" else FINETUNING
    files = ["models/tinybert/4.gin", f"recipes/{recipe}.gin"]
    files.append("compression/tinybert_intermediate.gin")
    found = job(*files, **macros, TEACHER_WIDTH="768", TEACHER_LAYERS="(3, 6, 9, 12)")
    assert [type(term) for term in found.loss] == [
        MatchInputConfig,
        MatchStatesConfig,
        MatchScoresConfig,
    ]
    assert found.model.projections.width == 768 and found.model.kept.projections is None
    assert {term.teacher_layers for term in found.loss[1:]} == {(3, 6, 9, 12)}
    with pytest.raises(ConfigError, match="TEACHER_WIDTH"):
        job(*files, **macros)


def test_tinybert_learns_classes_softly():
    files = ["models/tinybert/4.gin", "recipes/encoder_classes.gin"]
    found = job(*files, "compression/tinybert_prediction.gin", **FINETUNING)
    assert found.loss == (MatchTeacherConfig(head="classes"),)
    assert found.learning_rate.base_learning_rate == 3e-5
