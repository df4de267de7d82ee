"""Files of Hugging Face give Hugging Face's logits, or an error that names what is wrong with them.

The references are made by tests/references/make_huggingface_references.py, where nobody of ours
wrote the arithmetic; torch is not needed here.
"""

import dataclasses
import functools
import json
import pathlib
import shutil
import subprocess
import sys

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

from t5x_lite.checkpoints import huggingface, huggingface_config
from t5x_lite.model import transformer
from t5x_lite.model.config import Sharing

REFERENCES = pathlib.Path(__file__).parents[1] / "references" / "huggingface"
FAMILIES = sorted(path.name for path in REFERENCES.iterdir())


def edit(source: pathlib.Path, target: pathlib.Path, *, change=lambda tensors: None, **fields):
    """A copy of a reference with other tensors or fields of config.json (None removes one)."""
    target.mkdir(exist_ok=True)
    values = json.loads((source / "config.json").read_text()) | fields
    values = {name: value for name, value in values.items() if value is not None}
    (target / "config.json").write_text(json.dumps(values))
    tensors = safetensors.numpy.load_file(source / "model.safetensors")
    change(tensors)
    safetensors.numpy.save_file(tensors, target / "model.safetensors")
    return target


def assert_trees_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@functools.partial(jax.jit, static_argnums=0)
def apply(config, parameters, batch):
    return transformer.apply(config, parameters, batch)


def worst_error(folder: pathlib.Path, reference: pathlib.Path) -> float:
    """The largest difference of logits, relative to the largest logit, over all stored batches."""
    config, parameters = huggingface.load(folder)
    stored = np.load(reference / "logits.npz")
    errors = []
    for index in range(3):
        batch = {
            name.split("/")[1]: jnp.asarray(stored[name])
            for name in stored
            if name.startswith(f"{index}/") and not name.endswith("logits")
        }
        expected = stored[f"{index}/logits"]
        found = np.asarray(apply(config, parameters, batch))
        real = batch["decoder_target_tokens"] > 0
        errors.append(np.abs(found - expected)[real].max() / np.abs(expected[real]).max())
    assert len(errors) == 3
    return max(errors)


@pytest.mark.parametrize("family", FAMILIES)
def test_logits_are_hugging_faces(family):
    """1e-5 of the largest logit leaves room for the order of float32 sums and for nothing else."""
    assert worst_error(REFERENCES / family, REFERENCES / family) <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_has_as_many_parameters_as_the_reference(family):
    """A head tied in silence costs parameters before it costs logits."""
    config = huggingface.read_config(REFERENCES / family)
    stored = np.load(REFERENCES / family / "logits.npz")
    assert transformer.num_parameters(config) == stored["num_parameters"]


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
def test_a_directory_written_by_transformers_4_reads_the_same(family, tmp_path):
    """It answered both questions about the head with tie_word_embeddings and had no other field."""
    config, parameters = huggingface.load(REFERENCES / family)
    old = edit(
        REFERENCES / family,
        tmp_path,
        transformers_version="4.41.0",
        scale_decoder_outputs=None,
        tie_word_embeddings=None if config.logits_via_embedding else False,
    )
    config_of_old, parameters_of_old = huggingface.load(old)
    assert config_of_old == config
    assert_trees_equal(parameters_of_old, parameters)


def test_a_v1_1_that_transformers_5_tied_in_silence_is_tied_and_unscaled(tmp_path):
    """Built in code and saved, it has no head of its own but is not scaled as v1.0 is."""
    tied = edit(
        REFERENCES / "t5_v1_1",
        tmp_path,
        change=lambda tensors: tensors.pop("lm_head.weight"),
    )
    config, parameters = huggingface.load(tied)
    assert (config.logits_via_embedding, config.scale_logits) == (True, False)
    assert "logits_dense" not in parameters["decoder"]


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


SIZES = {
    "t5-small": (
        60_506_624,
        {"d_model": 512, "d_ff": 2048, "num_layers": 6, "num_heads": 8},
    ),
    "t5-11b": (
        11_307_321_344,
        {
            "d_model": 1024,
            "d_ff": 65536,
            "num_layers": 24,
            "num_heads": 128,
            "d_kv": 128,
        },
    ),
    "t5-v1_1-small": (
        76_961_152,
        {
            "d_model": 512,
            "d_ff": 1024,
            "num_layers": 8,
            "num_heads": 6,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
        },
    ),
    "mt5-small": (
        300_176_768,
        {
            "model_type": "mt5",
            "vocab_size": 250112,
            "d_model": 512,
            "d_ff": 1024,
            "num_layers": 8,
            "num_heads": 6,
            "tie_word_embeddings": False,
        },
    ),
    "umt5-small": (
        306_601_984,
        {
            "model_type": "umt5",
            "vocab_size": 256384,
            "d_model": 512,
            "d_ff": 1024,
            "num_layers": 8,
            "num_heads": 6,
            "tie_word_embeddings": False,
        },
    ),
    "byt5-small": (
        299_637_760,
        {
            "vocab_size": 384,
            "d_model": 1472,
            "d_ff": 3584,
            "num_layers": 12,
            "num_decoder_layers": 4,
            "num_heads": 6,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
        },
    ),
}


@pytest.mark.parametrize("name", SIZES)
def test_published_configs_give_published_parameter_counts(name):
    """Old config.json files leave out most fields; the defaults are part of the format."""
    count, fields = SIZES[name]
    values = {"model_type": "t5", "vocab_size": 32128, "d_kv": 64} | fields
    config = huggingface_config.from_values(values, ())
    assert transformer.num_parameters(config) == count


def test_bfloat16_files_are_upcast(tmp_path):
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


def test_everything_wrong_is_named_at_once(tmp_path):
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
def test_no_tensor_can_be_missing(family, tmp_path):
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
def test_a_copy_of_the_embedding_is_welcome_if_it_is_one(name, tmp_path):
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


def test_an_embedding_stored_only_as_a_copy_is_found(tmp_path):
    """Some exports that drop repeated tensors keep the decoder's name."""

    def rename(tensors):
        tensors["decoder.embed_tokens.weight"] = tensors.pop("shared.weight")

    renamed = edit(REFERENCES / "t5_v1_1", tmp_path, change=rename)
    assert_trees_equal(huggingface.load(renamed), huggingface.load(REFERENCES / "t5_v1_1"))


def test_the_unused_bias_of_released_v1_0_files_is_said_to_be_unused(tmp_path, caplog):
    """Google's T5 v1.0 files all hold it, no T5 adds it: refusing it would refuse them."""
    name = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"

    def add(tensors):
        tensors[name] = np.ones((32, 3), np.float32)

    with_bias = edit(REFERENCES / "t5_v1_0", tmp_path, change=add)
    assert_trees_equal(huggingface.load(with_bias), huggingface.load(REFERENCES / "t5_v1_0"))
    assert name in caplog.text


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("model_type", "longt5", "model_type='longt5'; needed is one of t5, mt5, umt5"),
        (
            "feed_forward_proj",
            "gelu",
            "feed_forward_proj='gelu'; needed is one of relu",
        ),
        ("layer_norm_epsilon", 1e-5, "layer_norm_epsilon=1e-05"),
        ("decoder_start_token_id", 2, "decoder_start_token_id=2"),
        ("d_kv", None, "config.json lacks d_kv"),
    ],
)
def test_a_config_that_is_not_ours_to_run_is_an_error(field, value, message, tmp_path):
    """The shapes would fit, the numbers would not."""
    with pytest.raises(ValueError, match=message):
        huggingface.load(edit(REFERENCES / "t5_v1_0", tmp_path, **{field: value}))


def test_a_directory_without_safetensors_says_how_to_make_them(tmp_path):
    """A pytorch_model.bin is a pickle, which only torch opens."""
    shutil.copy(REFERENCES / "t5_v1_0" / "config.json", tmp_path)
    (tmp_path / "pytorch_model.bin").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match="save_pretrained"):
        huggingface.load(tmp_path)


@pytest.mark.parametrize(
    "change",
    [
        lambda config: dataclasses.replace(config, sharing=Sharing.ENCODER_DECODER),
        lambda config: dataclasses.replace(config, scale_logits=False),
    ],
    ids=["shared", "tied but unscaled"],
)
def test_what_hugging_face_cannot_express_is_not_saved(change, tmp_path):
    """A file that transformers would run as another model is worse than none."""
    config = huggingface.read_config(REFERENCES / "t5_v1_0")
    config = change(
        dataclasses.replace(config, encoder=dataclasses.replace(config.encoder, num_layers=3))
    )
    with pytest.raises(ValueError, match="cannot express this model"):
        huggingface.save(tmp_path / "out", config, transformer.abstract_parameters(config))
    assert not (tmp_path / "out").exists()


def test_directories_are_recognized_and_their_vocabulary_found(tmp_path):
    """A checkpoint of ours has no config.json; ByT5 has no spiece.model."""
    assert not huggingface.is_huggingface_directory(tmp_path)
    edit(REFERENCES / "t5_v1_0", tmp_path)
    assert huggingface.is_huggingface_directory(tmp_path)
    assert huggingface.vocabulary_path(tmp_path) is None
    (tmp_path / "spiece.model").write_bytes(b"")
    assert huggingface.vocabulary_path(tmp_path) == tmp_path / "spiece.model"


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
