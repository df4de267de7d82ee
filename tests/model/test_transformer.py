"""Laws of the whole model, for every architecture of Raffel et al. (2020), table 2."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.extend.core import jaxprs_in_params

from t5x_lite.features.outputs import TOKENS, Wanted
from t5x_lite.model import transformer
from t5x_lite.model.choices import ActivationDtype, Remat
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.model.config import Sharing, Visibility
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.constrain import constraints
from t5x_lite.partitioning.partitioner import make_partitioner


def assert_equal_but_for_rounding(got, expected):
    """Equal to 2e-6 of the largest logit: sums of some 30 float32 numbers in another order."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def token_loss(config, parameters, batch, dropout_key=None):
    """Summed over real target positions only."""
    logits = transformer.logits(config, parameters, batch, dropout_key=dropout_key)
    scores, targets = jax.nn.log_softmax(logits), batch["decoder_target_tokens"]
    picked = jnp.take_along_axis(scores, targets[..., None], axis=-1)[..., 0]
    return -jnp.sum(jnp.where(targets > 0, picked, 0.0))


def loss_and_gradient(config, parameters, batch, dropout_key=None):
    """The loss and its gradient with respect to the parameters."""
    return jax.value_and_grad(token_loss, argnums=1)(config, parameters, batch, dropout_key)


def assert_trees_close(got, expected, rtol=1e-5):
    """Every leaf to `rtol` of its own largest entry."""
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(got), jax.tree.leaves(expected), strict=True
    ):
        a, b = np.asarray(a), np.asarray(b)
        np.testing.assert_allclose(
            a, b, rtol=0, atol=rtol * max(np.abs(b).max(), 1e-3), err_msg=str(path)
        )


def without_key_biases(gradient):
    """What is added to all keys alike softmax does not see: its gradient is the rounding of 0."""

    def kept(path, leaf):
        if jax.tree_util.keystr(path[-2:], simple=True, separator="/") != "key/bias":
            return leaf
        assert np.abs(leaf).max() < 1e-5
        return np.zeros_like(leaf)

    return jax.tree_util.tree_map_with_path(kept, gradient)


def with_compute(config, **fields):
    return dataclasses.replace(config, compute=ComputeConfig(**fields))


def test_padding_never_leaks(architecture, tiny, examples_of, unpacked, logits_of):
    """More padding around the same examples changes no logit of a real position."""
    config = tiny(architecture)
    examples = examples_of(config)
    short = unpacked(config, examples)
    long = unpacked(config, examples, inputs_length=9, targets_length=8)
    real = short["decoder_target_tokens"] > 0
    assert_equal_but_for_rounding(
        logits_of(config, long)[:, : real.shape[1]][real], logits_of(config, short)[real]
    )


def test_contents_of_padding_never_leak(architecture, tiny, examples_of, packed, logits_of):
    """In packed rows the segment ids say what is padding: garbage there reaches nobody."""
    config = tiny(architecture)
    clean = packed(config, examples_of(config))
    dirty = dict(clean)
    for side in ("encoder", "decoder"):
        if f"{side}_segment_ids" in clean:
            padding = clean[f"{side}_segment_ids"] == 0
            assert padding.any()
            name = f"{side}_input_tokens"
            dirty[name] = np.where(padding, 7, clean[name])
    real = clean["decoder_segment_ids"] > 0
    np.testing.assert_array_equal(logits_of(config, dirty)[real], logits_of(config, clean)[real])


@pytest.mark.parametrize("family", ["t5_1_0", "umt5", "gpt2", "local", "alternating"])
def test_packed_equals_unpacked(
    architecture, family, tiny, examples_of, packed, unpacked, logits_of
):
    """INV-15: examples in one row do not see each other, and have positions of their own."""
    config = tiny(architecture, family)
    examples = examples_of(config)
    alone, together = unpacked(config, examples), packed(config, examples)
    apart = logits_of(config, alone)[alone["decoder_target_tokens"] > 0]
    joined = logits_of(config, together)[together["decoder_target_tokens"] > 0]
    assert len(apart) == sum(len(t) + (0 if config.encoder else len(i)) for i, t in examples)
    assert_equal_but_for_rounding(joined, apart)


def changed_outputs(config, batch, feature, logits_of):
    """[changed position, output position]: whether an input token reaches an output."""
    length = batch[feature].shape[1]
    rows = {name: np.repeat(value[:1], length + 1, axis=0) for name, value in batch.items()}
    for position in range(length):
        rows[feature][position, position] = 1 + (rows[feature][position, position] + 5) % 28
    logits = logits_of(config, rows)
    return np.abs(logits[:-1] - logits[-1:]).max(axis=-1) > 0


@pytest.mark.parametrize("family", ["t5_1_0", "local"])
@pytest.mark.parametrize("architecture", ["encoder_decoder", "shared", "half_depth", "lm"])
def test_no_output_sees_a_later_token(architecture, family, tiny, with_segments, logits_of):
    """INV-5: causal, and nothing more than causal: every earlier token is seen, in windows those
    that are as near as the windows of all layers together reach.
    """
    config = tiny(architecture, family)
    tokens = np.arange(2, 9)[None].astype(np.int32)
    batch = with_segments({"encoder_input_tokens": tokens, "decoder_input_tokens": tokens})
    reached = changed_outputs(config, batch, "decoder_input_tokens", logits_of)
    position, output = np.indices(reached.shape)
    window = config.decoder.window
    farthest = output.size if window is None else config.decoder.depth * (window - 1)
    np.testing.assert_array_equal(reached, (position <= output) & (output - position <= farthest))


def test_outputs_inside_a_prefix_see_all_of_it(tiny, with_segments, logits_of):
    """INV-5: inside the prefix both directions, after it only earlier tokens."""
    config = tiny("prefix_lm")
    prefix = 4
    tokens = np.arange(2, 9)[None].astype(np.int32)
    batch = {
        "decoder_input_tokens": tokens,
        "decoder_causal_attention": (np.arange(7) < prefix)[None].astype(np.int32),
    }
    reached = changed_outputs(config, with_segments(batch), "decoder_input_tokens", logits_of)
    position, output = np.indices(reached.shape)
    np.testing.assert_array_equal(reached, (position <= output) | (position < prefix))


def test_every_output_sees_every_input(tiny, with_segments, logits_of):
    """The encoder is fully visible and cross-attention reads all of it."""
    config = tiny()
    tokens = np.arange(2, 9)[None].astype(np.int32)
    batch = with_segments({"encoder_input_tokens": tokens, "decoder_input_tokens": tokens})
    assert changed_outputs(config, batch, "encoder_input_tokens", logits_of).all()


def test_a_prefix_lm_without_prefix_is_an_lm(tiny, examples_of, unpacked, logits_of):
    """INV-6: exactly, with one bucket rule; and the rules do differ, or this would prove little."""
    lm = tiny("lm")
    # Long enough that real positions are farther apart than the distances that both rules tell.
    examples = examples_of(lm, inputs_lengths=(12, 2, 3))
    batch = unpacked(lm, examples, inputs_length=12)
    batch["decoder_causal_attention"] = np.zeros_like(batch["decoder_causal_attention"])
    one_rule, two_rules = tiny("prefix_lm", bidirectional=False), tiny("prefix_lm")
    assert one_rule.decoder.visibility is Visibility.PREFIX
    np.testing.assert_array_equal(logits_of(one_rule, batch), logits_of(lm, batch))
    assert np.abs(logits_of(two_rules, batch) - logits_of(lm, batch)).max() > 1e-3


def test_the_shared_encoder_reads_the_decoders_weights(tiny, parameters_of):
    """INV-3: no leaf of its own, and the leaves of a decoder, no more and no less."""
    shared, apart = parameters_of(tiny("shared")), parameters_of(tiny())
    assert "encoder" not in shared
    assert jax.tree.structure(shared["decoder"]) == jax.tree.structure(apart["decoder"])


def test_the_gradient_of_a_shared_weight_is_the_sum_of_both_uses(
    tiny, parameters_of, examples_of, unpacked, compiled
):
    """INV-3: two names for one parameter are silently untied by jax.grad, which this would show."""
    shared = tiny("shared")
    apart = dataclasses.replace(shared, sharing=Sharing.NONE)
    batch = unpacked(shared, examples_of(shared))
    parameters = parameters_of(shared)
    layers = parameters["decoder"]["layers"]
    encoder = {
        "layers": {
            "pre_attention_layer_norm": layers["pre_self_attention_layer_norm"],
            "attention": layers["self_attention"],
            "pre_mlp_layer_norm": layers["pre_mlp_layer_norm"],
            "mlp": layers["mlp"],
        },
        "relpos_bias": parameters["decoder"]["relpos_bias"],
        "encoder_norm": parameters["decoder"]["decoder_norm"],
    }
    loss, gradient = compiled(loss_and_gradient, shared)(parameters, batch)
    loss_apart, gradients = compiled(loss_and_gradient, apart)(
        parameters | {"encoder": encoder}, batch
    )
    np.testing.assert_allclose(loss, loss_apart, rtol=1e-6)
    of_encoder, of_decoder = gradients["encoder"], gradients["decoder"]
    own = {
        "pre_cross_attention_layer_norm": None,
        "encoder_decoder_attention": None,
        "pre_self_attention_layer_norm": of_encoder["layers"]["pre_attention_layer_norm"],
        "self_attention": of_encoder["layers"]["attention"],
        "pre_mlp_layer_norm": of_encoder["layers"]["pre_mlp_layer_norm"],
        "mlp": of_encoder["layers"]["mlp"],
    }
    expected = {
        "layers": {
            name: part if own[name] is None else jax.tree.map(jnp.add, part, own[name])
            for name, part in of_decoder["layers"].items()
        },
        "relpos_bias": jax.tree.map(jnp.add, of_decoder["relpos_bias"], of_encoder["relpos_bias"]),
        "decoder_norm": jax.tree.map(
            jnp.add, of_decoder["decoder_norm"], of_encoder["encoder_norm"]
        ),
    }
    assert np.abs(of_encoder["layers"]["mlp"]["wo"]["kernel"]).max() > 1e-3
    assert_trees_close(gradient["decoder"], expected)
    assert_trees_close(gradient["token_embedder"], gradients["token_embedder"])


@pytest.mark.parametrize(
    "fields",
    [
        {"scan_unroll": 7},
        {"remat": Remat.MINIMAL},
        {"remat": Remat.FULL, "scan_unroll": 2},
        {"remat": ("query", "out", "attended")},
        {"remat": Remat.MINIMAL, "offload": ("layer_input", "out")},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    ("architecture", "family"), [("encoder_decoder", "t5_1_0"), ("lm", "gpt2")]
)
def test_how_it_is_computed_does_not_change_what(
    architecture, family, fields, tiny, parameters_of, examples_of, unpacked, compiled
):
    """scan == unrolled, remat == not: loss and every gradient, dropout included."""
    config = tiny(architecture, family, dropout_rate=0.3)
    batch, parameters = unpacked(config, examples_of(config)), parameters_of(config)
    key = jax.random.key(3)
    loss, gradient = compiled(loss_and_gradient, config)(parameters, batch, key)
    variant = with_compute(config, **fields)
    other_loss, other = compiled(loss_and_gradient, variant)(parameters, batch, key)
    np.testing.assert_allclose(other_loss, loss, rtol=1e-6)
    assert_trees_close(without_key_biases(other), without_key_biases(gradient))


def test_bfloat16_activations_leave_parameters_and_logits_float32(
    tiny, parameters_of, examples_of, unpacked, logits_of, compiled
):
    """bfloat16 has 8 bits of mantissa; logits are float32 and differ by a few of these bits."""
    config = tiny(family="t5_1_1")
    narrow = with_compute(config, activation_dtype=ActivationDtype.BFLOAT16)
    batch, parameters = unpacked(config, examples_of(config)), parameters_of(config)
    hidden = jax.eval_shape(functools.partial(transformer.encode, narrow), parameters, batch)
    assert hidden.dtype == jnp.bfloat16
    gradient = jax.eval_shape(functools.partial(loss_and_gradient, narrow), parameters, batch)[1]
    assert {leaf.dtype for leaf in jax.tree.leaves(gradient)} == {jnp.dtype("float32")}
    logits, wide = logits_of(narrow, batch, parameters), logits_of(config, batch, parameters)
    assert logits.dtype == np.float32
    real = batch["decoder_target_tokens"] > 0
    assert 0 < np.abs(logits - wide)[real].max() < 0.05 * np.abs(wide).max()


def primitives(jaxpr):
    """All equations of a program, those of loops and calls too."""
    for equation in jaxpr.eqns:
        yield equation
        yield from (e for inner in jaxprs_in_params(equation.params) for e in primitives(inner))


def test_norms_and_softmax_are_float32_under_bfloat16_activations(
    tiny, parameters_of, examples_of, unpacked
):
    """Every exponential, inverse root and sum of the program works on float32."""
    config = with_compute(tiny(), activation_dtype=ActivationDtype.BFLOAT16)
    batch, parameters = unpacked(config, examples_of(config)), parameters_of(config)
    program = jax.make_jaxpr(functools.partial(transformer.apply, config))(parameters, batch)
    careful = {"exp", "rsqrt", "reduce_sum", "reduce_max", "div"}
    dtypes = {
        (equation.primitive.name, str(equation.invars[0].aval.dtype))
        for equation in primitives(program.jaxpr)
        if equation.primitive.name in careful
        and jnp.issubdtype(equation.invars[0].aval.dtype, jnp.floating)
    }
    assert {name for name, _ in dtypes} >= {"exp", "rsqrt", "reduce_sum"}
    assert {dtype for _, dtype in dtypes} == {"float32"}


def test_activations_are_float32_on_cpu(tiny, parameters_of, with_segments):
    """AUTO: references compare in float32 without a flag."""
    batch = with_segments({"encoder_input_tokens": np.ones((1, 3), np.int32)})
    encode = functools.partial(transformer.encode, tiny())
    assert jax.eval_shape(encode, parameters_of(tiny()), batch).dtype == jnp.float32


def test_activations_are_of_the_mesh_that_runs_them_not_of_this_machine(
    tiny, parameters_of, with_segments
):
    """AUTO: a program for a TPU that is elsewhere has bfloat16 activations on a laptop too."""
    batch = with_segments({"encoder_input_tokens": np.ones((1, 3), np.int32)})
    mesh = make_partitioner(PartitioningConfig(), jax.devices()[:1])

    def encode(platform, parameters, batch):
        with constraints(mesh.sharding, platform):
            return transformer.encode(tiny(), parameters, batch)

    found = [
        jax.eval_shape(functools.partial(encode, each), parameters_of(tiny()), batch).dtype
        for each in ("tpu", "gpu", mesh.platform)
    ]
    assert found == [jnp.bfloat16, jnp.bfloat16, jnp.float32]


def test_float16_is_refused_with_the_reason():
    """T5's activations exceed float16's range; whoever asks for it should learn why not."""
    with pytest.raises(ValueError, match=r"65504.*bfloat16"):
        ActivationDtype("float16")


def test_wrong_parameters_are_named(tiny, parameters_of, with_segments):
    """A v1.0 tree in a v1.1 model: what is missing and what is left over."""
    batch = with_segments({"encoder_input_tokens": np.ones((1, 3), np.int32)})
    batch = jax.tree.map(jnp.asarray, batch)
    with pytest.raises(ValueError, match=r"missing .*mlp/wi_0/kernel.*left over .*mlp/wi/kernel"):
        transformer.encode(tiny(family="t5_1_1"), parameters_of(tiny()), batch)


def test_what_is_wanted_is_given_and_nothing_else_is_computed(
    architecture, tiny, parameters_of, examples_of, unpacked, compiled
):
    """Every head and stack by itself is what all together give; an encoder alone needs no features
    of a decoder.
    """
    config = tiny(architecture)
    parameters, batch = parameters_of(config), unpacked(config, examples_of(config))
    stacks = ("decoder",) if config.encoder is None else ("encoder", "decoder")
    every = compiled(transformer.apply, config, wanted=Wanted((TOKENS,), stacks))
    together = every(parameters, batch)
    assert (set(together.heads), set(together.hidden)) == ({TOKENS}, set(stacks))
    for name in stacks:
        read = {k: v for k, v in batch.items() if name == "decoder" or k.startswith(name)}
        alone = compiled(transformer.apply, config, wanted=Wanted((), (name,)))(parameters, read)
        assert (dict(alone.heads), set(alone.hidden)) == ({}, {name})
        assert_equal_but_for_rounding(alone.hidden[name], together.hidden[name])
    tokens = compiled(transformer.apply, config)(parameters, batch)
    assert not tokens.hidden
    assert_equal_but_for_rounding(tokens.heads[TOKENS].all(), together.heads[TOKENS].all())


def test_a_model_without_an_encoder_encodes_with_its_decoder(
    tiny, parameters_of, examples_of, unpacked, logits_of, compiled
):
    """What encode gives is what the head reads: times the table of token vectors, the logits."""
    config = tiny("lm")
    batch, parameters = unpacked(config, examples_of(config)), parameters_of(config)
    hidden = np.asarray(compiled(transformer.encode, config)(parameters, batch))
    logits = hidden * 8**-0.5 @ parameters["token_embedder"]["embedding"].T
    assert_equal_but_for_rounding(logits, logits_of(config, batch))


@pytest.mark.parametrize("wanted", [Wanted(("classes",)), Wanted((), ("encoder",))], ids=str)
def test_what_the_model_does_not_have_is_refused(wanted, tiny, parameters_of):
    """Before anything is computed, with what there is."""
    config = tiny("lm")
    with pytest.raises(ValueError, match=r"no '(classes|encoder)'; it has (tokens|decoder)\."):
        transformer.apply(config, parameters_of(config), {}, wanted=wanted)


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_a_batch_without_segment_ids_is_refused(stack, tiny, parameters_of, examples_of, unpacked):
    """Padding is told by nothing else: a GPT-2's token 0 is text."""
    config = tiny()
    batch = unpacked(config, examples_of(config))
    del batch[f"{stack}_segment_ids"]
    with pytest.raises(ValueError, match=f"no {stack}_segment_ids; needed are ids that are 1, 2"):
        jax.eval_shape(functools.partial(transformer.apply, config), parameters_of(config), batch)


def test_v1_0_scales_the_last_hidden_state(tiny, parameters_of, examples_of, unpacked, logits_of):
    """scale_logits alone multiplies the logits by embed_dim ** -0.5."""
    config = tiny()
    plain = dataclasses.replace(config, scale_logits=False)
    batch = unpacked(config, examples_of(config))
    assert_equal_but_for_rounding(logits_of(config, batch), logits_of(plain, batch) * 8**-0.5)
