"""gin/compression: one file behind a model and a recipe, for every architecture."""

import pytest

from t5x_lite import config as gin_config
from t5x_lite.compression.pruning_config import PruningConfig, PruningMethod
from t5x_lite.compression.sparsities import check_length, share_after
from t5x_lite.losses.config import LossConfig, MatchTeacherConfig
from t5x_lite.optim.schedules import make_schedule
from t5x_lite.training.config import TrainConfig

MODELS = [
    ("models/bert/base.gin", "recipes/encoder_pretrain.gin"),
    ("models/bert/large.gin", "recipes/encoder_pretrain_pairs.gin"),
    ("models/distilbert/base.gin", "recipes/encoder_pretrain.gin"),
    ("models/albert/base.gin", "recipes/encoder_pretrain.gin"),
    ("models/xlnet/base.gin", "recipes/encoder_pretrain.gin"),
    ("models/t5_1_1/small.gin", "recipes/pretrain.gin"),
    ("models/t5_1_1/small.gin", "recipes/finetune.gin"),
    ("models/gpt2/small.gin", "recipes/pretrain.gin"),
]
NEEDED = (
    "MODEL_DIR=run",
    "MIXTURE_OR_TASK_NAME=unused",
    "TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 8}",
    "TRAIN_STEPS=100_000",
    "INITIAL_CHECKPOINT_PATH=trained",
)


def job_of(files, *overrides):
    given = [("--gin", each) for each in (*NEEDED, *overrides)]
    return gin_config.resolve(TrainConfig, files, overrides=given).config


@pytest.mark.parametrize(("model", "recipe"), MODELS)
def test_the_paper_s_pruning_is_one_file(model, recipe):
    """90 % by half of 100,000 steps, the rate rewound until then; and a teacher is one more."""
    job = job_of([model, recipe, "compression/prune.gin"], "LEARNING_RATE=0.0001")
    assert job.pruning == PruningConfig(sparsity=0.9, end_step=50_000, update_period=1000)
    check_length(job.pruning, job.train_steps)
    schedule = make_schedule(job.learning_rate)
    rates = [
        float(schedule(step)) / 0.0001 for step in (500, 1000, 30_999, 31_000, 75_000, 100_000)
    ]
    assert rates == pytest.approx([0.495, 1, 0.98002, 1, 0.5, 0], abs=1e-5)
    assert not job.restore.optimizer
    assert job.teacher_path is None
    files = [model, recipe, "compression/prune.gin", "compression/teacher.gin"]
    taught = job_of(files, "LEARNING_RATE=0.0001")
    assert taught.teacher_path == "trained"
    tokens, teacher = taught.loss
    assert (type(tokens), tokens.weight) == (LossConfig, 0.5)
    assert teacher == MatchTeacherConfig(weight=0.5, temperature=2.0)


def test_the_rate_is_one_s_own_choice():
    """That of the recipe belongs to the recipe's schedule: T5's is a factor of 1."""
    with pytest.raises(ValueError, match="LEARNING_RATE has no value"):
        job_of(["models/t5_1_1/small.gin", "recipes/pretrain.gin", "compression/prune.gin"])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("one_shot", PruningConfig(method=PruningMethod.ONE_SHOT, sparsity=0.9)),
        ("lock", PruningConfig(method=PruningMethod.LOCKED)),
    ],
)
def test_other_ways_leave_the_recipe_s_schedule(name, expected):
    files = ["models/t5_1_1/small.gin", "recipes/finetune.gin"]
    job, plain = job_of([*files, f"compression/{name}.gin"]), job_of(files)
    assert job.pruning == expected
    assert job.learning_rate == plain.learning_rate
    assert plain.pruning is None


def test_two_of_four_is_half():
    job = job_of(
        ["models/bert/base.gin", "recipes/encoder_pretrain.gin", "compression/prune_2_4.gin"],
        "LEARNING_RATE=0.0001",
    )
    assert job.pruning.group == (2, 4)
    assert share_after(job.pruning, 50_000) == 0.5
