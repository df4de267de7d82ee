"""Encoders by themselves at Hugging Face: heads are those of the file, and nothing is lost."""

import json

import jax
import numpy as np
import pytest
import safetensors.numpy

from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.formats.table import format_of
from t5x_lite.errors import UserError
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig

TINY = (
    "VOCAB_SIZE=130",
    "EMBED_DIM=16",
    "MLP_DIM=12",
    "NUM_HEADS=2",
    "HEAD_DIM=8",
    "NUM_ENCODER_LAYERS=2",
)
NAMES = {
    "bert": "BERT",
    "roberta": "RoBERTa",
    "distilbert": "DistilBERT",
    "albert": "ALBERT",
    "electra": "ELECTRA",
    "xlnet": "XLNet",
}
HEADS = ("masked", "classes", "regression", "span")


def model_of(family, *flags):
    """A tiny model of a family's gin file."""
    learned = () if family == "xlnet" else ("MAX_LENGTH=9",)
    overrides = [("--gin", flag) for flag in (*TINY, *learned, *flags)]
    return gin_config.resolve(ModelConfig, [f"models/{family}.gin"], overrides=overrides).config


def drawn(model, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: rng.standard_normal(leaf.shape, np.float32),
        transformer.abstract_parameters(model),
    )


def assert_same(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


@pytest.mark.parametrize("heads", [None, *HEADS])
@pytest.mark.parametrize("family", NAMES)
def test_what_is_saved_is_read_back_bit_for_bit(family, heads, tmp_path):
    """Of what the family is trained with, and of each head that fine-tuning adds."""
    flags = () if heads is None else (f"HEADS=(@{heads}/HeadConfig(),)",)
    flags += ("NUM_CLASSES=4",) if heads == "classes" else ()
    model = model_of(family, *flags)
    parameters = drawn(model)
    format, values = format_of(model)
    assert format.name == NAMES[family] or heads not in (None, "classes", "regression")
    huggingface.save(tmp_path, model, parameters)
    found, read = huggingface.load(tmp_path)
    # What begins otherwise is no part of a file, and dropout one rate.
    assert (found.heads, found.pooler, found.special) == (model.heads, model.pooler, model.special)
    assert found.encoder == model.encoder
    assert_same(read, parameters)
    assert values["architectures"][0].lower().startswith(format.model_types[0])


def stored(directory):
    """The tensors of a directory, by name."""
    return safetensors.numpy.load_file(directory / "model.safetensors")


def store(directory, tensors):
    safetensors.numpy.save_file(tensors, directory / "model.safetensors", {"format": "pt"})


@pytest.fixture
def saved(tmp_path):
    """A BERT with its two heads, its parameters and where it is."""
    model = model_of("bert")
    parameters = drawn(model)
    huggingface.save(tmp_path, model, parameters)
    return tmp_path, model, parameters


def test_a_bare_model_has_no_prefix_and_no_heads(saved):
    """As transformers saves it, with its pooler or without."""
    directory, _, parameters = saved
    bare = {
        name.removeprefix("bert."): each
        for name, each in stored(directory).items()
        if name.startswith("bert.")
    }
    store(directory, bare)
    found, read = huggingface.load(directory)
    assert (found.heads, found.pooler) == ((), True)
    assert_same(read, {k: v for k, v in parameters.items() if k != "heads"})
    store(directory, {k: v for k, v in bare.items() if not k.startswith("pooler.")})
    found, read = huggingface.load(directory)
    assert not found.pooler and "pooler" not in read


def test_old_names_constants_and_copies_are_understood(saved):
    """gamma and beta, position ids, and the tied head under its other names."""
    directory, _, parameters = saved
    tensors = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace(
            "LayerNorm.bias", "LayerNorm.beta"
        ): each
        for name, each in stored(directory).items()
    }
    tensors["bert.embeddings.position_ids"] = np.arange(9)[None]
    tensors["cls.predictions.decoder.weight"] = tensors["bert.embeddings.word_embeddings.weight"]
    tensors["cls.predictions.decoder.bias"] = tensors.pop("cls.predictions.bias")
    store(directory, tensors)
    assert_same(huggingface.load(directory)[1], parameters)
    tensors["cls.predictions.decoder.weight"] = 2 * tensors["cls.predictions.decoder.weight"]
    store(directory, tensors)
    with pytest.raises(UserError, match="not a copy: cls.predictions.decoder.weight differs"):
        huggingface.load(directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("cls.predictions.bias", "missing: cls.predictions.bias"),
        ("bert.encoder.layer.1.output.dense.weight", "missing: bert.encoder.layer.1.output.dense"),
        ("+lstm.weight", "left over: lstm.weight, found"),
    ],
)
def test_what_is_missing_or_left_over_is_named(saved, change, message):
    """Of a head of which there is a part, too."""
    directory, *_ = saved
    tensors = stored(directory)
    if change.startswith("+"):
        tensors[change[1:]] = np.zeros((2, 2), np.float32)
    else:
        del tensors[change]
    store(directory, tensors)
    with pytest.raises(UserError, match=message):
        huggingface.load(directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"architectures": ["BertForTokenClassification"]}, "the heads of others are not read"),
        ({"is_decoder": True}, "has False built in"),
        ({"position_embedding_type": "relative_key"}, "has absolute built in"),
        ({"tie_word_embeddings": False}, "has True built in"),
        ({"hidden_act": "mish"}, "needed is one of gelu, gelu_new"),
        ({"num_attention_heads": 3}, "a width that divides over the heads"),
        ({"hidden_size": None}, "lacks hidden_size"),
        ({"layer_norm_eps": 0}, "layer_norm_eps=0; needed is a number above 0"),
    ],
    ids=str,
)
def test_what_is_not_built_here_is_refused(saved, change, message):
    """Its tensors would fit, and its numbers would not."""
    directory, *_ = saved
    path = directory / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(UserError, match=message):
        huggingface.load(directory)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"attn_type": "uni"}, "has bi built in"),
        ({"summary_type": "mean"}, "has last built in"),
        ({"d_head": 5}, "and d_head=5; needed is a width that divides over the heads"),
        ({"clamp_len": 0.5}, "clamp_len=0.5; needed is a number from 1 to"),
    ],
    ids=str,
)
def test_other_distances_and_summaries_are_refused(change, message, tmp_path):
    """What is longest is a field; none is as good as a number that is not above 0."""
    model = model_of("xlnet", "MAX_DISTANCE=7")
    huggingface.save(tmp_path, model, drawn(model))
    path = tmp_path / "config.json"
    values = json.loads(path.read_text())
    assert values["clamp_len"] == 7 and values["d_head"] == 8
    path.write_text(json.dumps({k: v for k, v in values.items() if k != "clamp_len"}))
    assert huggingface.read_config(tmp_path).encoder.positions.max_distance is None
    path.write_text(json.dumps(values | change))
    with pytest.raises(UserError, match=message):
        huggingface.load(tmp_path)


@pytest.mark.parametrize("groups", [2, 1])
def test_albert_shares_all_or_nothing(groups, tmp_path):
    """Other sharings are ours alone, and are refused."""
    sharing = "all" if groups == 1 else "none"
    model = model_of("albert", f"LAYER_SHARING='{sharing}'")
    assert format_of(model)[1]["num_hidden_groups"] == groups
    huggingface.save(tmp_path, model, drawn(model))
    assert huggingface.read_config(tmp_path).encoder.layer_sharing.value == sharing
    with pytest.raises(UserError, match="cannot express this model"):
        format_of(model_of("albert", "LAYER_SHARING='attention'"))


def test_labels_are_those_of_the_file(tmp_path):
    """In the order of their numbers; those that transformers makes up are no names."""
    flags = "HEADS=(@classes/HeadConfig(),)", "NUM_CLASSES=3"
    named = model_of("bert", *flags, "LABELS=('cold', 'mild', 'hot')")
    huggingface.save(tmp_path, named, drawn(named))
    values = json.loads((tmp_path / "config.json").read_text())
    assert values["id2label"] == {"0": "cold", "1": "mild", "2": "hot"}
    assert values["label2id"] == {"cold": 0, "mild": 1, "hot": 2}
    assert huggingface.read_config(tmp_path).heads == named.heads
    unnamed = model_of("bert", *flags)
    assert format_of(unnamed)[1]["id2label"]["2"] == "LABEL_2"
    for wrong in ({"0": "cold", "2": "hot"}, {"0": 1}, ["cold", "hot"]):
        (tmp_path / "config.json").write_text(json.dumps(values | {"id2label": wrong}))
        with pytest.raises(UserError, match=r"id2label=.*needed is an object with a name for each"):
            huggingface.read_config(tmp_path)
