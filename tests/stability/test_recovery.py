"""What follows a step that did not count, from the host's side: in a loop as training has it."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from t5x_lite.stability import health, skipped
from t5x_lite.stability.config import HealthConfig, InstabilityPolicy
from t5x_lite.stability.errors import RollBack, Unhealthy
from t5x_lite.stability.guard import Event, Guard
from t5x_lite.stability.recovery import Recovery
from t5x_lite.stability.skipped import Skipped
from t5x_lite.training.state import TrainState

SKIP = HealthConfig(policy=InstabilityPolicy.SKIP, warmup_losses=3)
ROLLBACK = dataclasses.replace(SKIP, policy=InstabilityPolicy.ROLLBACK)
STOP = dataclasses.replace(SKIP, policy=InstabilityPolicy.STOP)
PERIOD, STEPS = 4, 17


@jax.jit
def toy_step(state, batch):
    """A sum of what it was fed, judged like a model."""
    value = batch["value"]
    is_bad, known = health.judge(
        state.health,
        step=state.step,
        loss_per_token=value,
        gradient_norm=jnp.float32(1),
        config=SKIP,
    )
    fed = TrainState(state.step + 1, state.parameters * 3 + value, {}, {})
    chosen = health.select(is_bad, dataclasses.replace(state, health={}), fed)
    metrics = health.metrics_of(is_bad, {"fed": value})
    return dataclasses.replace(chosen, health=known), metrics


@pytest.fixture
def model_dir(tmp_path):
    """Where a run keeps what it left out."""
    return epath.Path(tmp_path)


def toy_batches(bad, first=0):
    """Batch k of the stream is that of step k; those of the steps `bad` are NaN."""
    for step in itertools.count(first + 1):
        value = np.nan if step in bad else step % 5 / 10
        yield {"value": np.array(value, np.float32), "step": np.array(step)}


def fresh():
    return TrainState(jnp.int32(0), jnp.float32(0), {}, health.initial())


def run(model_dir, config, bad, *, saved=None, recovery=None, autopsies=None):
    """The loop: looks every PERIOD steps and saves then: the states saved, by step."""
    autopsies = [] if autopsies is None else autopsies
    recovery = recovery or Recovery(model_dir, config)
    saved = saved or {0: jax.device_get(fresh())}
    step = max(saved)
    state = jax.device_put(saved[step])
    batches, guard = toy_batches(bad, step), Guard()
    while step < STEPS:
        step += 1
        batch = guard.next(batches)
        guard.remember(step, batch)
        assert batch["step"] == step, "step k is fed batch k"
        if step in recovery.left_out:
            state = health.pass_over(state)
        else:
            state, _ = toy_step(state, {"value": batch["value"]})
        if guard.is_full or step % PERIOD == 0 or step == STEPS:
            event = guard.check(state)
            if event is not None:
                guard.feed_again(event)

                def autopsy(state, event=event):
                    autopsies.append((event, jax.device_get(state)))
                    return model_dir / f"autopsy_{event.step}"

                state = recovery.after(event, state, newest_checkpoint=max(saved), autopsy=autopsy)
                step = event.step
        if step % PERIOD == 0 or step == STEPS:
            saved[step] = jax.device_get(state)
    return saved


def rolling(model_dir, bad, config=ROLLBACK):
    """Restores the newest state saved whenever told to."""
    recovery, saved = Recovery(model_dir, config), {0: jax.device_get(fresh())}
    while True:
        try:
            return run(model_dir, config, bad, saved=saved, recovery=recovery)
        except RollBack as event:
            assert f"back to step {max(saved)}, leaving out step" in str(event)


def passing_over(left_out):
    """A run without mishaps that never trains on these steps."""
    state, saved = fresh(), {0: jax.device_get(fresh())}
    for step, batch in zip(range(1, STEPS + 1), toy_batches(())):
        if step in left_out:
            state = health.pass_over(state)
        else:
            state, _ = toy_step(state, {"value": batch["value"]})
        if step % PERIOD == 0 or step == STEPS:
            saved[step] = jax.device_get(state)
    return saved


def assert_same(found, expected):
    """States by step, bit for bit."""
    assert found.keys() == expected.keys()
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("bad", [{1}, {6}, {8}, {6, 7}, {5, 8, 9, 17}, set(range(1, 18))], ids=str)
def test_a_run_that_skips_is_one_that_passes_over(bad, model_dir):
    """Bit for bit at every save, wherever the bad steps lie: alone, in a row, at the look itself,
    at the very first and last step. Every other batch is trained on once.
    """
    assert_same(run(model_dir, SKIP, bad), passing_over(bad))
    assert skipped.steps_of(skipped.read(model_dir)) == bad


@pytest.mark.parametrize("bad", [{6}, {6, 7}, {9, 14}], ids=str)
def test_a_run_that_rolls_back_is_one_that_passes_over(bad, model_dir):
    """With one batch left out at a time the same as skipping."""
    final = rolling(model_dir, bad)[STEPS]
    expected = passing_over(bad)[STEPS]
    jax.tree.map(np.testing.assert_array_equal, final, expected)


def test_a_rollback_leaves_out_the_batches_before_too(model_dir):
    """As many as asked for, as far as the checkpoint lets it."""
    several = dataclasses.replace(ROLLBACK, skipped_batches=3)
    final = rolling(model_dir, {8}, several)[STEPS]
    assert skipped.read(model_dir)[0].steps == (6, 7, 8)
    expected = passing_over({6, 7, 8})[STEPS]
    jax.tree.map(np.testing.assert_array_equal, final, expected)
    event = Event(10, "loss is nan", {}, (), np.nan, 1.0)
    assert skipped.choose(event, several, newest_checkpoint=8).steps == (9, 10)


def test_a_run_started_again_leaves_out_the_same_steps(model_dir, capsys):
    """Whether or not they are bad this time, and says so."""
    run(model_dir, SKIP, {6})
    assert_same(run(model_dir, SKIP, set()), passing_over({6}))
    assert "leaves out step 6, as" in capsys.readouterr().out


def test_stopping_tells_what_to_do_and_leaves_nothing_to_skip(model_dir):
    """The state of the autopsy is the one before the step; the event has its batch."""
    autopsies = []
    with pytest.raises(Unhealthy, match=r"step 6: loss is nan") as caught:
        run(model_dir, STOP, {6, 7}, autopsies=autopsies)
    assert f"t5x_lite replay {model_dir}/autopsy_6" in str(caught.value)
    assert "--gin.ON_INSTABILITY=skip" in str(caught.value)
    ((event, state),) = autopsies
    assert (event.step, int(event.batch["step"])) == (6, 6)
    assert [int(batch["step"]) for batch in event.later_batches] == [7, 8]
    # Of steps 1 to 5, all sound: what a run of five steps holds.
    expected = fresh()
    for batch in itertools.islice(toy_batches(()), 5):
        expected, _ = toy_step(expected, {"value": batch["value"]})
    jax.tree.map(np.testing.assert_array_equal, state, jax.device_get(expected))
    assert not skipped.read(model_dir)


def test_too_many_events_stop_a_run(model_dir):
    """They are counted over restarts; each has had its autopsy."""
    few, autopsies = dataclasses.replace(SKIP, max_events=2), []
    with pytest.raises(Unhealthy, match=r"2 events were left out.*max_events=2"):
        run(model_dir, few, {3, 6, 9}, autopsies=autopsies)
    assert [event.step for event, _ in autopsies] == [3, 6, 9]
    with pytest.raises(Unhealthy, match="max_events=2"):
        run(model_dir, few, {9})


def test_a_guard_asks_to_be_looked_at_before_batches_fill_the_memory():
    """However long the period of reports is."""
    guard = Guard()
    for step in range(1, 64):
        guard.remember(step, {})
    assert not guard.is_full
    guard.remember(64, {})
    assert guard.is_full
    assert guard.check(fresh()) is None and not guard.is_full


def test_a_halted_state_is_not_passed_over():
    """A step that is left out while nobody has looked yet: the state before the bad one stays."""
    state, _ = toy_step(fresh(), {"value": np.float32(np.nan)})
    assert health.pass_over(state).step == 0


# The file.


def test_the_file_survives_a_line_half_written(model_dir):
    """By a process that was killed; the next event does not stand on its rest."""
    first, second = Skipped((3,), "loss is nan", "skip"), Skipped((5, 6), "loss 9", "rollback")
    skipped.record(model_dir, first)
    path = model_dir / "skipped_steps.jsonl"
    path.write_text(path.read_text() + '{"steps": [4')
    assert skipped.read(model_dir) == [first]
    skipped.record(model_dir, second)
    assert skipped.read(model_dir) == [first, second]
    assert [json.loads(line)["steps"] for line in path.read_text().splitlines()] == [[3], [5, 6]]


def test_a_line_that_is_no_event_is_named(model_dir):
    """With file and number."""
    skipped.record(model_dir, Skipped((3,), "loss is nan", "skip"))
    path = model_dir / "skipped_steps.jsonl"
    events = path.read_text()
    path.write_text('{"step": 4}\n' + events)
    with pytest.raises(ValueError, match=r"skipped_steps.jsonl, line 1: needed is .*'step': 4"):
        skipped.read(model_dir)
    path.write_text(events + "step 4\n")
    with pytest.raises(ValueError, match=r"skipped_steps.jsonl, line 2, is not JSON"):
        skipped.read(model_dir)
