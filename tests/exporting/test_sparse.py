"""A pruned model without its zeros: smaller, and the same to whatever reads it."""

import jax
import numpy as np
import pytest

import t5x_lite
from t5x_lite import cli
from t5x_lite.checkpoints import huggingface, manager, pretrained
from t5x_lite.checkpoints.inspect import inspect_checkpoint
from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.checkpoints.stored import stored
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model

BYTES = 384


@pytest.fixture(scope="module")
def model():
    return tiny_model(BYTES)


@pytest.fixture(scope="module")
def pruned(model, draw, tmp_path_factory):
    """A Hugging Face directory of a byte model, 19 of 20 weights of its layers 0."""
    folder, parameters = tmp_path_factory.mktemp("pruned"), draw(model)
    rng = np.random.default_rng(0)
    for name, leaf in leaves(parameters).items():
        if "/layers/" in name and name.endswith("kernel"):
            leaf[rng.random(leaf.shape) < 0.95] = 0
    huggingface.save(folder, model, parameters)
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "ByT5Tokenizer"}')
    return folder


def export(source, output, *flags):
    return cli.main(["export", str(source), "--format=checkpoint", f"--output={output}", *flags])


def num_bytes(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def read(path, num_partitions=1, devices=1):
    config = PartitioningConfig(num_partitions=num_partitions)
    partitioner = make_partitioner(config, jax.devices()[:devices])
    return pretrained.load_parameters(path, None, partitioner)[0]


@pytest.fixture(scope="module")
def exported(pruned, tmp_path_factory):
    """The model in both forms."""
    folder = tmp_path_factory.mktemp("exported")
    assert export(pruned, folder / "dense") == 0
    assert export(pruned, folder / "sparse", "--sparse") == 0
    return folder / "dense", folder / "sparse"


@pytest.mark.parametrize(("num_partitions", "devices"), [(1, 1), (2, 8)])
def test_all_that_was_there_is_read(exported, num_partitions, devices):
    """Bit for bit, on one device and divided over a mesh as it would be."""
    dense, sparse = (read(path, num_partitions, devices) for path in exported)
    for (name, one), other in zip(leaves(dense).items(), jax.tree.leaves(sparse), strict=True):
        assert np.asarray(one).tobytes() == np.asarray(other).tobytes(), name
        assert one.sharding == other.sharding


def test_it_is_really_smaller(exported):
    """The kernels take less than a tenth, all else what it took."""
    dense, sparse = exported
    kernels = [
        leaf for name, leaf in leaves(read(dense)).items() if "layers" in name and leaf.ndim == 3
    ]
    saved = num_bytes(dense) - num_bytes(sparse)
    told = stored(dense).num_bytes - stored(sparse).num_bytes
    assert 0 < told and abs(told - saved) <= 0.1 * saved, "but for the files' own words"
    assert saved > 0.85 * sum(leaf.nbytes for leaf in kernels)


def test_commands_take_it_as_any_checkpoint(exported, tmp_path):
    """Texts, what it holds in words, and an export of it."""
    text = ["bread and butter"]
    scores = [t5x_lite.load(path).score(text, text) for path in exported]
    assert scores[0] == scores[1]
    tables = [inspect_checkpoint(path).partition("leaf ")[2] for path in exported]
    assert sorted(tables[0].split("\n")) == sorted(tables[1].split("\n"))
    assert export(exported[1], tmp_path / "again") == 0
    expected, found = (jax.device_get(read(path)) for path in (exported[0], tmp_path / "again"))
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_another_model_has_another_identity(exported, pruned, tmp_path):
    """A copy has the same."""
    assert export(pruned, tmp_path / "copy", "--sparse") == 0
    _, sparse = exported
    assert pretrained.identity(tmp_path / "copy") == pretrained.identity(sparse)
    model, parameters = huggingface.load(pruned)
    kernel = parameters["encoder"]["layers"]["mlp"]["wo"]["kernel"]
    kernel[kernel != 0] *= 2
    huggingface.save(tmp_path / "other", model, parameters)
    assert export(tmp_path / "other", tmp_path / "out", "--sparse") == 0
    assert pretrained.identity(tmp_path / "out") != pretrained.identity(sparse)


def test_a_changed_byte_is_noticed(pruned, tmp_path):
    """As of any checkpoint."""
    assert export(pruned, tmp_path / "out", "--sparse") == 0
    (file,) = (tmp_path / "out").glob("checkpoint_*/sparse/*.safetensors")
    content = bytearray(file.read_bytes())
    content[-5] ^= 1
    file.write_bytes(content)
    with pytest.raises(ValueError, match="sparse/parameters.safetensors has other bytes"):
        read(manager.find(tmp_path / "out"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--format=huggingface"], "--sparse with format='huggingface', which has a place"),
        (["--format=stablehlo"], "--sparse with format='stablehlo'"),
        ([], "--sparse makes no tensor of this model smaller: needed is one that was pruned"),
    ],
)
def test_nothing_is_written_where_nothing_is_gained(model, draw, flags, message, tmp_path, capsys):
    huggingface.save(tmp_path / "dense", model, draw(model))
    assert export(tmp_path / "dense", tmp_path / "out", "--sparse", *flags) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["dense"]
