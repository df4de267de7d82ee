"""`t5x_lite check` of a job that prunes: what it will do, and what it cannot."""

import re

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.checkpoints.restoring import name_of
from t5x_lite.model import transformer

PRUNE = [
    "--gin_file=compression/prune.gin",
    "--gin.INITIAL_CHECKPOINT_PATH=None",
    "--gin.LEARNING_RATE=0.001",
    "--gin.PRUNING_END=50",
    "--gin.PRUNING_PERIOD=10",
]


def test_what_will_be_pruned_is_said(check_train):
    """With the weights that count."""
    status, findings, _ = check_train(*PRUNE)
    assert status == 0
    (said,) = [text for kind, _, text in findings if kind == "ok" and "pruning" in text]
    assert "weights of 18 kernels, in each layer by itself, 0.9 are 0 from step 50 of" in said


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--gin.PruningConfig.weights='.*/scale'"], r"matches decoder/\S+/scale, of the shape"),
        (["--gin.PRUNING_PATTERN='2:4'"], "sparsity=0.9 with pattern='2:4'.*needed is 0.5"),
        (["--gin.PRUNING_PERIOD=51"], "update_period=51 is longer than the 50 steps"),
        (
            ["--gin.PRUNING_END=100"],
            "rewind_until=100 and total_steps=100: needed is a step before",
        ),
        (["--gin.SPARSITY=1.0"], "sparsity=1.0: needed is less than 1"),
        (["--gin_file=finetuning/lora.gin"], "query/kernel has LoRA beside it"),
        (
            ["--gin_file=finetuning/freeze.gin", "--gin.FROZEN='encoder/.*'"],
            "encoder/.*/kernel is to be pruned, and a parameter group keeps it",
        ),
        (
            ["--gin.PRUNING_END=101", "--gin.LEARNING_RATE_FACTORS='constant'"],
            "after step 101 of the run, which has 100: needed is an end within it",
        ),
    ],
)
def test_what_cannot_be_is_found_before_a_device_is_held(check_train, words, expected):
    """One thing to fix, with both sides."""
    status, findings, _ = check_train(*PRUNE, *words)
    fixes = [text for kind, _, text in findings if kind == "FIX"]
    assert status == 2
    assert len(fixes) == 1
    assert re.search(expected, fixes[0]), fixes


LOCK = [
    "--gin_file=compression/lock.gin",
    "--gin.RESTORE_OPTIMIZER=False",
]


def hold(folder, kind, model, value, *, pruned=()):
    """A model of which every weight is the same, but for kernels that were pruned."""
    shapes = transformer.abstract_parameters(model)

    def of_leaf(path, leaf):
        is_pruned = name_of(path) in pruned
        return np.full(leaf.shape, 0.0 if is_pruned else value, np.float32)

    parameters = jax.tree_util.tree_map_with_path(of_leaf, shapes)
    if kind == "huggingface":
        huggingface.save(folder, model, parameters)
        return
    checkpoints = Checkpoints(folder, SaveCheckpointConfig())
    state = {"parameters": jax.device_put(parameters)}
    checkpoints.save(3, state, describe_run("", model))
    checkpoints.close()


@pytest.mark.parametrize("kind", ["huggingface", "checkpoint"])
def test_a_pattern_to_be_locked_is_looked_for(kind, check_train, resolve, tmp_path):
    """In the kernels of what the run starts from."""
    for value in (0.0, 1.0):
        folder = tmp_path / f"of_{value}"
        hold(folder, kind, resolve().model, value)
        status, findings, _ = check_train(*LOCK, f"--gin.INITIAL_CHECKPOINT_PATH={folder}")
        fixes = [text for found, _, text in findings if found == "FIX"]
        assert (status == 0) == (not fixes) == (value == 0.0), fixes
    assert "weights whose zeros are to be locked 0.00% are 0: needed is a model" in fixes[0]


@pytest.mark.parametrize("kind", ["huggingface", "checkpoint"])
def test_a_pattern_of_some_kernels_is_one(kind, check_train, resolve, tmp_path):
    """Though the first that is looked at has no zero: a run would start."""
    hold(tmp_path / "some", kind, resolve().model, 1.0, pruned=["encoder/layers/mlp/wo/kernel"])
    status, findings, _ = check_train(*LOCK, f"--gin.INITIAL_CHECKPOINT_PATH={tmp_path / 'some'}")
    assert status == 0, [text for found, _, text in findings if found == "FIX"]
