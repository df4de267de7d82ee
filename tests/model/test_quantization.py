"""Weights as int8: rounded by half a step, a fourth of the bytes, the same model to a per cent."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.model import transformer
from t5x_lite.model.choices import ActivationDtype, Sharing, Weights
from t5x_lite.model.config import LoraConfig
from t5x_lite.model.quantization import quantized
from t5x_lite.testing import tiny_model

VOCAB = 48


def test_rounding_is_half_a_step_of_its_own_channel():
    """Also of a channel a thousand times as large as its neighbours, and of one that is zero."""
    rng = np.random.default_rng(0)
    kernel = rng.standard_normal((3, 16, 8), np.float32)
    kernel[:, :, 1] *= 1000
    kernel[:, :, 2] = 0
    values, scales = quantized(jnp.asarray(kernel), axis=-2)
    assert values.dtype == jnp.int8 and scales.shape == (3, 8)
    step = np.asarray(scales)[:, None, :]
    error = np.abs(np.asarray(values, np.float32) * step - kernel)
    assert (error <= step * (0.5 + 1e-5)).all()
    assert not np.asarray(values)[:, :, 2].any()
    # The largest of each channel is hit, so that no bit is left unused.
    largest = np.abs(np.asarray(values, np.int32)).max(axis=1)
    assert (largest[:, [0, 1, 3, 4, 5, 6, 7]] == 127).all()


@pytest.fixture(scope="module")
def batch():
    rng = np.random.default_rng(1)
    tokens = {
        name: jnp.asarray(rng.integers(2, VOCAB, (4, 8)), jnp.int32)
        for name in ("encoder_input_tokens", "decoder_input_tokens")
    }
    ones = jnp.ones((4, 8), jnp.int32)
    return tokens | {
        "encoder_segment_ids": ones,
        "decoder_segment_ids": ones,
        "decoder_causal_attention": jnp.zeros_like(ones),
    }


def models():
    tied = tiny_model(VOCAB)
    separate = tiny_model(VOCAB, logits_via_embedding=False)
    shared = dataclasses.replace(
        tied,
        sharing=Sharing.ENCODER_DECODER,
        decoder=dataclasses.replace(tied.decoder, positions=tied.encoder.positions),
    )
    return {
        "separate": separate,
        "shared": shared,
        "language model": tiny_model(VOCAB, Layout.LM),
        "lora": tied.with_blocks(lora=LoraConfig(rank=2)),
    }


@pytest.mark.parametrize("name", models())
def test_the_tree_depends_on_the_config_alone(name):
    """As of every model: what rounding makes is what is restored, with names and axes."""
    model = models()[name]
    parameters = transformer.init_parameters(model, jax.random.key(0))
    config, found = transformer.quantize(model, parameters)
    assert config == dataclasses.replace(model, weights=Weights.INT8)
    expected = transformer.abstract_parameters(config)
    described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), found)
    assert described == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), expected)
    axes = transformer.parameter_axes(config)
    lengths = jax.tree.map(len, axes, is_leaf=lambda node: isinstance(node, tuple))
    assert lengths == jax.tree.map(lambda leaf: leaf.ndim, found)
    own = found["decoder"]["layers"]
    assert own["self_attention"]["query"]["kernel"].dtype == jnp.int8
    assert own["mlp"]["wo"]["kernel"].dtype == jnp.float32
    is_separate = name == "separate"
    assert (found["token_embedder"]["embedding"].dtype == jnp.int8) == is_separate
    if is_separate:
        assert found["decoder"]["logits_dense"]["kernel"].dtype == jnp.float32
    with pytest.raises(UserError, match="int8 already"):
        transformer.quantize(config, found)


@pytest.mark.parametrize("name", models())
def test_logits_are_near_and_those_of_the_rounded_weights(name, batch):
    """Near the model's own; and what is computed of int8 and scales is, to the order of float32
    sums, what the same weights give when they are float32 again.
    """
    model = models()[name]
    parameters = transformer.init_parameters(model, jax.random.key(0))
    config, small = transformer.quantize(model, parameters)
    logits = jax.jit(transformer.logits, static_argnums=0)
    expected, found = logits(model, parameters, batch), logits(config, small, batch)
    size = float(jnp.std(expected))
    assert 0 < float(jnp.max(jnp.abs(found - expected))) < 0.1 * size
    again = logits(model, as_float32(small), batch)
    np.testing.assert_allclose(found, again, atol=1e-5 * size, rtol=1e-4)


def as_float32(tree):
    """Kernels and vectors with their scales multiplied in."""
    if "kernel_scale" in tree:
        kernel = tree["kernel"].astype(jnp.float32) * tree["kernel_scale"][..., None, :]
        rest = {name: leaf for name, leaf in tree.items() if not name.startswith("kernel")}
        return rest | {"kernel": kernel}
    if "embedding_scale" in tree:
        return {
            "embedding": tree["embedding"].astype(jnp.float32) * tree["embedding_scale"][:, None]
        }
    return {
        name: as_float32(node) if isinstance(node, dict) else node for name, node in tree.items()
    }


def test_decoding_step_by_step_is_the_forward_pass(batch):
    """Also where a CPU puts kernels of several products, and their scales, side by side."""
    config, small = transformer.quantize(
        tiny_model(VOCAB), transformer.init_parameters(tiny_model(VOCAB), jax.random.key(0))
    )
    tokens = batch["decoder_input_tokens"].at[:, 0].set(config.special.start)
    whole = transformer.logits(config, small, batch | {"decoder_input_tokens": tokens})
    prompts = {name: batch[name] for name in ("encoder_input_tokens", "encoder_segment_ids")}
    network = transformer.prepare(config, small)
    step, cache = transformer.start_prepared(network, prompts, max_decode_length=8)
    for position in range(1, 8):
        np.testing.assert_allclose(step, whole[:, position - 1], atol=1e-4)
        step, cache = transformer.advance_prepared(network, tokens[:, position], cache)


def test_bfloat16_holds_int8_exactly(batch):
    """So that rounding is that of activations alone: within the error of bfloat16 without int8."""
    model = tiny_model(VOCAB)
    model = dataclasses.replace(
        model, compute=dataclasses.replace(model.compute, activation_dtype=ActivationDtype.BFLOAT16)
    )
    config, small = transformer.quantize(
        model, transformer.init_parameters(model, jax.random.key(0))
    )
    found = transformer.logits(config, small, batch)
    again = transformer.logits(model, as_float32(small), batch)
    assert float(jnp.max(jnp.abs(found - again))) < 0.1 * float(jnp.std(again))
