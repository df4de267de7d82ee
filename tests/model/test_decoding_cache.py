"""INV-16: decoding with a cache gives the logits of the full forward pass."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.model import execution, transformer
from t5x_lite.model.config import LoraConfig

NUM_TARGETS = 4
INPUTS_LENGTH = 6


def assert_equal_but_for_rounding(got, expected):
    """Equal to 2e-6 of the largest logit: sums of some 30 float32 numbers in another order."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def given_to_start(config, batch, examples):
    """What decoding gets of a batch: the encoder's input, or the inputs as a prefix."""
    if config.encoder is not None:
        return {name: batch[name] for name in ("encoder_input_tokens", "encoder_segment_ids")}
    return prefix_of(padded([inputs for inputs, _ in examples], INPUTS_LENGTH))


def prefix_of(tokens):
    """Prompts of a model without an encoder; 0 is padding."""
    segments = (tokens > 0).astype(np.int32)
    return {"decoder_prefix_tokens": tokens, "decoder_prefix_segment_ids": segments}


def padded(sequences, length):
    return np.stack([np.pad(np.asarray(s, np.int32), (0, length - len(s))) for s in sequences])


@pytest.mark.parametrize(
    ("architecture", "family"),
    [
        ("encoder_decoder", "t5_1_1"),
        ("shared", "t5_1_0"),
        ("half_depth", "t5_1_0"),
        ("lm", "t5_1_0"),
        ("prefix_lm", "t5_1_1"),
        ("encoder_decoder", "umt5"),
        ("prefix_lm", "umt5"),
        ("encoder_decoder", "gpt2"),
        ("lm", "gpt2"),
        ("encoder_decoder", "local"),
        ("prefix_lm", "local"),
        ("lm", "alternating"),
        ("encoder_decoder", "post_norm"),
        ("lm", "shared_layers"),
    ],
)
def test_cached_decoding_equals_the_full_forward(
    architecture, family, tiny, parameters_of, examples_of, unpacked, logits_of, compiled
):
    """Rows of different lengths, token by token; the first logits come from `start`."""
    config = tiny(architecture, family)
    # In float64 the law holds to 2e-15. Norms may magnify float32's rounding: with seed 0 both ways
    # are up to 5e-6 off float64, with seed 1 at most 9e-7, in jax 0.10 and 0.12 alike.
    examples = examples_of(config, targets_lengths=(NUM_TARGETS,) * 3, seed=1)
    batch = unpacked(config, examples, INPUTS_LENGTH)
    full = logits_of(config, batch)
    first = [0 if config.encoder else len(inputs) for inputs, _ in examples]
    expected = np.stack([row[n : n + NUM_TARGETS] for row, n in zip(full, first, strict=True)])

    parameters = parameters_of(config)
    start = compiled(transformer.start, config, max_decode_length=NUM_TARGETS)
    advance = compiled(transformer.advance, config)
    logits, cache = start(parameters, given_to_start(config, batch, examples))
    got = [logits]
    for step in range(NUM_TARGETS - 1):
        tokens = np.array([targets[step] for _, targets in examples], np.int32)
        logits, cache = advance(parameters, tokens, cache)
        got.append(logits)
    assert logits.dtype == jnp.float32
    assert_equal_but_for_rounding(np.stack(got, axis=1), expected)


def test_decoding_runs_inside_a_while_loop(tiny, parameters_of):
    """The cache keeps its structure, shapes and dtypes: a decoder is one compiled loop."""
    config = tiny("prefix_lm")
    parameters = jax.tree.map(jnp.asarray, parameters_of(config))

    @jax.jit
    def greedy(prefix):
        logits, cache = transformer.start(
            config, parameters, prefix_of(prefix), max_decode_length=3
        )

        def body(state):
            count, logits, cache, tokens = state
            chosen = jnp.argmax(logits, axis=-1)
            logits, cache = transformer.advance(config, parameters, chosen, cache)
            return count + 1, logits, cache, tokens.at[:, count].set(chosen)

        empty = jnp.zeros((prefix.shape[0], 3), jnp.int32)
        return jax.lax.while_loop(lambda s: s[0] < 3, body, (0, logits, cache, empty))[3]

    prefix = jnp.array([[5, 6, 1], [9, 1, 0]])
    together = greedy(prefix)
    np.testing.assert_array_equal(together[1:], greedy(prefix[1:, :2]))
    assert together.shape == (2, 3)


def test_the_encoder_and_cross_keys_are_computed_once(
    tiny, parameters_of, examples_of, unpacked, compiled
):
    """After `start`, weights that only they use may be anything: here they become NaN."""
    config = tiny()
    batch = unpacked(config, examples_of(config))
    parameters = parameters_of(config)
    start = compiled(transformer.start, config, max_decode_length=2)
    advance = compiled(transformer.advance, config)
    _, cache = start(parameters, given_to_start(config, batch, None))
    poisoned = jax.tree.map(np.array, parameters)
    poisoned["encoder"] = jax.tree.map(lambda leaf: leaf * np.nan, poisoned["encoder"])
    cross = poisoned["decoder"]["layers"]["encoder_decoder_attention"]
    for projection in ("key", "value"):
        cross[projection]["kernel"] *= np.nan
    tokens = np.array([4, 5, 6], np.int32)
    np.testing.assert_array_equal(
        advance(poisoned, tokens, cache)[0], advance(parameters, tokens, cache)[0]
    )


def test_a_row_without_a_prefix_begins_at_the_start_token(
    tiny, parameters_of, with_segments, compiled, logits_of
):
    """An empty prefix is a prefix: the first logits are those of the start token alone."""
    config = tiny("lm")
    start = compiled(transformer.start, config, max_decode_length=2)
    prefix = np.array([[0, 0, 0], [4, 5, 1]], np.int32)
    logits, _ = start(parameters_of(config), prefix_of(prefix))
    only_start = {"decoder_input_tokens": np.zeros((1, 1), np.int32)}
    alone = logits_of(config, with_segments(only_start))
    assert_equal_but_for_rounding(logits[0], alone[0, 0])


@pytest.mark.parametrize("architecture", ["encoder_decoder", "prefix_lm"])
def test_layers_run_from_their_stack_as_they_do_apart(
    architecture, tiny, parameters_of, examples_of, unpacked, monkeypatch
):
    """The form of accelerators: a loop over the stack, and caches that are written anew."""
    config = tiny(architecture)
    examples = examples_of(config)
    given = given_to_start(config, unpacked(config, examples, INPUTS_LENGTH), examples)
    given = jax.tree.map(jnp.asarray, given)
    tokens = jnp.array([4, 4, 5, 5, 6, 6])

    def two_steps(parameters):
        first, cache = transformer.start(config, parameters, given, max_decode_length=2)
        cache = transformer.select(
            transformer.repeat(cache, 2), jnp.array([[1, 0], [0, 0], [1, 1]])
        )
        second, cache = transformer.advance(config, parameters, tokens, cache)
        return first, second, cache

    *apart, cache = jax.jit(two_steps)(parameters_of(config))
    assert isinstance(cache.layers, list)
    monkeypatch.setattr(execution, "platform", lambda: "tpu")
    # Another function: what was traced is kept.
    *stacked, cache = jax.jit(lambda parameters: two_steps(parameters))(parameters_of(config))
    assert not isinstance(cache.layers, list)
    for got, expected in zip(stacked, apart, strict=True):
        assert_equal_but_for_rounding(got, expected)


@pytest.mark.parametrize("is_tied", [True, False])
def test_a_table_that_is_the_head_lies_as_a_kernel(tiny, is_tied):
    """A CPU multiplies few rows with it many times as fast so."""
    config = dataclasses.replace(tiny(), logits_via_embedding=is_tied)
    parameters = transformer.init_parameters(config, jax.random.key(0))
    head = transformer.prepare(config, parameters).heads["tokens"]
    table = parameters["token_embedder"]["embedding"]
    if is_tied:
        np.testing.assert_array_equal(head.turned, table.T)
    else:
        assert head.turned is None


def test_what_is_prepared_reads_kernels_side_by_side(tiny, parameters_of):
    """But for those that a low-rank term trains: its product is added to one of them."""
    config = tiny()
    (encoder, decoder) = transformer.prepare(config, parameters_of(config)).stacks
    for layer in (*encoder.layers, *decoder.layers):
        attention, heads = layer.self_attention, config.decoder.block.attention
        width = heads.num_heads * heads.head_dim
        assert attention.row.kernel[...].shape == (config.embed_dim, 3 * width)
        assert not hasattr(attention, "query")
    lora = dataclasses.replace(config.decoder.block, lora=LoraConfig(rank=2))
    adapted = dataclasses.replace(
        config,
        encoder=dataclasses.replace(
            config.encoder, block=dataclasses.replace(lora, cross_attention=False)
        ),
        decoder=dataclasses.replace(config.decoder, block=lora),
    )
    parameters = transformer.init_parameters(adapted, jax.random.key(0))
    layer = transformer.prepare(adapted, parameters).decoder.layers[0]
    assert layer.self_attention.row is None
