"""T5's files of Hugging Face give Hugging Face's logits, or an error that names what is wrong.

The references are made by tests/references/make_huggingface_references.py, where nobody of ours
wrote the arithmetic; torch is not needed here.
"""

import dataclasses
import functools
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.formats.t5 import T5
from t5x_lite.model import transformer
from t5x_lite.model.config import Sharing

REFERENCES = pathlib.Path(__file__).parents[2] / "references" / "huggingface"
FAMILIES = ("byt5", "mt5", "t5_v1_0", "t5_v1_1", "umt5")


def assert_trees_equal(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@functools.partial(jax.jit, static_argnums=0)
def logits_of(config, parameters, batch):
    """Theirs takes id 0 for padding, ours is told by segment ids."""
    segments = {
        "encoder_segment_ids": batch["encoder_input_tokens"] > 0,
        "decoder_segment_ids": batch["decoder_target_tokens"] > 0,
    }
    segments = jax.tree.map(lambda is_real: is_real.astype(jnp.int32), segments)
    return transformer.logits(config, parameters, batch | segments)


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
        found = np.asarray(logits_of(config, parameters, batch))
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
def test_a_directory_written_by_transformers_4_reads_the_same(family, tmp_path, edit):
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


def test_a_v1_1_that_transformers_5_tied_in_silence_is_tied_and_unscaled(tmp_path, edit):
    """Built in code and saved, it has no head of its own but is not scaled as v1.0 is."""
    tied = edit(
        REFERENCES / "t5_v1_1",
        tmp_path,
        change=lambda tensors: tensors.pop("lm_head.weight"),
    )
    config, parameters = huggingface.load(tied)
    assert (config.logits_via_embedding, config.scale_logits) == (True, False)
    assert "logits_dense" not in parameters["decoder"]


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
    config = T5.read_config(values, ())
    assert transformer.num_parameters(config) == count


def test_the_unused_bias_of_released_v1_0_files_is_said_to_be_unused(tmp_path, caplog, edit):
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
def test_a_config_that_is_not_ours_to_run_is_an_error(field, value, message, tmp_path, edit):
    """The shapes would fit, the numbers would not."""
    with pytest.raises(ValueError, match=message):
        huggingface.load(edit(REFERENCES / "t5_v1_0", tmp_path, **{field: value}))


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
