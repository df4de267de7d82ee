"""Models whose products are of 8 bits: what training computes is what integers give."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.compression import ranges
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.features.outputs import Wanted
from t5x_lite.model import transformer
from t5x_lite.model.choices import ActivationDtype, Granularity, LayerSharing, Sharing, Weights
from t5x_lite.model.config import LoraConfig, QuantizationConfig
from t5x_lite.testing import tiny_model

VOCAB = 48
_LOGITS = jax.jit(transformer.logits, static_argnums=0)
_SEEN = jax.jit(
    lambda model, *given: transformer.apply_with_ranges(model, *given)[1], static_argnums=0
)


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
    shared = dataclasses.replace(
        tied,
        sharing=Sharing.ENCODER_DECODER,
        decoder=dataclasses.replace(tied.decoder, positions=tied.encoder.positions),
    )
    same_layers = tied.with_stacks(
        lambda _, stack: dataclasses.replace(stack, layer_sharing=LayerSharing.ALL)
    )
    found = {
        "tied": tied,
        "shared stacks": shared,
        "shared layers": same_layers,
        "language model": tiny_model(VOCAB, Layout.LM),
        "encoder": tiny_model(VOCAB, Layout.ENCODER),
        "lora": tied.with_blocks(lora=LoraConfig(rank=2), adapter_dim=8),
    }
    return {name: of_8_bits(model) for name, model in found.items()}


def of_8_bits(model, **fields):
    return dataclasses.replace(model, quantization=QuantizationConfig(**fields))


def trained(model, batch, seed=0):
    """Random parameters with the ranges that a batch shows, and kernels a hundred times apart."""
    parameters = transformer.init_parameters(model, jax.random.key(seed))
    return ranges.moved(parameters, _SEEN(model, parameters, batch), 0.0)


@pytest.mark.parametrize(
    ("name", "granularity"),
    [*((name, Granularity.CHANNEL) for name in models()), ("lora", Granularity.TENSOR)],
)
def test_integers_give_what_training_computes(name, granularity, batch):
    """To the last bit in float32, which holds such sums exactly: far less than a step. Of each
    layer with its own ranges; and it is near to the model without rounding, not the same.
    """
    model = of_8_bits(models()[name], granularity=granularity)
    parameters = trained(model, batch)
    felt = _LOGITS(model, parameters, batch)
    small, integers = transformer.quantize(model, parameters)
    np.testing.assert_allclose(_LOGITS(small, integers, batch), felt, atol=1e-5)
    plain = dataclasses.replace(model, quantization=None)
    exact = _LOGITS(plain, ranges.without(parameters), batch)
    assert 1e-4 < float(jnp.max(jnp.abs(felt - exact))) < 0.3 * float(jnp.std(exact))


@pytest.mark.parametrize("name", models())
def test_the_tree_depends_on_the_config_alone(name, batch):
    """Each kernel of a stack is int8 with its range; heads are float32."""
    model = models()[name]
    parameters = trained(model, batch)
    small, found = transformer.quantize(model, parameters)
    assert small == dataclasses.replace(model, weights=Weights.INT8)
    for config, tree in ((model, parameters), (small, found)):
        expected = transformer.abstract_parameters(config)
        described = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), tree)
        assert described == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), expected)
    paths = {
        jax.tree_util.keystr(keys, simple=True, separator="/"): leaf
        for keys, leaf in jax.tree_util.tree_leaves_with_path(found)
    }
    kernels = {path: leaf for path, leaf in paths.items() if path.endswith("/kernel")}
    for path, leaf in kernels.items():
        is_rounded = not path.endswith("logits_dense/kernel")
        assert (leaf.dtype == jnp.int8) == is_rounded, path
        assert (path.replace("kernel", "input_range") in paths) == is_rounded
    assert paths["token_embedder/embedding"].dtype == jnp.int8
    with pytest.raises(UserError, match="int8 already"):
        transformer.quantize(small, found)


@pytest.mark.parametrize("name", models())
def test_every_range_is_seen(name, batch):
    """At its place in the tree and with its shape; where weights are shared it is that of all that
    read them.
    """
    model = models()[name]
    parameters = transformer.init_parameters(model, jax.random.key(0))
    seen = _SEEN(model, parameters, batch)
    with pytest.raises(UserError, match="ranges of what kernels read are not known"):
        ranges.check_known(parameters)
    moved = ranges.moved(parameters, seen, 0.0)
    ranges.check_known(moved)
    shapes = jax.tree.map(jnp.shape, parameters)
    assert jax.tree.map(jnp.shape, moved) == shapes


def test_what_both_stacks_read_with_one_kernel_is_one_range(batch):
    """Of the encoder alone it is a part of it."""
    model = models()["shared stacks"]
    parameters = transformer.init_parameters(model, jax.random.key(0))
    whole = _SEEN(model, parameters, batch)

    def look(parameters, batch):
        return transformer.apply_with_ranges(
            model, parameters, batch, wanted=Wanted((), ("encoder",))
        )[1]

    part = jax.jit(look)(parameters, batch)
    one = part["decoder"]["layers"]["mlp"]["wi"]["input_range"]
    both = whole["decoder"]["layers"]["mlp"]["wi"]["input_range"]
    assert (both[:, 0] <= one[:, 0]).all() and (both[:, 1] >= one[:, 1]).all()
    assert (both != one).any()


def test_nothing_is_rounded_where_all_stays_float(batch):
    """But for what is asked to stay: a layer whose kernels all do is the plain one, to the bit."""
    names = ("query", "key", "value", "out", "wi", "wo")
    model = of_8_bits(tiny_model(VOCAB), float_kernels=names, embedding=False)
    parameters = transformer.init_parameters(model, jax.random.key(0))
    plain = dataclasses.replace(model, quantization=None)
    assert jax.tree.structure(parameters) == jax.tree.structure(
        transformer.abstract_parameters(plain)
    )
    np.testing.assert_array_equal(
        _LOGITS(model, parameters, batch), _LOGITS(plain, parameters, batch)
    )
    wo = of_8_bits(tiny_model(VOCAB), float_kernels=("wo",))
    tree = transformer.abstract_parameters(dataclasses.replace(wo, weights=Weights.INT8))
    mlp = tree["encoder"]["layers"]["mlp"]
    assert mlp["wo"]["kernel"].dtype == jnp.float32 and mlp["wi"]["kernel"].dtype == jnp.int8


def test_pruned_weights_stay_zero(batch):
    """Zero is zero steps, so what was pruned is pruned in int8."""
    model = models()["tied"]
    parameters = trained(model, batch)
    kernel = parameters["encoder"]["layers"]["mlp"]["wi"]["kernel"]
    mask = jax.random.uniform(jax.random.key(1), kernel.shape) < 0.1
    parameters["encoder"]["layers"]["mlp"]["wi"]["kernel"] = kernel * mask
    held = transformer.quantize(model, parameters)[1]["encoder"]["layers"]["mlp"]["wi"]["kernel"]
    assert not np.asarray(held)[~np.asarray(mask)].any()
    assert np.asarray(held)[np.asarray(mask)].any()


@pytest.mark.parametrize("is_held", [False, True])
def test_decoding_step_by_step_is_the_forward_pass(is_held, batch):
    """Of float32 weights and of int8, where kernels stand side by side."""
    model = of_8_bits(tiny_model(VOCAB))
    tokens = batch["decoder_input_tokens"].at[:, 0].set(model.special.start)
    parameters = trained(model, batch | {"decoder_input_tokens": tokens})
    if is_held:
        model, parameters = transformer.quantize(model, parameters)
    whole = _LOGITS(model, parameters, batch | {"decoder_input_tokens": tokens})
    prompts = {name: batch[name] for name in ("encoder_input_tokens", "encoder_segment_ids")}
    network = transformer.prepare(model, parameters)
    step, cache = transformer.start_prepared(network, prompts, max_decode_length=8)
    for position in range(1, 8):
        # A number between two steps may fall to either: sums of attention differ in their order.
        far = float(jnp.max(jnp.abs(step - whole[:, position - 1])))
        assert far < 0.02 * float(jnp.std(whole))
        step, cache = transformer.advance_prepared(network, tokens[:, position], cache)


def test_bfloat16_holds_whole_numbers_exactly(batch):
    """So that both forms differ by the rounding of their sums alone."""
    model = of_8_bits(tiny_model(VOCAB))
    compute = dataclasses.replace(model.compute, activation_dtype=ActivationDtype.BFLOAT16)
    model = dataclasses.replace(model, compute=compute)
    parameters = trained(model, batch)
    felt = _LOGITS(model, parameters, batch)
    found = _LOGITS(*transformer.quantize(model, parameters), batch)
    assert float(jnp.max(jnp.abs(found - felt))) < 0.1 * float(jnp.std(felt))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"float_kernels": ("vo",)}, "'vo' is no kernel, the nearest is 'wo'.*FLOAT_KERNELS"),
        ({"decay": 1.5}, "decay=1.5"),
    ],
)
def test_what_cannot_be_meant_is_refused(fields, message):
    with pytest.raises(UserError, match=message):
        QuantizationConfig(**fields)
