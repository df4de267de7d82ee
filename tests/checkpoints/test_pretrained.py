"""A path is enough: model, step, tokenizer and parameters come from it."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from t5x_lite import cli
from t5x_lite.checkpoints import folders, huggingface, manager, pretrained
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run, differences
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.checkpoints.formats.t5 import T5
from t5x_lite.checkpoints.inspect import inspect_checkpoint, is_inspectable
from t5x_lite.checkpoints.parameters import abstract_parameters
from t5x_lite.config import resolve
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig, StackConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model

MODEL = tiny_model(vocab_size=64)


@pytest.fixture(scope="module")
def partitioner():
    return make_partitioner(PartitioningConfig(num_partitions=2))


@pytest.fixture(scope="module")
def parameters():
    return jax.jit(transformer.init_parameters, static_argnums=0)(MODEL, jax.random.key(0))


@pytest.fixture(scope="module")
def run(tmp_path_factory, parameters):
    """A model directory with steps 1 and 4, and a score of the latter."""
    directory = tmp_path_factory.mktemp("run")
    checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig())
    description = describe_run("MODEL_DIR = '/x'\nTrainConfig.a = 3\n", MODEL, initial_step=1)
    for step in (1, 4):
        state = {
            "step": jax.numpy.int32(step),
            "parameters": parameters,
            "optimizer_state": {"param_states": {"kernel": {"v": jax.numpy.zeros((8, 4))}}},
        }
        files = {
            "dataset": {"shard_0_of_2": b"abc", "shard_1_of_2": b"def"},
            "vocabulary": {"vocabulary.json": b"{}"},
        }
        checkpoints.save(step, state, description, files)
    checkpoints.close()
    checkpoints.record(4, {"task/bleu": 33.333})
    return directory


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory, parameters):
    directory = tmp_path_factory.mktemp("hf")
    huggingface.save(directory, MODEL, jax.device_get(parameters))
    return directory


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_checkpoint_describes_itself(run):
    """And a model directory its newest."""
    for path in (run, run / "checkpoint_4"):
        found = pretrained.describe(path)
        assert (found.step, found.model, found.format) == (4, MODEL, None)
        assert found.vocabulary == folders.absolute(run / "checkpoint_4" / "vocabulary")
        assert found.description is not None
        assert found.description.initial_step == 1


def test_a_hugging_face_directory_describes_itself(hugging_face):
    found = pretrained.describe(hugging_face)
    assert (found.step, found.model, found.format) == (0, MODEL, T5)
    assert found.vocabulary == folders.absolute(hugging_face)


def test_parameters_need_no_model(run, hugging_face, partitioner, parameters):
    """Nor does one that differs only in how it is computed disturb."""
    for path, step in ((run, 4), (run / "checkpoint_1", 1), (hugging_face, 0)):
        for model in (None, MODEL, dataclasses.replace(MODEL, dropout_rate=0.5)):
            found, found_step = pretrained.load_parameters(path, model, partitioner)
            assert found_step == step
            assert_same(found, parameters)
    placed = jax.tree.map(lambda leaf: leaf.sharding, found)
    assert placed == jax.tree.map(
        lambda leaf: leaf.sharding, abstract_parameters(MODEL, partitioner)
    )


def test_parameters_in_another_dtype(run, hugging_face, partitioner, parameters):
    """Half of the memory for inference."""
    half = jax.tree.map(lambda leaf: leaf.astype("bfloat16"), parameters)
    for path in (run, hugging_face):
        found, _ = pretrained.load_parameters(path, None, partitioner, "bfloat16")
        assert {leaf.dtype for leaf in jax.tree.leaves(found)} == {np.dtype("bfloat16")}
        assert_same(found, half)


def test_another_model_is_refused_with_five_differences(run, hugging_face, partitioner):
    """Six differ here, two of them in nothing that the parameters know."""
    block = MODEL.decoder.block
    other = dataclasses.replace(
        MODEL,
        vocab_size=96,
        scale_logits=False,
        dropout_rate=0.9,
        decoder=dataclasses.replace(
            MODEL.decoder,
            num_layers=6,
            block=dataclasses.replace(
                block,
                mlp=dataclasses.replace(block.mlp, mlp_dim=7, activations=("silu",)),
                attention=dataclasses.replace(block.attention, num_heads=3),
            ),
        ),
    )
    assert len(differences(other, MODEL)) == 6
    for path in (run, hugging_face):
        with pytest.raises(ModelMismatchError) as error:
            pretrained.load_parameters(path, other, partitioner)
        lines = str(error.value).splitlines()
        assert len(lines) == 7
        assert "  vocab_size: 96 in the job, 64 in the checkpoint" in lines
        assert lines[-1] == "  ... and 1 more"


def test_twice_the_layers_by_two_are_the_same_model():
    """The half-depth model is written with a divisor."""

    def doubled(stack: StackConfig) -> StackConfig:
        return dataclasses.replace(stack, num_layers=2 * stack.num_layers, layers_divisor=2)

    same = dataclasses.replace(
        MODEL, encoder=doubled(MODEL.encoder), decoder=doubled(MODEL.decoder)
    )
    assert differences(same, MODEL) == []


@pytest.mark.parametrize("flag", ["", " --gin.VOCAB_SIZE=256"])
def test_the_command_line_names_the_model_file_that_fits(flag, monkeypatch, capsys):
    """Found by its values among the files that come with t5x_lite, whatever the vocabulary."""
    stored = resolve(ModelConfig, ["models/t5_1_1/base.gin"]).config
    if flag:
        stored = dataclasses.replace(stored, vocab_size=256)
    with pytest.raises(ModelMismatchError) as error:
        pretrained.check_model(MODEL, stored, "/runs/one")

    def refuse(arguments):
        raise error.value

    monkeypatch.setattr("t5x_lite.evaluation.report.report", refuse)
    assert cli.main(["report", "/runs/one"]) == 2
    printed = capsys.readouterr().err.splitlines()
    assert printed[0] == "t5x_lite: error: the model of this job is not the one in /runs/one:"
    assert printed[-1] == f"The config that fits: --gin_file=models/t5_1_1/base.gin{flag}"


def test_inspect_says_that_a_folder_holds_no_checkpoint(tmp_path, capsys):
    """It is no task of that name."""
    assert cli.main(["inspect", str(tmp_path)]) == 2
    assert f"no checkpoint at {tmp_path}" in capsys.readouterr().err


def test_inspect_shows_what_a_checkpoint_holds(run, capsys):
    """All that is worth knowing before it is used; the command finds out that it is no task."""
    (run / "checkpoint_4" / "PINNED").write_text("")
    assert cli.main(["inspect", str(run)]) == 0
    text = capsys.readouterr().out
    for fact in (
        f"{run}/checkpoint_4",
        "step 4, saved ",
        "encoder-decoder, 2 + 2 layers, embed 32",
        f"{transformer.num_parameters(MODEL):,} parameters",
        "began at step 1",
        "behind batch 3, 6 bytes in 2 shards",
        "vocabulary: vocabulary.json",
        "task/bleu 33.33",
        "pinned: yes",
        "MODEL_DIR = '/x'",
    ):
        assert fact in text
    row = next(line for line in text.splitlines() if line.startswith("token_embedder/embedding"))
    assert row.split() == ["token_embedder/embedding", "64", "x", "32", "float32", "8,192"]
    assert "TrainConfig.a" not in text


def test_inspect_knows_hugging_face_directories_and_nothing_else(hugging_face, tmp_path):
    assert "a Hugging Face directory of a T5" in inspect_checkpoint(hugging_face)
    assert not is_inspectable(str(tmp_path))
    assert not is_inspectable("wmt_t2t_ende_v003")


def test_a_checkpoint_that_does_not_say_its_model(run, partitioner, tmp_path, parameters):
    """Written by hand or by a version before: still read, if the gin file is given."""
    checkpoints = manager.Checkpoints(tmp_path, SaveCheckpointConfig())
    checkpoints.save(1, {"parameters": parameters}, manager.Description(""))
    checkpoints.close()
    with pytest.raises(ValueError, match="does not say which model it holds; give the gin file"):
        pretrained.describe(tmp_path)
    found, _ = pretrained.load_parameters(tmp_path, MODEL, partitioner)
    assert_same(found, parameters)
    stored = json.loads((tmp_path / "checkpoint_1" / "config" / "metadata").read_text())
    assert stored["model"] == {}
