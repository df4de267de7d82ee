"""Pruning from the command line: pruned, resumed, fine-tuned with its pattern, exported."""

import pathlib
import shutil

import jax
import numpy as np
import pytest

from t5x_lite import cli, json_lines
from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface, pretrained
from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

pytestmark = pytest.mark.usefixtures("two_devices")

TRAINING = pathlib.Path(__file__).parents[1] / "training"
SIZE = ("--gin.VOCAB_SIZE", "VOCAB_SIZE=384")
JOB = [
    "train",
    "--gin_file=models/t5_1_0/tiny.gin",
    f"--gin.{SIZE[1]}",
    "--gin.NUM_PARTITIONS=2",
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_copy",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 16, 'targets': 16}",
    "--gin.BATCH_SIZE=8",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_STEPS=0",
    "--gin.LOG_PERIOD=1",
]
PRUNE = [
    "--gin_file=recipes/pretrain.gin",
    "--gin_file=compression/prune.gin",
    "--gin.INITIAL_CHECKPOINT_PATH=None",
    "--gin.LEARNING_RATE=0.01",
    "--gin.TRAIN_STEPS=8",
    "--gin.PRUNING_END=6",
    "--gin.PRUNING_PERIOD=2",
    "--gin.CHECKPOINT_PERIOD=3",
]
LOCK = [
    "--gin_file=recipes/finetune.gin",
    "--gin_file=compression/lock.gin",
    "--gin.RESTORE_OPTIMIZER=False",
    "--gin.INFER_EVAL_DATASET=None",
    "--gin.TRAIN_STEPS=3",
]


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    """--module_import finds toy_tasks from the working directory."""
    monkeypatch.chdir(TRAINING)


def run(*words):
    """A command that must succeed."""
    assert cli.main([str(word) for word in words]) == 0


def parameters_of(path):
    """On the host."""
    partitioner = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    return jax.device_get(pretrained.load_parameters(path, None, partitioner)[0])


def zeros_of(parameters):
    return {name: leaf == 0 for name, leaf in leaves(parameters).items() if "kernel" in name}


@pytest.fixture(scope="module")
def pruned(tmp_path_factory):
    """A model directory: 90 % of the weights gone in 6 of 8 steps."""
    folder = tmp_path_factory.mktemp("pruned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(TRAINING)
        run(*JOB, *PRUNE, f"--gin.MODEL_DIR={folder}")
    return folder


@pytest.mark.slow
def test_the_log_has_the_share_of_zeros_and_the_rate_that_goes_back(pruned):
    """After each step."""
    logged = json_lines.read_lines(pruned / "train" / "metrics.jsonl")
    shares = [line["sparsity"] for line in logged]
    final = [0.9 * (1 - (1 - step / 6) ** 3) for step in (0, 2, 2, 4, 4, 6, 6, 6)]
    assert shares == pytest.approx(final, abs=1e-3)
    rates = [line["learning_rate"] / 0.01 for line in logged]
    assert rates[1:] == pytest.approx([0.5, 1, 0.5, 1, 0.5, 1, 0.5], abs=1e-6)
    assert "zeros among" not in (pruned / "model-info.txt").read_text()
    assert "0.9 are 0 from step 6 of the run on" in (pruned / "model-info.txt").read_text()


@pytest.mark.slow
def test_a_run_resumes_bit_for_bit(pruned, tmp_path):
    """From step 3, in the middle of it: nothing of a pattern is but in the parameters."""
    shutil.copytree(pruned / "checkpoint_3", tmp_path / "checkpoint_3")
    run(*JOB, *PRUNE, f"--gin.MODEL_DIR={tmp_path}")
    jax.tree.map(np.testing.assert_array_equal, parameters_of(tmp_path), parameters_of(pruned))


@pytest.mark.slow
def test_a_pattern_stays_from_the_first_checkpoint_to_the_last_export(pruned, tmp_path):
    """Without its zeros on disk, fine-tuned with them locked, and in Hugging Face's layout."""
    run("export", pruned, "--format=checkpoint", "--sparse", f"--output={tmp_path / 'sparse'}")
    start = f"--gin.INITIAL_CHECKPOINT_PATH={tmp_path / 'sparse'}"
    run(*JOB, *LOCK, start, f"--gin.MODEL_DIR={tmp_path / 'tuned'}")
    run("export", tmp_path / "tuned", "--format=huggingface", f"--output={tmp_path / 'hf'}")
    before, tuned = parameters_of(pruned), parameters_of(tmp_path / "tuned")
    assert np.any(before["token_embedder"]["embedding"] != tuned["token_embedder"]["embedding"])
    exported = huggingface.load(tmp_path / "hf")[1]
    expected = zeros_of(before)
    assert np.mean(expected["encoder/layers/mlp/wo/kernel"]) == pytest.approx(0.9, abs=1e-3)
    for found in (zeros_of(tuned), zeros_of(exported)):
        jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_dense_model_has_nothing_to_be_locked(tmp_path, capsys):
    """One line, before anything is compiled."""
    job = gin_config.resolve(ModelConfig, ["models/t5_1_0/tiny.gin"], overrides=[SIZE]).config
    shapes = transformer.abstract_parameters(job)
    dense = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    huggingface.save(tmp_path / "dense", job, dense)
    start = f"--gin.INITIAL_CHECKPOINT_PATH={tmp_path / 'dense'}"
    assert cli.main([*JOB, *LOCK, start, f"--gin.MODEL_DIR={tmp_path / 'tuned'}"]) == 2
    said = capsys.readouterr()
    assert "whose zeros are to be locked 0.00% are 0: needed is a model that was" in said.err
    assert "compiling" not in said.out
