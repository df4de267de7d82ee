"""`t5x_lite check` of a job that prunes: what it will do, and what it cannot."""

import re

import pytest

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
