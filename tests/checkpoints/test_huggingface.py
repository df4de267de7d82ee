"""Files of Hugging Face are read and written bit for bit, or an error says what is wrong."""

import json
import pathlib
import shutil
import subprocess
import sys

import jax
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from t5x_lite.checkpoints import huggingface
from t5x_lite.errors import UserError
from t5x_lite.model import transformer
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.tokenizer import load_tokenizer

REFERENCES = pathlib.Path(__file__).parents[1] / "references" / "huggingface"
FAMILIES = sorted(path.name for path in REFERENCES.iterdir())


def assert_trees_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_parameters_are_those_of_the_model_in_float32(family):
    """The same tree as a fresh model's, so that training may start from it."""
    config, parameters = huggingface.load(REFERENCES / family)
    wanted = transformer.abstract_parameters(config)
    shapes = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype), parameters)
    assert shapes == wanted
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(parameters))


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_saved_is_what_is_loaded(family, tmp_path):
    """Bit for bit, and the config too."""
    config, parameters = huggingface.load(REFERENCES / family)
    huggingface.save(tmp_path, config, parameters)
    config_again, parameters_again = huggingface.load(tmp_path)
    assert config_again == config
    assert_trees_equal(parameters_again, parameters)


@pytest.mark.parametrize("family", FAMILIES)
def test_tensors_are_saved_under_the_names_they_came_with(family, tmp_path):
    """Otherwise the round trip would hold with names that only we understand."""
    huggingface.save(tmp_path, *huggingface.load(REFERENCES / family))
    saved = safetensors.numpy.load_file(tmp_path / "model.safetensors")
    assert_trees_equal(
        saved, safetensors.numpy.load_file(REFERENCES / family / "model.safetensors")
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_a_slice_is_the_slice_of_the_whole(family):
    """A process reads what its devices hold: layers, turned kernels and vectors alike."""
    _, whole = huggingface.load(REFERENCES / family)
    with huggingface.opened(REFERENCES / family) as (_, lazy):
        for part, leaf in zip(jax.tree.leaves(lazy), jax.tree.leaves(whole), strict=True):
            assert part.shape == leaf.shape
            for index in (
                tuple(slice(0, max(1, size // 2)) for size in leaf.shape),
                tuple(slice(size // 2, size) for size in leaf.shape),
                (*(slice(None) for _ in leaf.shape[1:]), slice(1, 3)),
            ):
                np.testing.assert_array_equal(part[index], leaf[index])


def test_bfloat16_files_are_upcast(tmp_path, edit):
    """NumPy has no bfloat16 of its own; every bfloat16 is a float32."""

    def to_bfloat16(tensors):
        tensors.update({name: x.astype(ml_dtypes.bfloat16) for name, x in tensors.items()})

    _, exact = huggingface.load(REFERENCES / "t5_v1_1")
    _, rounded = huggingface.load(edit(REFERENCES / "t5_v1_1", tmp_path, change=to_bfloat16))
    assert_trees_equal(
        rounded,
        jax.tree.map(lambda leaf: leaf.astype(ml_dtypes.bfloat16).astype(np.float32), exact),
    )


def test_sharded_files_read_as_one(tmp_path):
    """What is bigger than 5 or 50 GB comes in several files with an index."""
    source = REFERENCES / "t5_v1_1"
    tensors = safetensors.numpy.load_file(source / "model.safetensors")
    shard_of = {
        name: f"model-{1 + index % 2:05}-of-00002.safetensors"
        for index, name in enumerate(sorted(tensors))
    }
    for shard in set(shard_of.values()):
        part = {name: x for name, x in tensors.items() if shard_of[name] == shard}
        safetensors.numpy.save_file(part, tmp_path / shard)
    index = {"metadata": {}, "weight_map": shard_of}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    shutil.copy(source / "config.json", tmp_path)
    assert_trees_equal(huggingface.load(tmp_path)[1], huggingface.load(source)[1])


def test_everything_wrong_is_named_at_once(tmp_path, edit):
    """One name per attempt would take an afternoon on a file of 40 GB."""

    def damage(tensors):
        del tensors["encoder.block.1.layer.0.SelfAttention.q.weight"]
        tensors["decoder.block.7.layer.0.layer_norm.weight"] = np.zeros(12, np.float32)
        tensors["decoder.final_layer_norm.weight"] = np.zeros(13, np.float32)
        tensors["lm_head.weight"] = np.zeros((48, 12), np.int8)

    with pytest.raises(ValueError) as error:
        huggingface.load(edit(REFERENCES / "t5_v1_1", tmp_path, change=damage))
    assert str(error.value).splitlines()[1:] == [
        "missing: encoder.block.1.layer.0.SelfAttention.q.weight, needed (20, 12)",
        "left over: decoder.block.7.layer.0.layer_norm.weight, found (12,)",
        "shape: decoder.final_layer_norm.weight, needed (12,), found (13,)",
        "type: lm_head.weight, needed one of ('F64', 'F32', 'F16', 'BF16'), found I8",
    ]


@pytest.mark.parametrize("family", ["t5_v1_0", "umt5"])
def test_no_tensor_can_be_missing(family, tmp_path, edit):
    """Each in turn: a name the check forgets is one that would stay at its random start."""
    names = safetensors.numpy.load_file(REFERENCES / family / "model.safetensors")
    for name in names:
        folder = edit(
            REFERENCES / family,
            tmp_path,
            tie_word_embeddings=family == "t5_v1_0",
            transformers_version=None,
            scale_decoder_outputs=None,
            change=lambda tensors, name=name: tensors.pop(name),
        )
        with pytest.raises(ValueError, match=f"missing: {name}, needed"):
            huggingface.load(folder)


COPIES = [
    "encoder.embed_tokens.weight",
    "decoder.embed_tokens.weight",
    "lm_head.weight",
]


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_of_the_embedding_is_welcome_if_it_is_one(name, tmp_path, edit):
    """Older files repeat it; one with values of its own is a model that must not be tied."""

    def repeat(tensors):
        tensors[name] = tensors["shared.weight"].copy()

    def differ(tensors):
        repeat(tensors)
        tensors[name][3, 4] += 1

    v1_0 = {"scale_decoder_outputs": None, "transformers_version": "4.41.0"}
    same = edit(REFERENCES / "t5_v1_0", tmp_path, change=repeat, **v1_0)
    assert_trees_equal(huggingface.load(same), huggingface.load(REFERENCES / "t5_v1_0"))
    with pytest.raises(ValueError, match=f"not a copy: {name} differs from shared.weight"):
        huggingface.load(edit(REFERENCES / "t5_v1_0", tmp_path, change=differ, **v1_0))


def test_an_embedding_stored_only_as_a_copy_is_found(tmp_path, edit):
    """Some exports that drop repeated tensors keep the decoder's name."""

    def rename(tensors):
        tensors["decoder.embed_tokens.weight"] = tensors.pop("shared.weight")

    renamed = edit(REFERENCES / "t5_v1_1", tmp_path, change=rename)
    assert_trees_equal(huggingface.load(renamed), huggingface.load(REFERENCES / "t5_v1_1"))


def test_a_directory_without_safetensors_says_how_to_make_them(tmp_path):
    """A pytorch_model.bin is a pickle, which only torch opens."""
    shutil.copy(REFERENCES / "t5_v1_0" / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="save_pretrained"):
        huggingface.load(tmp_path)


def test_a_parameter_that_is_absent_is_not_saved_as_a_hole(tmp_path):
    """Of a tensor that joins several the rest would be whatever memory held."""
    config, parameters = huggingface.load(REFERENCES / "gpt2")
    del parameters["decoder"]["layers"]["self_attention"]["key"]["bias"]
    with pytest.raises(UserError, match="absent are decoder/layers/self_attention/key/bias, too"):
        huggingface.save(tmp_path / "out", config, parameters)
    assert not (tmp_path / "out").exists()


def test_a_tokenizer_is_saved_beside_its_model(tmp_path):
    """One directory is all that has to be handed on; without a tokenizer there is none in it."""
    model = huggingface.load(REFERENCES / "byt5")
    huggingface.save(tmp_path, *model)
    with pytest.raises(FileNotFoundError, match="no tokenizer in"):
        load_tokenizer(tmp_path)
    huggingface.save(tmp_path, *model, ByteTokenizer(extra_ids=7))
    assert load_tokenizer(tmp_path).files() == ByteTokenizer(extra_ids=7).files()
    assert_trees_equal(huggingface.load(tmp_path), model)


def test_loading_imports_neither_torch_nor_tensorflow():
    """A conversion or a notebook that generates text waits for neither."""
    program = (
        "import sys; from t5x_lite.checkpoints import huggingface; huggingface.load(sys.argv[1]); "
        "print([name for name in ('torch', 'transformers', 'tensorflow') if name in sys.modules])"
    )
    found = subprocess.run(
        [sys.executable, "-c", program, str(REFERENCES / "t5_v1_0")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "[]"
