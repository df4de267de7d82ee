"""Training with products of 8 bits, from the command line: started from float32, killed, resumed,
inspected, exported.
"""

import pathlib

import jax
import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import pretrained
from t5x_lite.model.choices import Granularity, Weights
from t5x_lite.model.config import QuantizationConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

pytestmark = pytest.mark.usefixtures("two_devices")

TRAIN = [
    "train",
    "--gin_file=models/t5_1_0/tiny.gin",
    "--gin.VOCAB_SIZE=384",
    "--gin.NUM_PARTITIONS=2",
    "--gin.NUM_ENCODER_LAYERS=1",
    "--gin.NUM_DECODER_LAYERS=1",
    "--gin_file=recipes/pretrain.gin",
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_copy",
    "--gin.TASK_FEATURE_LENGTHS={'inputs': 32, 'targets': 16}",
    "--gin.BATCH_SIZE=8",
    "--gin.LEARNING_RATE=0.03",
    "--gin.COMPILATION_CACHE=False",
    "--gin.EVAL_PERIOD=1000",
    "--gin.EVAL_STEPS=1",
]
OF_8_BITS = ["--gin_file=compression/int8_training.gin", "--gin.GRANULARITY=channel"]
TASK = [
    "--module_import=toy_tasks",
    "--gin.MIXTURE_OR_TASK_NAME=toy_copy",
    "--gin.SPLIT=validation",
    "--gin.NUM_EXAMPLES=4",
    "--gin.BATCH_SIZE=8",
    "--gin.MAX_DECODE_LENGTH=7",
]


@pytest.fixture(autouse=True)
def beside_the_tasks(monkeypatch):
    monkeypatch.chdir(pathlib.Path(__file__).parent)


def run(*words, returns=0):
    assert cli.main([str(word) for word in words]) == returns


def parameters_of(path):
    one = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    model = pretrained.describe(path).model
    return model, jax.device_get(pretrained.load_parameters(path, model, one)[0])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Of two steps in float32, and two more with products of 8 bits."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(pathlib.Path(__file__).parent)
        run(*TRAIN, f"--gin.MODEL_DIR={folder / 'plain'}", "--gin.TRAIN_STEPS=2")
        run(*more(folder, folder / "whole", 4))
    return folder


def more(folder, own, steps):
    start = f"--gin.INITIAL_CHECKPOINT_PATH={folder / 'plain'}"
    return [*TRAIN, *OF_8_BITS, start, f"--gin.MODEL_DIR={own}", f"--gin.TRAIN_STEPS={steps}"]


def test_it_starts_from_float32_and_says_what_it_is(runs, capsys):
    """Slots and step come along, ranges begin anew; what is trained is described by itself."""
    model, parameters = parameters_of(runs / "whole")
    assert model.quantization == QuantizationConfig(granularity=Granularity.CHANNEL)
    found = parameters["decoder"]["layers"]["mlp"]["wo"]["input_range"]
    assert found.shape == (1, 2) and found[0, 0] <= 0 < found[0, 1]
    run("inspect", runs / "whole")
    said = capsys.readouterr().out
    assert "products of 8 bits with a scale for each channel" in said
    assert "decoder/layers/mlp/wo/input_range" in said


@pytest.mark.slow
def test_an_interrupted_run_ends_where_an_uninterrupted_one_does(runs, tmp_path):
    """To the last bit, ranges included."""
    for steps in (3, 4):
        run(*more(runs, tmp_path, steps))
    one, other = parameters_of(tmp_path), parameters_of(runs / "whole")
    assert one[0] == other[0]
    jax.tree.map(np.testing.assert_array_equal, one[1], other[1])


def test_it_is_exported_as_integers_that_score_the_same(runs, tmp_path, capsys):
    """With its own ranges, and what it was is on the card. Once more is an error with a way out."""
    small = tmp_path / "small"
    words = ["export", str(runs / "whole"), "--format=checkpoint", "--weights=int8", *TASK]
    run(*words, f"--output={small}", "--accept_gap")
    card = (small / "quality.md").read_text()
    assert "in int8 with a scale for each channel, multiplied with 8 bits" in card
    texts = ["ab", "ba"]
    felt, held = t5x_lite.load(runs / "whole"), t5x_lite.load(small)
    assert held.engine.models.members[0].weights is Weights.INT8
    np.testing.assert_allclose(held.score(texts, texts), felt.score(texts, texts), rtol=1e-4)
    rounded = t5x_lite.load(runs / "whole", weights="int8")
    assert rounded.score(texts, texts) == held.score(texts, texts)
    capsys.readouterr()

    run("inspect", small)
    assert "weights in int8" in capsys.readouterr().out
    again = ["export", str(small), "--format=checkpoint", "--weights=int8", *TASK]
    run(*again, f"--output={tmp_path / 'again'}", returns=2)
    assert "int8 already" in capsys.readouterr().err
    run(*words, "--activations=int8", f"--output={tmp_path / 'again'}", returns=2)
    assert "its ranges are known. Leave the flag out" in capsys.readouterr().err
    run(*words, "--granularity=tensor", f"--output={tmp_path / 'again'}", returns=2)
    assert "needed is --activations=int8 with it" in capsys.readouterr().err
    run("export", runs / "whole", "--format=huggingface", f"--output={tmp_path / 'hf'}", returns=2)
    assert "needed is 'checkpoint' or 'stablehlo'" in capsys.readouterr().err
    trained_on = [*more(small, tmp_path / "more", 9), f"--gin.INITIAL_CHECKPOINT_PATH={small}"]
    run(*trained_on, returns=2)
    assert "rounded for inference, and training needs float32" in capsys.readouterr().err


def test_ranges_are_found_without_training(runs, tmp_path):
    """On the first examples of another split than the one that is measured."""
    words = ["export", str(runs / "plain"), "--format=checkpoint", "--weights=int8", *TASK]
    given = ["--activations=int8", "--calibration_examples=8", "--granularity=tensor"]
    run(*words, *given, "--float_kernels=wo", f"--output={tmp_path / 'out'}", "--accept_gap")
    model, parameters = parameters_of(tmp_path / "out")
    assert model.quantization == QuantizationConfig(float_kernels=("wo",))
    mlp = parameters["encoder"]["layers"]["mlp"]
    assert mlp["wi"]["kernel"].dtype == np.int8 and mlp["wo"]["kernel"].dtype == np.float32
    assert (mlp["wi"]["input_range"][:, 0] < mlp["wi"]["input_range"][:, 1]).all()
    texts = ["ab", "ba"]
    plain, small = t5x_lite.load(runs / "plain"), t5x_lite.load(tmp_path / "out")
    np.testing.assert_allclose(small.score(texts, texts), plain.score(texts, texts), rtol=0.05)
