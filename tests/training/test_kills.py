"""A run that is killed at random moments is, to the last bit, the run that never was.

The children are real processes and the signal is -9. A fork server has imported everything once, so
that a child is training a few seconds after its birth.
"""

import contextlib
import multiprocessing
import os
import pathlib
import random
import signal
import time

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import manager, restoring, scores
from t5x_lite.json_lines import read_lines
from t5x_lite.training import lease

pytestmark = pytest.mark.slow

NUM_KILLS, NUM_STEPS = 8, 180
NUM_STOPS = 8
STOPPING = [signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGINT]
TRAIN = [
    "train",
    "--gin_file=models/t5_1_0/tiny.gin",
    "--gin_file=recipes/pretrain.gin",
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_both",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 16}",
    "--gin.VOCAB_SIZE=384",
    "--gin.NUM_PARTITIONS=2",
    "--gin.NUM_DATA_SHARDS=2",
    "--gin.BATCH_SIZE=8",
    "--gin.DROPOUT_RATE=0.1",
    "--gin.LEARNING_RATE_FACTORS=constant",
    "--gin.LEARNING_RATE=0.01",
    "--gin.EVAL_STEPS=0",
    "--gin.LOG_PERIOD=1",
    # So often that one is under way soon.
    "--gin.CHECKPOINT_PERIOD=4",
    f"--gin.TRAIN_STEPS={NUM_STEPS}",
    "--cpu_devices=4",
]


def train(folder: str, model_dir: str, *words: str) -> None:
    """What a child does, with the signals of a shell."""
    import sys

    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(folder)
    from t5x_lite import cli

    sys.exit(cli.main([*TRAIN, f"--gin.MODEL_DIR={model_dir}", *words]))


@pytest.fixture(scope="module")
def start():
    """Starts a child that trains in a directory."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tensorflow", "seqio", "orbax.checkpoint", "t5x_lite.training.loop", "t5x_lite.cli"]
    )

    def process(model_dir: pathlib.Path, *words: str) -> multiprocessing.Process:
        child = context.Process(
            target=train, args=(str(pathlib.Path(__file__).parent), str(model_dir), *words)
        )
        child.start()
        return child

    return process


def losses(model_dir: pathlib.Path) -> dict[int, float]:
    """Loss of each step in the log."""
    with contextlib.suppress(FileNotFoundError):
        lines = read_lines(model_dir / "train/metrics.jsonl")
        return {line["step"]: line["loss_per_token"] for line in lines}
    return {}


def wait_for_a_step(child, model_dir: pathlib.Path, after: int) -> None:
    """Until the child has trained beyond where the last one was."""
    deadline = time.monotonic() + 300
    while max(losses(model_dir), default=0) <= after:
        assert child.exitcode is None, f"it ended by itself with {child.exitcode}"
        assert time.monotonic() < deadline, "no step in five minutes"
        time.sleep(0.02)


def wait_for_a_save(child, model_dir: pathlib.Path) -> None:
    """Until one is under way."""
    deadline = time.monotonic() + 300
    while not any(model_dir.glob("checkpoint_*.tmp")):
        assert child.exitcode is None, f"it ended by itself with {child.exitcode}"
        assert time.monotonic() < deadline, "no save in five minutes"
        time.sleep(0.001)


def test_kills_change_no_bit(start, tmp_path):
    """Losses of all steps and all leaves of the last checkpoint equal those of one long run."""
    alone = start(tmp_path / "alone")
    alone.join()
    assert alone.exitcode == 0
    killed = tmp_path / "killed"
    dice, torn = random.Random(0), 0
    for number in range(NUM_KILLS):
        child = start(killed)
        if number % 4:
            newest = manager.newest(killed)
            wait_for_a_step(child, killed, 0 if newest is None else manager.step_of(newest))
            if number % 4 == 1:
                wait_for_a_save(child, killed)
            else:
                time.sleep(dice.uniform(0.0, 0.4))
        else:
            # Also before the first step: while it imports, compiles, restores.
            time.sleep(dice.uniform(0.0, 8.0))
        child.kill()
        child.join()
        assert child.exitcode == -signal.SIGKILL, "it was done before it could be killed"
        torn += any("tmp" in path.name for path in killed.glob("*"))
    assert torn, "no kill hit a save"
    last = start(killed)
    last.join()
    assert last.exitcode == 0
    assert losses(killed) == losses(tmp_path / "alone")
    expected = read_state(manager.find(tmp_path / "alone"))
    found = read_state(manager.find(killed))
    compare(found, expected, "")


def read_state(checkpoint) -> dict:
    """Every leaf of a checkpoint, on the host."""
    here = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    shapes = jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here),
        restoring.metadata(checkpoint),
    )
    return jax.device_get(restoring.restore(checkpoint, shapes))


def compare(found: object, expected: object, name: str) -> None:
    """Bit for bit."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys(), name
        for key in expected:
            compare(found[key], expected[key], f"{name}/{key}")
    else:
        np.testing.assert_array_equal(found, expected, err_msg=name)


def test_stops_at_any_moment_cost_no_step(start, tmp_path):
    """Only they save: each ends soon with status 75, whatever the run was doing, and in the end all
    is as if there had been none: losses, held-out scores of each evaluation, the last state.
    """
    words = ["--gin.CHECKPOINT_PERIOD=1000000", "--gin.EVAL_PERIOD=10", "--gin.EVAL_STEPS=4"]
    words.append("--gin.train_eval/DatasetConfig.mixture_or_task_name='toy_copy'")
    stopped, dice, stops_after_a_step = tmp_path / "stopped", random.Random(0), 0
    for number in range(NUM_STOPS):
        before = max(losses(stopped), default=0)
        child = start(stopped, *words, "--gin.TRAIN_STEPS=1000000")
        if number % 3:
            wait_for_a_step(child, stopped, before)
            time.sleep(dice.uniform(0.0, 1.0))
        else:
            time.sleep(dice.uniform(1.0, 6.0))  # also while it imports, restores, compiles
        os.kill(child.pid, STOPPING[number % len(STOPPING)])
        child.join(60)
        assert child.exitcode == 75
        newest = max(losses(stopped), default=0)
        if newest:
            assert manager.step_of(manager.find(stopped)) == newest
        stops_after_a_step += newest > before
    assert stops_after_a_step >= NUM_STOPS // 2
    last = f"--gin.TRAIN_STEPS={max(losses(stopped)) + 3}"
    for folder in (stopped, tmp_path / "alone"):
        child = start(folder, *words, last)
        child.join()
        assert child.exitcode == 0
    found, expected = stopped, tmp_path / "alone"
    assert losses(found) == losses(expected)
    assert scores.read(found) == scores.read(expected)
    compare(read_state(manager.find(found)), read_state(manager.find(expected)), "")


def test_a_second_run_in_a_directory_is_refused_and_the_first_goes_on(start, tmp_path):
    """Exit status 2, and every step of the first is there once, the newest as a checkpoint."""
    first = start(tmp_path)
    wait_for_a_step(first, tmp_path, 0)
    second = start(tmp_path)
    second.join()
    assert second.exitcode == 2
    wait_for_a_step(first, tmp_path, max(losses(tmp_path)))
    first.terminate()
    first.join()
    assert first.exitcode == 75
    steps = [line["step"] for line in read_lines(tmp_path / "train/metrics.jsonl")]
    assert steps == list(range(1, len(steps) + 1))
    assert manager.step_of(manager.find(tmp_path)) == len(steps)
    assert not (tmp_path / lease.FILE).exists()
