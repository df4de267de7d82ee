"""What happens beside training, each hook by itself."""

import dataclasses
import math

import jax.numpy as jnp
import pytest

from t5x_lite.training import hooks, stopwatch
from t5x_lite.training.state import TrainState
from t5x_lite.training.stopwatch import Stopwatch
from t5x_lite.training.writers import ScalarWriter

VOCABULARY = 128
STATE = TrainState(step=0, parameters={}, optimizer_state={"step": 1})


def step_metrics(loss: float) -> dict:
    """Sums of one step over ten target tokens."""
    return {
        "steps": jnp.float32(1),
        "rows": jnp.float32(2),
        "loss": jnp.float32(loss),
        "term": jnp.float32(loss),
        "loss_sum": jnp.float32(10 * loss),
        "cross_entropy_sum": jnp.float32(10 * loss),
        "z_loss_sum": jnp.float32(0),
        "correct_sum": jnp.float32(5),
        "weight_sum": jnp.float32(10),
        "positions/decoder_target_tokens": jnp.float32(16),
        "tokens/decoder_target_tokens": jnp.float32(10),
    }


@pytest.mark.parametrize(
    ("loss", "warns"),
    [
        (math.log(VOCABULARY), False),
        (2.1 * math.log(VOCABULARY), True),
        (0.4 * math.log(VOCABULARY), True),
    ],
)
def test_a_first_loss_far_from_ln_of_the_vocabulary_is_a_warning(loss, warns, capsys):
    """More than twice or less than half: the head is initialized wrongly, or targets leak."""
    hooks.FirstLoss(VOCABULARY).after_step(1, STATE, step_metrics(loss))
    printed = capsys.readouterr().out
    assert f"loss at step 0: {loss:.3f}, ln(vocabulary) = 4.852" in printed
    assert ("WARNING" in printed) == warns


def test_later_losses_are_no_first_losses(capsys):
    """They may be anything."""
    hooks.FirstLoss(VOCABULARY).after_step(2, STATE, step_metrics(0.01))
    assert not capsys.readouterr().out


def test_a_first_step_that_was_left_out_has_no_loss(capsys):
    """A run that skips its first batch goes on."""
    hooks.FirstLoss(VOCABULARY).after_step(1, STATE, {})
    assert not capsys.readouterr().out


def test_a_loss_that_tells_no_tokens_is_not_compared(capsys):
    """Where classes, numbers or replaced tokens are learned, ln(vocabulary) means nothing."""
    sums = {name: value for name, value in step_metrics(1.0).items() if "cross" not in name}
    hooks.FirstLoss(VOCABULARY).after_step(1, STATE, sums)
    assert not capsys.readouterr().out


class Recorder(ScalarWriter):
    """A writer that remembers."""

    def __init__(self):
        self.written = {}

    def write(self, step, scalars):
        """Keeps the scalars of a step."""
        self.written[step] = scalars

    def close(self):
        """Has nothing to close."""


def test_the_log_averages_over_its_period_and_never_skips_the_last_step():
    """Steps 1 to 5 in periods of two: reports at 2, 4 and, because it is the last, 5."""
    writer = Recorder()
    log = hooks.Log(
        writer,
        Stopwatch(),
        period=2,
        first_step=0,
        last_step=5,
        learning_rate=lambda step: jnp.float32(step),
    )
    for step in range(1, 6):
        state = dataclasses.replace(STATE, optimizer_state={"step": step})
        log.after_step(step, state, step_metrics(float(step)))
    log.close()
    assert {step: scalars["loss_per_token"] for step, scalars in writer.written.items()} == {
        2: pytest.approx(1.5),
        4: pytest.approx(3.5),
        5: pytest.approx(5.0),
    }
    # The update of step 4 was made with the rate of three steps done.
    assert writer.written[4]["learning_rate"] == 3.0
    assert "timing/compilation_seconds" in writer.written[2]
    assert "timing/compilation_seconds" not in writer.written[4]


def test_a_report_of_a_single_step_that_counted_has_a_speed():
    """The step behind compilation was unhealthy, and speeds are divided by."""
    writer = Recorder()
    log = hooks.Log(
        writer,
        Stopwatch(),
        period=2,
        first_step=0,
        last_step=2,
        learning_rate=lambda step: jnp.float32(step),
    )
    log.after_step(1, STATE, step_metrics(1.0))
    nothing = {name: 0 * value for name, value in step_metrics(1.0).items()}
    log.after_step(2, STATE, nothing)
    assert writer.written[2]["timing/steps_per_second"] > 0


def test_a_pause_is_no_training_time(monkeypatch):
    """An evaluation of 100 seconds between two steps does not make the steps slow."""
    now = [0.0]
    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: now[0])
    watch = Stopwatch()
    now[0] += 3.0
    with watch.paused():
        now[0] += 100.0
    now[0] += 2.0
    assert watch.seconds() == 5.0
    watch.lap()
    assert watch.seconds() == 0.0
