"""Training on batches that grow."""

import dataclasses

import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.checkpoints.config import RestoreCheckpointConfig
from t5x_lite.data.config import BatchRampConfig
from t5x_lite.data.ramp import Ramp, Stage, make_ramp
from t5x_lite.errors import UserError
from t5x_lite.optim.config import ScheduleConfig
from t5x_lite.optim.schedules import make_schedule
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.ramped_schedule import schedule_over

RAMP = Ramp((Stage(0, 4), Stage(2, 8), Stage(5, 16)))
SCHEDULE = ScheduleConfig(
    factors="constant * linear_warmup * cosine_decay",
    base_learning_rate=0.5,
    warmup_steps=3,
    total_steps=40,
    minimum_factor=0.1,
)


def test_the_learning_rate_goes_by_rows():
    """Of each step as of so many whole batches; GPT-3's ends at a tenth."""
    of_step, of_whole_batches = schedule_over(SCHEDULE, RAMP), make_schedule(SCHEDULE)
    for step in range(60):
        whole = RAMP.rows_of_first(step) / 16
        np.testing.assert_allclose(of_step(step), of_whole_batches(whole), rtol=1e-6)
    assert of_step(60) == np.float32(0.05)


def test_without_a_ramp_it_is_the_schedule_itself():
    of_step = schedule_over(SCHEDULE, Ramp((Stage(0, 16),)))
    assert [of_step(step) for step in range(60)] == [*map(make_schedule(SCHEDULE), range(60))]


def test_a_ramp_begins_with_step_0(job):
    growing = dataclasses.replace(
        job.dataset, batch_ramp=BatchRampConfig(start=1, increment=1, rows=4)
    )
    with pytest.raises(UserError, match="batch_ramp with restore.path='old', which brings a step"):
        dataclasses.replace(job, dataset=growing, restore=RestoreCheckpointConfig(path="old"))


@pytest.mark.parametrize("size", ["small", "medium", "large", "xl", "2_7b", "6_7b", "13b", "175b"])
def test_gpt_3_s_runs_are_the_paper_s(size):
    """Brown et al. (2020), table 2.1 and appendix B: tokens of a batch as printed, to 5 %, and of
    warm-up, cosine and run, to a batch.
    """
    batch, rate = {
        "small": (0.5, 6e-4),
        "medium": (0.5, 3e-4),
        "large": (0.5, 2.5e-4),
        "xl": (1, 2e-4),
        "2_7b": (1, 1.6e-4),
        "6_7b": (2, 1.2e-4),
        "13b": (2, 1e-4),
        "175b": (3.2, 0.6e-4),
    }[size]
    flags = [("--gin", 'MODEL_DIR="run"')]
    job = gin_config.resolve(TrainConfig, [f"runs/gpt3/{size}.gin"], overrides=flags).config
    tokens = job.dataset.batch_size * 2048
    assert tokens == pytest.approx(batch * 1e6, rel=0.05)
    schedule, optimizer, ramp = job.learning_rate, job.optimizer, make_ramp(job.dataset)
    assert schedule.base_learning_rate == rate and schedule.minimum_factor == 0.1
    assert abs(schedule.warmup_steps * tokens - 375e6) < tokens
    assert abs(schedule.total_steps * tokens - 260e9) < tokens
    assert abs(ramp.rows_of_first(job.train_steps) * 2048 - 300e9) < tokens
    grown = ramp.rows_of_first(ramp.stages[-1].first) * 2048
    assert 4e9 <= grown <= 12.1e9 and ramp.stages[0].rows * 2048 == 2**15
    assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.9, 0.95, 1e-8)
    assert optimizer.weight_decay == 0.1 and job.clip_gradient_norm == 1.0
    assert job.model.decoder.max_length == 2048 and job.model.dropout_rate == 0.0
