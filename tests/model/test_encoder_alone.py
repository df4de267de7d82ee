"""Laws of encoders by themselves: heads, poolers, types of tokens, layers that share weights."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.outputs import POOLED, TOKENS, Wanted
from t5x_lite.model import flops, transformer
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import (
    AttentionConfig,
    BlockConfig,
    HeadConfig,
    HeadKind,
    InitConfig,
    InitScheme,
    LayerSharing,
    LearnedPositionsConfig,
    MLPConfig,
    ModelConfig,
    NormConfig,
    NormKind,
    NormPlace,
    StackConfig,
    Visibility,
)
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

VOCAB, DEPTH, LENGTH = 32, 3, 8
HEADS = (
    HeadConfig(transform="gelu_erf"),
    HeadConfig(kind=HeadKind.SENTENCE, pooled=True),
    HeadConfig(kind=HeadKind.REPLACED, transform="gelu_erf"),
    HeadConfig(kind=HeadKind.CLASSES, transform="tanh", num_classes=4),
    HeadConfig(kind=HeadKind.REGRESSION, pooled=True),
    HeadConfig(kind=HeadKind.SPAN),
)
EVERYTHING = Wanted(tuple(head.kind.value for head in HEADS), ("encoder", POOLED))
SHARINGS = pytest.mark.parametrize("sharing", list(LayerSharing), ids=lambda each: each.value)


@functools.cache
def encoder(sharing=LayerSharing.NONE, token_dim=8, **fields):
    """Three layers, 16 wide, with all heads."""
    block = BlockConfig(
        attention=AttentionConfig(num_heads=2, head_dim=8, bias=True, scale=True),
        mlp=MLPConfig(mlp_dim=24, activations=("gelu_erf",), bias=True),
        norm=NormConfig(kind=NormKind.LAYER, epsilon=1e-12, place=NormPlace.POST),
    )
    stack = StackConfig(
        num_layers=DEPTH,
        visibility=Visibility.FULL,
        block=block,
        # As long as an example: positions have to begin anew in packed rows.
        positions=LearnedPositionsConfig(max_length=LENGTH, unused=2),
        token_types=2,
        input_norm=True,
        layer_sharing=sharing,
    )
    given = {
        "vocab_size": VOCAB,
        "embed_dim": 16,
        "encoder": stack,
        "decoder": None,
        "token_dim": token_dim,
        "heads": HEADS,
        "pooler": True,
        "scale_logits": False,
        "dropout_shared_along_length": False,
        "init": InitConfig(scheme=InitScheme.NORMAL),
    }
    return ModelConfig(**given | fields)


def batch_of(*groups, length):
    """A row for each group of (tokens, types)."""
    names = ("encoder_input_tokens", "encoder_token_types", "encoder_segment_ids")
    batch = {name: np.zeros((len(groups), length), np.int32) for name in names}
    for row, group in enumerate(groups):
        start = 0
        for segment, (tokens, types) in enumerate(group, start=1):
            for name, values in zip(names, (tokens, types, segment), strict=True):
                batch[name][row, start : start + len(tokens)] = values
            start += len(tokens)
    return batch


_RNG = np.random.default_rng(0)
EXAMPLES = [(_RNG.integers(1, VOCAB, n), _RNG.integers(0, 2, n)) for n in (LENGTH, 5)]
APART = batch_of(*([each] for each in EXAMPLES), length=LENGTH)
TOGETHER = batch_of(EXAMPLES, length=16)


def outputs_of(compiled, parameters_of, config, batch, parameters=None):
    """Everything that the model tells, by name."""
    run = compiled(transformer.apply, config, wanted=EVERYTHING)
    found = run(parameters_of(config) if parameters is None else parameters, batch)
    heads = {name: scores.all() for name, scores in found.heads.items()}
    return {name: np.asarray(each) for name, each in (heads | dict(found.hidden)).items()}


@pytest.fixture(scope="module")
def told(compiled, parameters_of):
    """(config, batch, parameters) -> everything by name."""
    return functools.partial(outputs_of, compiled, parameters_of)


def assert_same(got, expected, where=np.s_[:], rtol=5e-6):
    """To a few roundings of the largest: products and norms of some 30 numbers in another order."""
    assert got.keys() == expected.keys()
    for name in got:
        one, other = got[name][where], expected[name]
        np.testing.assert_allclose(
            one, other, rtol=0, atol=rtol * np.abs(other).max(), err_msg=name
        )


def real(outputs, batch):
    """Of positions that are no padding."""
    return {name: each[batch["encoder_segment_ids"] > 0] for name, each in outputs.items()}


@SHARINGS
def test_packed_equals_unpacked(sharing, told):
    """INV-15: for every head, with types and positions of each example's own."""
    config = encoder(sharing)
    apart, together = told(config, APART), told(config, TOGETHER)
    assert_same(real(together, TOGETHER), real(apart, APART))


@SHARINGS
def test_layers_in_a_loop_are_layers_one_by_one(sharing, told, parameters_of):
    """Scan == unrolled, with what layers have in common as well."""
    config = encoder(sharing)
    unrolled = dataclasses.replace(config, compute=ComputeConfig(scan_unroll=DEPTH))
    parameters = parameters_of(config)
    assert_same(told(unrolled, APART, parameters), told(config, APART, parameters))


def loss(config, parameters, batch):
    """Of everything that is told, so that all parameters have a gradient."""
    found = transformer.apply(config, parameters, batch, wanted=EVERYTHING)
    is_real = (batch["encoder_segment_ids"] > 0)[..., None]
    each = [*(scores.all() for scores in found.heads.values()), *found.hidden.values()]
    return sum(jnp.sum(jnp.where(is_real, jnp.sin(values), 0.0)) for values in each)


def gradient(config, parameters, batch):
    """Of the loss."""
    return jax.grad(loss, argnums=1)(config, parameters, batch)


def untied(parameters):
    """A copy of what is shared for each layer."""
    encoder = dict(parameters["encoder"])
    copies = jax.tree.map(lambda leaf: np.stack([leaf] * DEPTH), encoder.pop("shared_layer", {}))
    layers = encoder.pop("layers", {}) | copies
    return parameters | {"encoder": encoder | {"layers": layers}}


@pytest.mark.parametrize("sharing", list(LayerSharing)[1:], ids=lambda each: each.value)
def test_the_gradient_of_a_shared_layer_is_the_sum_over_an_untied_copy_s(
    sharing, compiled, parameters_of, told
):
    """And the copy tells the same; all other gradients are the same."""
    config, plain = encoder(sharing), encoder()
    parameters = parameters_of(config)
    copied = untied(parameters)
    assert_same(told(plain, APART, copied), told(config, APART, parameters))
    shared = compiled(gradient, config)(parameters, APART)
    apart = compiled(gradient, plain)(copied, APART)
    summed = dict(apart["encoder"]["layers"])
    for name in shared["encoder"]["shared_layer"]:
        summed[name] = jax.tree.map(lambda leaf: leaf.sum(axis=0), summed[name])
    assert (
        shared["encoder"]["shared_layer"].keys()
        == {
            LayerSharing.ALL: summed.keys(),
            LayerSharing.ATTENTION: {"attention", "post_attention_layer_norm"},
            LayerSharing.MLP: {"mlp", "post_mlp_layer_norm"},
        }[sharing]
    )
    own = dict(shared["encoder"])
    found = own.pop("shared_layer") | own.pop("layers", {})
    expected = {k: v for k, v in apart["encoder"].items() if k != "layers"}
    pairs = [(found, summed), (own, expected), (shared["heads"], apart["heads"])]
    for ours, theirs in pairs:
        largest = max(np.abs(leaf).max() for leaf in jax.tree.leaves(theirs))
        for (path, one), other in zip(
            jax.tree_util.tree_leaves_with_path(ours), jax.tree.leaves(theirs), strict=True
        ):
            np.testing.assert_allclose(one, other, rtol=0, atol=5e-6 * largest, err_msg=str(path))


@pytest.mark.parametrize("sharing", [LayerSharing.NONE, LayerSharing.MLP], ids=str)
def test_a_mesh_tells_what_one_device_tells(sharing, told, parameters_of):
    """INV-22: 4 x 2, parameters split over both axes; heads and poolers included."""
    config, parameters = encoder(sharing), parameters_of(encoder(sharing))
    rules = PartitioningConfig(num_partitions=2, parameter_axis_rules=(("embed", "data"),))
    partitioner = make_partitioner(rules)
    places = partitioner.shardings(transformer.parameter_axes(config), parameters)
    batch = {name: np.concatenate([each] * 2) for name, each in APART.items()}

    def run(parameters, batch):
        with partitioner.activations():
            found = transformer.apply(config, parameters, batch, wanted=EVERYTHING)
        heads = {name: scores.all() for name, scores in found.heads.items()}
        return heads | dict(found.hidden)

    split = partitioner.sharding(())
    got = jax.jit(run, out_shardings=split)(
        jax.device_put(parameters, places), partitioner.global_batch(batch)
    )
    assert_same(jax.tree.map(np.asarray, got), told(config, batch, parameters))


def test_contents_of_padding_never_leak(told):
    """Segment ids alone say what is padding."""
    dirty = dict(APART)
    padding = APART["encoder_segment_ids"] == 0
    assert padding.any()
    for name in ("encoder_input_tokens", "encoder_token_types"):
        dirty[name] = np.where(padding, 1 - np.minimum(APART[name], 1), APART[name])
    clean, found = told(encoder(), APART), told(encoder(), dirty)
    assert_same(real(found, dirty), real(clean, APART), rtol=0)


def test_types_and_positions_are_told_from_the_batch(told):
    """Without types all are of the first; another type changes every output."""
    zeros = APART | {"encoder_token_types": np.zeros_like(APART["encoder_token_types"])}
    without = {k: v for k, v in APART.items() if k != "encoder_token_types"}
    assert_same(told(encoder(), without), told(encoder(), zeros), rtol=0)
    typed, untyped = told(encoder(), APART), told(encoder(), zeros)
    assert all(np.abs(typed[name] - untyped[name]).max() > 1e-3 for name in typed)


def test_logits_in_chunks_are_those_at_once(compiled, parameters_of):
    """With the bias of each token, and gradients of both."""
    config = encoder()
    chunked = dataclasses.replace(config, compute=ComputeConfig(logits_bytes=4 * VOCAB * 3))

    def of_tokens(config, parameters, batch):
        scores = transformer.apply(config, parameters, batch).heads[TOKENS]
        assert (scores.chunk is None) == (config is not chunked)
        from t5x_lite.partitioning.chunks import each_position

        return jnp.sum(each_position(lambda logits: jax.nn.logsumexp(logits, axis=-1), [scores]))

    parameters = parameters_of(config)
    whole, parts = (
        jax.jit(jax.value_and_grad(functools.partial(of_tokens, each)))(parameters, APART)
        for each in (config, chunked)
    )
    np.testing.assert_allclose(parts[0], whole[0], rtol=1e-6)
    for name in ("bias", "transform"):
        got, expected = (each[1]["heads"]["tokens"][name] for each in (parts, whole))
        for one, other in zip(jax.tree.leaves(got), jax.tree.leaves(expected), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@SHARINGS
def test_what_it_costs_is_a_product_for_each_kernel_that_runs(sharing):
    """Shared kernels run in every layer; the table of token vectors is the tied head's."""
    config = encoder(sharing)
    size = VOCAB * config.token_width
    for path, leaf in jax.tree_util.tree_leaves_with_path(transformer.abstract_parameters(config)):
        names = [key.key for key in path]
        if names[-1] == "kernel":
            size += leaf.size * (DEPTH if "shared_layer" in names else 1)
    mixing = 2 * 2 * LENGTH * LENGTH * config.embed_dim * DEPTH
    assert flops.forward_flops(config, 3, LENGTH, 0) == 3 * (2 * LENGTH * size + mixing)
    shapes = {"encoder_input_tokens": (3, LENGTH)}
    assert flops.training_flops(config, shapes) == 9 * (2 * LENGTH * size + mixing)


def test_what_an_encoder_alone_cannot_do_is_refused():
    """Writing, and heads that it has not."""
    config = encoder(heads=HEADS[:1], pooler=False)
    parameters = transformer.abstract_parameters(config)
    with pytest.raises(ValueError, match="an encoder alone and writes nothing"):
        jax.eval_shape(
            functools.partial(transformer.start, config, max_decode_length=2), parameters, APART
        )
    for wanted in (Wanted(("span",)), Wanted((), ("decoder",)), Wanted((), (POOLED,))):
        with pytest.raises(ValueError, match="the model has no '.*'; it has (tokens|encoder)"):
            transformer.apply(config, parameters, jax.tree.map(jnp.asarray, APART), wanted=wanted)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder": None}, "needed is a stack"),
        ({"pooler": False}, "the heads sentence, regression read the pooler"),
        ({"heads": HEADS + HEADS[-1:]}, "needed is one of a kind at most"),
        ({"heads": (HeadConfig(),)}, "without transform"),
        ({"prompt_length": 3}, "needed is 0, for what an encoder predicts is aligned"),
    ],
    ids=lambda each: str(each)[:20],
)
def test_impossible_encoders_are_refused(fields, message):
    """Before anything is built."""
    with pytest.raises(ValueError, match=message):
        encoder(**fields)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"transform": "gelo"}, "the nearest is 'gelu'"),
        ({"kind": HeadKind.SENTENCE}, "needed is pooled=True"),
        ({"kind": HeadKind.SPAN, "pooled": True}, "needed is False"),
        ({"kind": HeadKind.CLASSES, "num_classes": 1}, "num_classes=1: needed is at least 2"),
    ],
    ids=lambda each: str(each)[:20],
)
def test_impossible_heads_are_refused(fields, message):
    """Each says what it needs."""
    with pytest.raises(ValueError, match=message):
        HeadConfig(**fields)


def test_a_causal_stack_alone_is_no_encoder_and_heads_of_examples_read_none(tiny):
    """Each is refused with what it would be."""
    lm = tiny("lm")
    with pytest.raises(ValueError, match="a causal stack by itself is a decoder"):
        dataclasses.replace(lm, encoder=lm.decoder, decoder=None)
    with pytest.raises(ValueError, match="needed is a head of tokens, and"):
        dataclasses.replace(lm, heads=HEADS[-1:])
    told = HeadConfig(kind=HeadKind.ATTRIBUTE)
    with pytest.raises(ValueError, match="needed is a model that writes"):
        dataclasses.replace(encoder(), heads=(HeadConfig(), told))


def test_weights_as_int8_are_close(told, parameters_of):
    """Of shared layers too: half a step of rounding in each kernel."""
    for sharing in (LayerSharing.NONE, LayerSharing.ALL):
        config = encoder(sharing)
        whole = jax.tree.map(jnp.asarray, parameters_of(config))
        rounded, parameters = transformer.quantize(config, whole)
        exact, found = told(config, APART), told(rounded, APART, parameters)
        error = np.abs(found["encoder"] - exact["encoder"]).max()
        assert 0 < error < 0.1 * np.abs(exact["encoder"]).max()
