"""A student begins as layers of its teacher, bit for bit, and all of them are the teacher."""

import dataclasses
import functools

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.checkpoints import huggingface, pretrained
from t5x_lite.compression import students
from t5x_lite.compression.distillation_config import StudentConfig
from t5x_lite.errors import UserError
from t5x_lite.exporting.config import ExportConfig, Format
from t5x_lite.exporting.export import export
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import Wanted
from t5x_lite.model import transformer
from t5x_lite.model.config import LayerSharing, ModelConfig, Sharing
from t5x_lite.testing import tiny_model

pytestmark = pytest.mark.usefixtures("two_devices")

T5 = dataclasses.replace(tiny_model(32), sharing=Sharing.NONE).with_stacks(
    lambda _, stack: dataclasses.replace(stack, num_layers=4)
)


@functools.cache
def bert():
    """Four layers and all parts that a student may lack."""
    sizes = {
        "VOCAB_SIZE": 32,
        "EMBED_DIM": 16,
        "MLP_DIM": 32,
        "NUM_HEADS": 2,
        "HEAD_DIM": 8,
        "NUM_ENCODER_LAYERS": 4,
        "MAX_LENGTH": 12,
    }
    given = [("--gin", f"{name}={value}") for name, value in sizes.items()]
    special = {"unknown": 1, "start": 2, "end": 3}
    given += [("--gin", f"SpecialTokens.{name}={value}") for name, value in special.items()]
    return gin_config.resolve(ModelConfig, ["models/bert.gin"], overrides=given).config


@functools.cache
def parameters_of(model):
    init = jax.jit(functools.partial(transformer.init_parameters, model))
    return jax.device_get(init(jax.random.key(0)))


def made(model, **fields):
    student, parameters = students.make(StudentConfig(**fields), model, parameters_of(model))
    wanted = jax.tree.map(lambda leaf: leaf.shape, transformer.abstract_parameters(student))
    assert jax.tree.map(np.shape, parameters) == wanted
    return student, parameters


def test_a_shallow_decoder_has_the_layers_that_are_named():
    """All else is the teacher's, bit for bit."""
    model, parameters = made(T5, decoder_layers=(1, 4))
    assert (model.encoder.depth, model.decoder.depth) == (4, 2)
    theirs = parameters_of(T5)
    ours, own = parameters["decoder"]["layers"], theirs["decoder"]["layers"]
    jax.tree.map(lambda one, all: np.testing.assert_array_equal(one, all[[0, 3]]), ours, own)
    rest = dict(theirs["decoder"]) | {"layers": ours}
    expected = theirs | {"decoder": rest}
    jax.tree.map(np.testing.assert_array_equal, parameters, expected)


def test_all_layers_are_the_model_itself():
    model, parameters = made(T5, encoder_layers=(1, 2, 3, 4))
    assert model == T5
    jax.tree.map(np.testing.assert_array_equal, parameters, parameters_of(T5))


@pytest.mark.parametrize(
    ("sharing", "given"),
    [("stacks", {"encoder_layers": (2, 3)}), ("stacks", {"decoder_layers": (2, 3)})],
)
def test_stacks_that_share_layers_have_the_same(sharing, given):
    shared = dataclasses.replace(T5, sharing=Sharing.ENCODER_DECODER)
    model, parameters = made(shared, **given)
    assert model.encoder.depth == model.decoder.depth == 2
    kernel = parameters["decoder"]["layers"]["mlp"]["wi"]["kernel"]
    whole = parameters_of(shared)["decoder"]["layers"]["mlp"]["wi"]["kernel"]
    np.testing.assert_array_equal(kernel, whole[1:3])
    with pytest.raises(UserError, match="whose stacks share theirs: needed are the same"):
        made(shared, encoder_layers=(1,), decoder_layers=(2,))


def test_layers_with_weights_in_common_are_only_fewer():
    model = dataclasses.replace(
        bert(), encoder=dataclasses.replace(bert().encoder, layer_sharing=LayerSharing.ALL)
    )
    student, parameters = made(model, encoder_layers=(1, 3))
    assert student.encoder.depth == 2
    jax.tree.map(np.testing.assert_array_equal, parameters, parameters_of(model))


def test_without_types_texts_of_one_are_read_as_before():
    """And without a pooler the heads that read it are not there either."""
    model, parameters = made(bert(), without=("token_types", "pooler"))
    assert not model.encoder.token_types and not model.pooler
    assert [head.kind.value for head in model.heads] == ["tokens"]
    tokens = np.random.default_rng(0).integers(4, 32, (2, 8), np.int32)
    batch = jax.tree.map(
        jax.numpy.asarray,
        {
            "encoder_input_tokens": tokens,
            "encoder_segment_ids": np.ones_like(tokens),
        },
    )
    ours, theirs = (
        transformer.apply(each, jax.device_put(own), batch, wanted=Wanted(("tokens",)))
        .heads["tokens"]
        .all()
        for each, own in ((model, parameters), (bert(), parameters_of(bert())))
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"decoder_layers": (1, 5)}, r"decoder_layers=1,5 of .* 4 layers: needed .* from 1 to 4"),
        ({"without": ("pooler",)}, "--without=pooler of a model that has none"),
        ({"without": ("token_types",)}, "--without=token_types of a model that has none"),
    ],
)
def test_what_is_not_there_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        made(T5, **given)


def test_what_cannot_be_meant_is_refused():
    lm = tiny_model(32, Layout.LM)
    with pytest.raises(UserError, match="encoder_layers=1 of a model without encoder"):
        made(lm, encoder_layers=(1,))
    with pytest.raises(UserError, match=r"encoder_layers=\(0,\): needed are layers from 1"):
        StudentConfig(encoder_layers=(0,))
    with pytest.raises(UserError, match="without=layers: needed are some of token_types, pooler"):
        StudentConfig(without=("layers",))


def test_layers_keep_their_turns():
    """Of dense and banded ones each stays what it was."""
    model = T5.with_stacks(lambda _, stack: dataclasses.replace(stack, window=3, window_every=2))
    made(model, encoder_layers=(3, 4))
    with pytest.raises(UserError, match="encoder_layers=1,3 .* 3 tokens in every 2. layer alone"):
        made(model, encoder_layers=(1, 3))


@pytest.mark.parametrize("format", [Format.HUGGINGFACE, Format.CHECKPOINT])
def test_an_exported_student_is_read_back(format, tmp_path, capsys):
    """DistilBERT of BERT, without its teacher."""
    huggingface.save(tmp_path / "teacher", bert(), parameters_of(bert()))
    chosen = StudentConfig(encoder_layers=(1, 3), without=("token_types", "pooler"))
    export(
        ExportConfig(
            path=str(tmp_path / "teacher"),
            output=str(tmp_path / "student"),
            format=format,
            student=chosen,
        )
    )
    assert "the student has " in capsys.readouterr().out
    found = pretrained.describe(tmp_path / "student").model
    assert found.encoder.depth == 2 and not found.encoder.token_types and not found.pooler
