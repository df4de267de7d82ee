"""What `inspect` says of the zeros of a checkpoint."""

import re

import jax
import numpy as np
import pytest

from t5x_lite import cli
from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.model import transformer
from t5x_lite.testing import tiny_model
from t5x_lite.training.config import TrainConfig

MODEL = tiny_model(384)


def parameters():
    """Ones, but for an eighth and a quarter of the two layers of one kernel."""
    shapes = transformer.abstract_parameters(MODEL)
    made = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes)
    kernel = made["decoder"]["layers"]["mlp"]["wi"]["kernel"]
    kernel[0, ::8], kernel[1, ::4] = 0, 0
    return made


def test_zeros_of_each_layer_of_each_kernel_are_shown(tmp_path, capsys):
    """Of a Hugging Face directory when asked for; of what is no kernel nothing is said."""
    huggingface.save(tmp_path / "hf", MODEL, parameters())
    assert cli.main(["inspect", str(tmp_path / "hf")]) == 0
    assert "% of each layer" not in capsys.readouterr().out
    assert cli.main(["inspect", str(tmp_path / "hf"), "--sparsity"]) == 0
    lines = [re.split(r"  +", line.strip()) for line in capsys.readouterr().out.splitlines()]
    rows = {line[0]: line[1:] for line in lines}
    assert rows["decoder/layers/mlp/wi/kernel"] == ["4,096", "18.75 %", "12.50 25.00"]
    assert rows["encoder/layers/mlp/wi/kernel"] == ["4,096", "0.00 %", "0.00 in each of 2"]
    kernels = [int(row[0].replace(",", "")) for name, row in rows.items() if "/kernel" in name]
    assert rows["all of these"][0] == f"{sum(kernels):,}"
    assert "token_embedder/embedding" not in rows


def test_a_run_that_pruned_needs_no_flag(tmp_path, capsys):
    """Nor a checkpoint that one was exported to: both keep the text of the run."""
    for name, text in (("pruned", "TrainConfig.pruning = @PruningConfig()"), ("dense", "")):
        checkpoints = Checkpoints(tmp_path / name, SaveCheckpointConfig())
        checkpoints.save(3, {"parameters": jax.device_put(parameters())}, describe_run(text, MODEL))
        checkpoints.close()
        assert cli.main(["inspect", str(tmp_path / name)]) == 0
        assert ("% of each layer" in capsys.readouterr().out) == (name == "pruned")


@pytest.mark.parametrize(
    ("teacher", "given", "said"),
    [
        (["compression/teacher.gin"], (), ", taught by 'trained'\n"),
        (["compression/teacher.gin"], ("TEACHER_PATH='other'",), ", taught by 'other'\n"),
        (["compression/distil.gin"], ("TEACHER_PATH='other'",), ", taught by 'other'\n"),
        ([], (), "\n"),
    ],
)
def test_who_taught_a_run_is_shown(teacher, given, said, tmp_path, capsys):
    """By its path, also where one macro names another one."""
    files = ["models/t5_1_1/tiny.gin", "recipes/pretrain.gin", "compression/prune.gin", *teacher]
    values = (
        "MODEL_DIR='run'",
        "MIXTURE_OR_TASK_NAME='unused'",
        "TASK_FEATURE_LENGTHS={'inputs': 8, 'targets': 8}",
        "TRAIN_STEPS=100_000",
        "INITIAL_CHECKPOINT_PATH='trained'",
        "LEARNING_RATE=0.001",
        *given,
    )
    overrides = [("--gin", each) for each in values]
    text = gin_config.resolve(TrainConfig, files, overrides=overrides).operative_config
    checkpoints = Checkpoints(tmp_path / "run", SaveCheckpointConfig())
    checkpoints.save(3, {"parameters": jax.device_put(parameters())}, describe_run(text, MODEL))
    checkpoints.close()
    assert cli.main(["inspect", str(tmp_path / "run")]) == 0
    assert f"run: began at step 0{said}" in capsys.readouterr().out
