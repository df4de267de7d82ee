"""A save is whole or absent: a failure leaves the good checkpoints, one line, and no rubbish."""

import gc
import json
import os
import resource

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import manager, saving
from t5x_lite.checkpoints.config import SaveCheckpointConfig, SavedDtype


def make_state(step: int, size: int = 32) -> dict:
    """Random numbers, which no compression makes smaller."""
    kernel = jax.random.normal(jax.random.key(step), (size,))
    return {
        "step": jnp.int32(step),
        "parameters": {"kernel": kernel},
        "optimizer_state": 2 * kernel,
    }


def abstract(state: dict) -> dict:
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), state
    )


def open_directory(path, **changes):
    return manager.Checkpoints(path, SaveCheckpointConfig(period=1, **changes))


def save(checkpoints, step, **files):
    """Saves and says whether it is on disk."""
    checkpoints.save(step, make_state(step), manager.Description(""), files)
    return checkpoints.wait()


def names(path):
    return sorted(os.listdir(path))


def test_small_files_come_with_the_checkpoint(tmp_path):
    """The positions of the data belong to the state of the same step, so one rename shows both."""
    checkpoints = open_directory(tmp_path)
    save(checkpoints, 1, dataset={"shard_0": b"\x00\xff", "shard_1": b"b"}, vocabulary={"v": b""})
    checkpoints.close()
    folder = tmp_path / "checkpoint_1"
    assert (folder / "dataset" / "shard_0").read_bytes() == b"\x00\xff"
    assert names(folder / "dataset") == ["shard_0", "shard_1"]
    assert (folder / "vocabulary" / "v").read_bytes() == b""


def test_the_manifest_knows_every_file(tmp_path):
    """One that it does not know could be flipped in silence."""
    checkpoints = open_directory(tmp_path)
    save(checkpoints, 1, dataset={"shard_0": b"a"})
    checkpoints.close()
    folder = tmp_path / "checkpoint_1"
    manifest = json.loads((folder / "manifest.json").read_text())
    on_disk = {
        str(path.relative_to(folder)): path.stat().st_size
        for path in folder.rglob("*")
        if path.is_file() and path.name != "manifest.json"
    }
    assert {name: size for name, (size, _) in manifest["files"].items()} == on_disk
    assert checkpoints.size_of_last_save == sum(on_disk.values()) == manifest["num_bytes"]


def test_the_step_after_a_save_may_donate_the_state(tmp_path):
    """The save copies first: what is written is the state that was given."""
    checkpoints = open_directory(tmp_path)
    state = make_state(1, size=1 << 20)
    expected = jax.tree.map(np.array, state)
    checkpoints.save(1, state, manager.Description(""))
    advance = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    advance(advance(state))
    checkpoints.close()
    found = manager.restore(manager.find(tmp_path), abstract(expected))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_bfloat16_rounds_parameters_and_nothing_else(tmp_path):
    """Slots stay exact; a float32 model reads it as float32."""
    checkpoints = open_directory(tmp_path, dtype=SavedDtype.BFLOAT16)
    save(checkpoints, 1)
    checkpoints.close()
    state = make_state(1)
    found = manager.restore(manager.find(tmp_path), abstract(state))
    rounded = state["parameters"]["kernel"].astype(jnp.bfloat16).astype(jnp.float32)
    np.testing.assert_array_equal(found["parameters"]["kernel"], rounded)
    np.testing.assert_array_equal(found["optimizer_state"], state["optimizer_state"])
    assert found["parameters"]["kernel"].dtype == jnp.float32
    assert saving.num_bytes(state, SavedDtype.BFLOAT16) == 4 + 2 * 32 + 4 * 32


def test_a_full_disk_seen_beforehand_costs_one_line(tmp_path, monkeypatch, capsys):
    """Nothing is begun, all that is there stays, and the next save succeeds when there is room."""
    checkpoints = open_directory(tmp_path)
    assert save(checkpoints, 1)
    usage = saving.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(saving.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    assert not save(checkpoints, 2)
    (line,) = capsys.readouterr().out.splitlines()
    assert "checkpoint of step 2 was not written" in line
    assert "bytes are needed, 1,000 are free; the newest whole one is of step 1" in line
    assert names(tmp_path) == ["checkpoint_1"]
    monkeypatch.undo()
    assert save(checkpoints, 3)
    checkpoints.close()
    assert names(tmp_path) == ["checkpoint_1", "checkpoint_3"]


@pytest.fixture
def no_large_files():
    """From here on the system refuses files of over 100 kB, as a full disk does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
def test_a_disk_that_refuses_in_the_middle_costs_no_checkpoint(tmp_path, capsys, no_large_files):
    """The error comes out of TensorStore's threads; still one line, and nothing half written."""
    checkpoints = open_directory(tmp_path)
    assert save(checkpoints, 1)
    checkpoints.save(2, make_state(2, size=1 << 20), manager.Description(""))
    assert not checkpoints.wait()
    (line,) = capsys.readouterr().out.splitlines()
    assert "checkpoint of step 2 was not written" in line
    assert "file too large; the newest whole one is of step 1" in line
    assert names(tmp_path) == ["checkpoint_1"]
    assert save(checkpoints, 3)
    checkpoints.close()
    gc.collect()  # Orbax leaves coroutines of the failed save in cycles: their warning belongs here


def test_the_end_of_a_run_says_that_its_newest_state_is_lost(tmp_path, monkeypatch):
    """A line in the log is not enough when nothing comes after it."""
    checkpoints = open_directory(tmp_path)
    save(checkpoints, 1)
    monkeypatch.setattr(saving.manifest, "write", fail)
    checkpoints.save(2, make_state(2), manager.Description(""))
    with pytest.raises(OSError, match="step 2 was not written .*: broken; .* of step 1.* is lost"):
        checkpoints.close()
    checkpoints.close()  # said once
    assert names(tmp_path) == ["checkpoint_1"]


def fail(*arguments, **settings):
    raise RuntimeError("broken\nand a page of details")


def test_what_killed_saves_left_is_removed_at_the_start(tmp_path, capsys):
    """Ours and nothing else; it would fill the disk run by run."""
    for name in ("checkpoint_3.tmp", "checkpoint_1.deleted", "checkpoint_2.damaged", "mine.tmp"):
        (tmp_path / name / "state").mkdir(parents=True)
    open_directory(tmp_path).close()
    assert names(tmp_path) == ["checkpoint_2.damaged", "mine.tmp"]
    assert "checkpoint_1.deleted, checkpoint_3.tmp" in capsys.readouterr().out


def test_a_directory_that_cannot_be_written_is_told_at_the_start(tmp_path):
    """Below a file even root makes no folder; found before hours of training, not after."""
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"nothing can be written to .*/file/run .*--gin.MODEL_DIR"):
        open_directory(tmp_path / "file" / "run")


def test_a_checkpoint_is_due_by_steps_or_minutes(tmp_path, monkeypatch):
    """Minutes count from the last save."""
    now = [0.0]
    monkeypatch.setattr(manager.time, "monotonic", lambda: now[0])
    config = SaveCheckpointConfig(period=100, minutes=2)
    checkpoints = manager.Checkpoints(tmp_path, config)
    assert [step for step in range(1, 301) if checkpoints.due(step)] == [100, 200, 300]
    now[0] = 120.0
    assert checkpoints.due(7)
    save(checkpoints, 7)
    assert not checkpoints.due(8)
    checkpoints.close()


def test_scores_that_a_full_disk_does_not_take_end_no_run(tmp_path, monkeypatch, capsys):
    """They are said to be lost; the next ones may find room."""

    def refuse(*unused):
        raise OSError("No space left on device")

    checkpoints = open_directory(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(manager.scores_log, "append", refuse)
        checkpoints.record(1, {"task/accuracy": 1.0})
    assert "No space left" in capsys.readouterr().out
    checkpoints.record(2, {"task/accuracy": 2.0})
    assert manager.scores_log.read(tmp_path) == {2: {"task/accuracy": 2.0}}


def test_a_save_that_breaks_off_is_no_checkpoint(tmp_path, monkeypatch, capsys):
    """As when another process has died: a barrier raises in the thread that writes."""

    def lose(name):
        if name.endswith("_written"):
            raise RuntimeError("DEADLINE_EXCEEDED: barrier")

    checkpoints = open_directory(tmp_path)
    monkeypatch.setattr(saving.multihost, "barrier", lose)
    assert not save(checkpoints, 1)
    assert "DEADLINE_EXCEEDED" in capsys.readouterr().out
    assert "checkpoint_1" not in names(tmp_path)
