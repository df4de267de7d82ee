"""Damage of any kind is noticed before a number is used, and no good checkpoint is lost to it."""

import os
import shutil

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import manager, manifest
from t5x_lite.checkpoints.config import SaveCheckpointConfig


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """A directory with checkpoints of steps 1 to 3; copied, because it is damaged in many ways."""
    directory = tmp_path_factory.mktemp("run")
    checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig())
    for step in (1, 2, 3):
        state = {"step": jnp.int32(step), "parameters": {"kernel": jnp.arange(500.0) * step}}
        files = {"dataset": {"shard_0": b"position"}}
        checkpoints.save(step, state, manager.Description("X = 1"), files)
    checkpoints.close()
    return directory


@pytest.fixture
def run(three, tmp_path):
    return shutil.copytree(three, tmp_path / "run")


def files_of(checkpoint):
    return sorted(path for path in checkpoint.rglob("*") if path.is_file())


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path):
    os.truncate(path, path.stat().st_size - 1)


@pytest.mark.parametrize("damage", [flip, truncate, os.remove])
def test_one_changed_bit_of_any_file_is_noticed(run, damage):
    """Every file in turn; PINNED and other files that came later are none of the checkpoint's."""
    (run / "checkpoint_3" / "PINNED").write_text("")
    (run / "checkpoint_3" / "notes.txt").write_text("the good one")
    assert manifest.problems(manager.find(run / "checkpoint_3")) == []
    whole = shutil.copytree(run / "checkpoint_3", run / "copy")
    for path in files_of(whole):
        if path.name in ("PINNED", "notes.txt"):
            continue
        broken = shutil.copytree(whole, run / "broken")
        damage(broken / path.relative_to(whole))
        assert manifest.problems(manager.absolute(broken)), path
        shutil.rmtree(broken)


def test_the_newest_whole_one_is_used_and_the_damaged_moved_aside(run, capsys):
    """A restart goes on by itself, twice, and what was damaged can still be looked at."""
    flip(max(files_of(run / "checkpoint_3" / "state"), key=lambda path: path.stat().st_size))
    shutil.rmtree(run / "checkpoint_2" / "config")
    for _ in range(2):
        assert manager.newest(run, sums=True, move_aside=True).name == "checkpoint_1"
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert "checkpoint_3 is damaged: state/" in lines[0]
    assert "other bytes than were written; it was moved to checkpoint_3.damaged" in lines[0]
    assert "checkpoint_2 is damaged: config/ is missing" in lines[1]
    assert sorted(os.listdir(run)) == [
        "checkpoint_1",
        "checkpoint_2.damaged",
        "checkpoint_3.damaged",
    ]


def test_a_step_damaged_twice_keeps_both(run):
    """The second folder must not fail on, or replace, the first."""
    for _ in range(2):
        shutil.copytree(run / "checkpoint_2", run / "checkpoint_5")
        (run / "checkpoint_5" / "manifest.json").write_text("{}")
        manager.newest(run, sums=True, move_aside=True)
    assert {"checkpoint_5.damaged", "checkpoint_5.damaged-2"} < set(os.listdir(run))


def test_if_all_are_damaged_nothing_is_touched(run):
    """A disk that is not mounted right must not make a run begin afresh."""
    for step in (1, 2, 3):
        (run / f"checkpoint_{step}" / "manifest.json").unlink()
    before = files_of(run)
    with pytest.raises(ValueError, match="every checkpoint in .* is damaged") as error:
        manager.newest(run, sums=True, move_aside=True)
    assert "checkpoint_2: manifest.json is missing" in str(error.value)
    assert files_of(run) == before


def test_a_named_one_that_is_damaged_is_an_error_with_the_newest_whole_one(run):
    """Who names a checkpoint does not want another."""
    flip(max(files_of(run / "checkpoint_2" / "state"), key=lambda path: path.stat().st_size))
    truncate(run / "checkpoint_3" / "dataset" / "shard_0")
    with pytest.raises(ValueError, match=r"checkpoint_2 is damaged: .* one is .*checkpoint_1\."):
        manager.find(run / "checkpoint_2", sums=True)
    with pytest.raises(ValueError, match="shard_0 has 7 bytes, written were 8"):
        manager.find(run / "checkpoint_3")


def test_looking_starts_no_backend(run, monkeypatch, capsys):
    """Commands look before processes meet and before devices are simulated."""

    def started():
        raise AssertionError("JAX's backend would be started")

    monkeypatch.setattr("jax.process_index", started)
    truncate(run / "checkpoint_3" / "dataset" / "shard_0")
    assert manager.find(run).name == "checkpoint_2"
    assert "checkpoint_3 is damaged" in capsys.readouterr().out


def test_processes_share_the_work(run):
    """Together they look at every file, each at its part."""
    checkpoint = manager.absolute(run / "checkpoint_3")
    for path in files_of(run / "checkpoint_3" / "state"):
        flip(path)
    parts = [manifest.problems(checkpoint, process_index=i, process_count=3) for i in range(3)]
    assert sorted(sum(parts, [])) == sorted(manifest.problems(checkpoint))
    assert all(parts)


def test_a_retry_after_damage_writes_the_step_again(run):
    """The folder is aside, so the name is free."""
    flip(run / "checkpoint_3" / "manifest.json")
    manager.newest(run, sums=True, move_aside=True)
    checkpoints = manager.Checkpoints(run, SaveCheckpointConfig())
    state = {"step": jnp.int32(3), "parameters": {"kernel": jnp.arange(500.0)}}
    checkpoints.save(3, state, manager.Description(""))
    checkpoints.close()
    assert manager.newest(run, sums=True).name == "checkpoint_3"
    assert np.array(manifest.read(manager.find(run))["num_bytes"]) > 0
