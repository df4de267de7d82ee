"""A disk that stays full costs a run its newest steps, and nothing once it is freed."""

import pathlib
import shutil
import subprocess

import jax
import numpy as np
import pytest

from t5x_lite import cli
from t5x_lite.checkpoints import manager, restoring
from t5x_lite.json_lines import read_lines

pytestmark = pytest.mark.slow

TRAIN = [
    "train",
    "--gin_file=models/t5_1_0/tiny.gin",
    "--gin_file=recipes/pretrain.gin",
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_copy",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 16}",
    "--gin.VOCAB_SIZE=384",
    "--gin.BATCH_SIZE=8",
    "--gin.EVAL_STEPS=2",
    "--gin.LOG_PERIOD=1",
    "--gin.CHECKPOINT_PERIOD=2",
    "--gin.COMPILATION_CACHE=False",
]


@pytest.fixture
def disk(tmp_path):
    """A small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("needs root on Linux, to mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(disk: pathlib.Path, *, but: int = 0) -> pathlib.Path:
    """Leaves so many bytes."""
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(shutil.disk_usage(disk).free - but))
    return ballast


def state_in(model_dir: pathlib.Path) -> dict:
    """Every leaf of the newest checkpoint."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    checkpoint = manager.find(model_dir)
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
        restoring.metadata(checkpoint),
    )
    return jax.device_get(restoring.restore(checkpoint, shapes))


def losses_in(model_dir: pathlib.Path) -> list[tuple[int, float]]:
    """Of each step in the log."""
    lines = read_lines(model_dir / "train/metrics.jsonl")
    return [(line["step"], line["loss_per_token"]) for line in lines]


def test_a_run_on_a_disk_that_was_freed_ends_as_if_it_had_never_been_full(
    disk, tmp_path, monkeypatch, capsys
):
    """First there is no room to start, then none for the last checkpoint: one line each, and the
    older checkpoint stays. Then the same command finishes.
    """
    monkeypatch.chdir(pathlib.Path(__file__).parent)
    run, alone = disk / "run", tmp_path / "alone"
    assert cli.main([*TRAIN, f"--gin.MODEL_DIR={alone}", "--gin.TRAIN_STEPS=4"]) == 0
    words = [*TRAIN, f"--gin.MODEL_DIR={run}"]
    assert cli.main([*words, "--gin.TRAIN_STEPS=2"]) == 0
    words.append("--gin.TRAIN_STEPS=4")
    capsys.readouterr()

    ballast = fill(disk)
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"nothing can be written to {run}" in line
    ballast.unlink()
    ballast = fill(disk, but=300_000)
    for _ in range(2):  # a scheduler tries again
        assert cli.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert "step 4 was not written" in line
        assert "the newest whole one is of step 2" in line
    assert [path.name for path in run.glob("checkpoint_*")] == ["checkpoint_2"]

    ballast.unlink()
    assert cli.main(words) == 0
    assert losses_in(run) == losses_in(alone)
    jax.tree.map(np.testing.assert_array_equal, state_in(run), state_in(alone))
