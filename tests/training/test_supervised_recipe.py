"""gin/recipes/supervised.gin: a task with targets and no checkpoint."""

import itertools
import json
import pathlib

import numpy as np
import pytest

from t5x_lite import cli, config
from t5x_lite.optim.schedules import make_schedule
from t5x_lite.training.config import TrainConfig

GIN = pathlib.Path(config.packaged_root())
RECIPE = "recipes/supervised.gin"
NEEDED = [
    "MIXTURE_OR_TASK_NAME=toy_class",
    "TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 8}",
    "MODEL_DIR=/runs/one",
]
STEPS = 150
TOY = [
    "--gin_file=models/t5_1_0/tiny.gin",
    f"--gin_file={RECIPE}",
    "--gin.VOCAB_SIZE=384",
    "--gin.BATCH_SIZE=8",
    f"--gin.TRAIN_STEPS={STEPS}",
    "--gin.EVAL_PERIOD=10",
    f"--gin.CHECKPOINT_PERIOD={STEPS}",
    "--gin.EVAL_STEPS=0",
    "--gin.MAX_DECODE_LENGTH=6",
    "--gin.COMPILATION_CACHE=False",
]
FAMILIES = sorted(path.parent.name for path in GIN.glob("models/*/small.gin"))
# A denoiser has a loss of its own: recipes/sundae.gin.
ARCHITECTURES = sorted(
    {path.stem for path in GIN.glob("models/architectures/*.gin")} - {"denoiser"}
)
MODELS = [f"models/{family}/small.gin" for family in FAMILIES]


def resolve(*flags, models=("models/t5_1_0/mini.gin",), recipe=RECIPE) -> TrainConfig:
    """The job of a recipe."""
    overrides = [(f"--gin.{flag}", flag) for flag in (*NEEDED, *flags)]
    return config.resolve(TrainConfig, [*models, recipe], overrides=overrides).config


@pytest.mark.parametrize(
    "models",
    [[model] for model in MODELS]
    + [["models/t5_1_1/small.gin", f"models/architectures/{name}.gin"] for name in ARCHITECTURES],
    ids=[*FAMILIES, *ARCHITECTURES],
)
def test_every_model_starts_from_scratch_decodes_scores_and_keeps_the_best(models):
    """With dropout, and what is scored best is saved at the time."""
    job = resolve("TRAIN_STEPS=1000", "EVAL_PERIOD=30", models=models)
    assert job.restore.path is None
    assert job.infer_eval_dataset is not None and not job.infer_eval_dataset.pack
    assert job.model.dropout_rate == 0.1
    assert (job.infer_eval_period or job.eval_period) == job.checkpoints.period == 30
    assert job.checkpoints.keep_best == 1


@pytest.mark.parametrize("steps", [2, 7, 100, 123_456])
def test_the_learning_rate_rises_once_and_ends_at_zero(steps):
    """However few or many steps there are: from zero, one peak, to zero."""
    schedule = make_schedule(resolve(f"TRAIN_STEPS={steps}").learning_rate)
    rates = np.array([schedule(step) for step in range(0, steps + 1, max(1, steps // 100))])
    rates = np.append(rates, schedule(steps))
    assert rates[0] == rates[-1] == 0.0
    assert np.isfinite(rates).all() and rates.max() > 0.0
    peak = int(rates.argmax())
    assert (np.diff(rates[: peak + 1]) >= 0).all() and (np.diff(rates[peak:]) <= 0).all()


def test_a_run_without_a_known_end_is_refused_before_anything_starts():
    """TRAIN_STEPS_RELATIVE does not say where the decay ends."""
    with pytest.raises(config.ConfigError, match="total_steps=None.*--gin.TRAIN_STEPS=") as error:
        resolve("TRAIN_STEPS_RELATIVE=1000")
    assert "TRAIN_STEPS_RELATIVE is no such step" in str(error.value)


def test_a_warm_up_longer_than_the_run_is_refused():
    """It names both flags."""
    with pytest.raises(config.ConfigError, match="total_steps=50.*above 100") as error:
        resolve("TRAIN_STEPS=50", "WARMUP_STEPS=100")
    assert "--gin.WARMUP_STEPS=" in str(error.value) and "--gin.TRAIN_STEPS=" in str(error.value)


def test_one_flag_names_the_split_of_both_evaluations():
    """A task may have no validation split."""
    job = resolve("TRAIN_STEPS=10", "EVAL_SPLIT=test")
    assert (job.eval_dataset.split, job.infer_eval_dataset.split) == ("test", "test")


def test_a_fine_tuning_without_a_checkpoint_is_shown_the_recipe_for_that():
    with pytest.raises(config.ConfigError, match=r"INITIAL_CHECKPOINT_PATH has.*supervised\.gin"):
        resolve("TRAIN_STEPS=10", recipe="recipes/finetune.gin")


@pytest.mark.slow
def test_late_evaluations_agree_with_each_other(tmp_path, monkeypatch):
    """Since the learning rate ends at zero, the model changes less and less: a classifier that is
    separable is learned, and over the last fifth of the steps hardly an answer changes.
    """
    monkeypatch.chdir(pathlib.Path(__file__).parent)
    flags = ["--module_import=toy_tasks", f"--gin.MODEL_DIR={tmp_path}", *TOY]
    assert cli.main(["train", *(f"--gin.{flag}" for flag in NEEDED), *flags]) == 0
    answers = {step: predictions(tmp_path, step) for step in range(10, STEPS + 1, 10)}
    targets = predictions(tmp_path, STEPS, "target")
    last = answers[STEPS]
    assert share_equal(last, targets) >= 0.9
    assert set(last) == {"yes", "no"}
    late = [answers[step] for step in answers if step >= 0.8 * STEPS]
    assert len(late) >= 3
    for before, after in itertools.pairwise(late):
        assert share_equal(before, after) >= 0.9


def predictions(model_dir: pathlib.Path, step: int, field: str = "prediction") -> list[str]:
    """What was decoded at a step, in the order of the examples."""
    file = model_dir / "inference_eval" / f"toy_class-{step:06}.jsonl"
    return [json.loads(line)[field] for line in file.read_text().splitlines()]


def share_equal(first: list[str], second: list[str]) -> float:
    """How many answers are the same."""
    return float(np.mean([a == b for a, b in zip(first, second, strict=True)]))
