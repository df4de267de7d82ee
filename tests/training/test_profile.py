"""The profiler's window."""

import jax.numpy as jnp
import pytest
from etils import epath

from t5x_lite.training import profile, stopwatch
from t5x_lite.training.config import ProfileConfig
from t5x_lite.training.profile import Profile
from t5x_lite.training.state import TrainState
from t5x_lite.training.stopwatch import Stopwatch

STATE = TrainState(step=0, parameters={}, optimizer_state={})


@pytest.fixture
def calls(monkeypatch):
    """What the profiler is told, instead of doing it."""
    told = []
    monkeypatch.setattr(profile.jax.profiler, "start_trace", lambda folder: told.append("start"))
    monkeypatch.setattr(profile.jax.profiler, "stop_trace", lambda: told.append("stop"))
    return told


@pytest.mark.parametrize(
    ("start_step", "first_step", "traced"),
    [
        (5, 0, [5, 6, 7]),
        (1, 0, [2, 3, 4]),  # step 1 compiles
        (5, 6, [8, 9, 10]),  # a run that continues within the window: so does step 7
        (5, 7, []),
        (19, 0, [19, 20]),
        (None, 0, []),
    ],
)
def test_the_steps_of_the_window_are_traced(calls, tmp_path, start_step, first_step, traced):
    """Three steps, never the one that compiles, none twice, and the end of a run closes it."""
    config = ProfileConfig(start_step=start_step, num_steps=3)
    hook = Profile(config, epath.Path(tmp_path), Stopwatch(), first_step=first_step)
    found = []
    for step in range(first_step + 1, 21):
        if calls and calls[-1] == "start":
            found.append(step)
        hook.after_step(step, STATE, {"loss": jnp.float32(0)})
    hook.close()
    assert found == traced
    assert calls == (["start", "stop"] if traced else [])


def test_writing_a_trace_is_no_training_time(monkeypatch, tmp_path):
    """It takes as long as many steps."""
    now = [0.0]

    def write():
        now[0] += 15.0

    monkeypatch.setattr(stopwatch.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(profile.jax.profiler, "start_trace", lambda folder: None)
    monkeypatch.setattr(profile.jax.profiler, "stop_trace", write)
    watch = Stopwatch()
    config = ProfileConfig(start_step=2, num_steps=1)
    hook = Profile(config, epath.Path(tmp_path), watch, first_step=0)
    for step in range(1, 4):
        now[0] += 1.0
        hook.after_step(step, STATE, {"loss": jnp.float32(0)})
    assert now[0] == 18.0
    assert watch.seconds() == 3.0


def test_a_trace_is_on_disk(tmp_path):
    """With the real profiler."""
    folder = epath.Path(tmp_path) / "profile"
    hook = Profile(ProfileConfig(start_step=2, num_steps=1), folder, Stopwatch(), first_step=0)
    for step in range(1, 4):
        hook.after_step(step, STATE, {"loss": jnp.float32(step) * 2})
    hook.close()
    assert list(tmp_path.rglob("*.xplane.pb"))
