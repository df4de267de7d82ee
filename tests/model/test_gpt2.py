"""What GPT-2 has and T5 has not: prompts without a start token, one id for padding and the end,
kernels that begin smaller the deeper the model is.
"""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite import config as gin_config
from t5x_lite.features.config import PromptConfig, SpecialTokens
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig

END = 29
SPECIAL = SpecialTokens(padding=END, start=END, end=END, unknown=None)
NUM_TOKENS = 3
# The end token is text within a row: a document after another one, say.
PROMPTS = [[5, END, 7, 8], [], [9], [4, 6]]


def assert_equal_but_for_rounding(got, expected):
    """Equal to 2e-6 of the largest logit: sums of some 30 float32 numbers in another order."""
    np.testing.assert_allclose(got, expected, rtol=0, atol=2e-6 * np.abs(expected).max())


def rows_of(sequences):
    """Ids and segment ids; the end token fills, which only the segments tell from text."""
    length = max(map(len, sequences))
    tokens = np.full((len(sequences), length), END, np.int32)
    segments = np.zeros_like(tokens)
    for row, sequence in enumerate(sequences):
        tokens[row, : len(sequence)], segments[row, : len(sequence)] = sequence, 1
    return tokens, segments


@pytest.mark.parametrize("start_token", [True, False], ids="start token {}".format)
def test_decoding_reads_what_a_full_forward_reads(
    start_token, tiny, parameters_of, compiled, logits_of
):
    """INV-16 for every row: with the start token in front or without it, where an empty prompt
    begins with it all the same.
    """
    prompts = PromptConfig(start_token=start_token, end_token=False)
    config = tiny("lm", "gpt2", special=SPECIAL, prompts=prompts)
    parameters = parameters_of(config)
    continued = np.random.default_rng(0).integers(0, END, (len(PROMPTS), NUM_TOKENS), np.int32)
    ahead = [[END, *prompt] if start_token or not prompt else prompt for prompt in PROMPTS]
    tokens, segments = rows_of(
        [[*given, *more] for given, more in zip(ahead, continued, strict=True)]
    )
    full = logits_of(config, {"decoder_input_tokens": tokens, "decoder_segment_ids": segments})

    tokens, segments = rows_of(PROMPTS)
    start = compiled(transformer.start, config, max_decode_length=NUM_TOKENS + 1)
    advance = compiled(transformer.advance, config)
    prefix = {"decoder_prefix_tokens": tokens, "decoder_prefix_segment_ids": segments}
    logits, cache = start(parameters, prefix)
    got = [logits]
    for step in range(NUM_TOKENS):
        logits, cache = advance(parameters, continued[:, step], cache)
        got.append(logits)
    for row, given in enumerate(ahead):
        expected = full[row, len(given) - 1 : len(given) + NUM_TOKENS]
        assert_equal_but_for_rounding(np.stack(got, axis=1)[row], expected)


def test_positions_count_in_the_example_and_are_told_apart(tiny, parameters_of, logits_of):
    """The same token twice: only the learned positions make its logits differ."""
    config = tiny("lm", "gpt2")
    batch = {
        "decoder_input_tokens": np.full((1, 6), 7, np.int32),
        "decoder_segment_ids": np.array([[1, 1, 1, 2, 2, 2]], np.int32),
    }
    (logits,) = logits_of(config, batch)
    assert_equal_but_for_rounding(logits[3:], logits[:3])
    assert min(np.abs(logits[i] - logits[j]).max() for i, j in ((0, 1), (0, 2), (1, 2))) > 1e-2
    alike = jax.tree.map(np.array, parameters_of(config))
    alike["decoder"]["position_embedder"]["embedding"][:] = 0
    (without,) = logits_of(config, batch, alike)
    assert_equal_but_for_rounding(without[1:3], without[:2])


@pytest.mark.parametrize("scaled", [True, False], ids="scaled {}".format)
def test_kernels_that_end_a_residual_begin_smaller_the_deeper_the_model(scaled):
    """Radford et al. (2019), 2.3: .02 / sqrt(2 L), to 3 %; OpenAI's code draws all with .02."""
    overrides = [("--gin", "NUM_DECODER_LAYERS=5"), ("--gin", f"SCALE_RESIDUAL_INIT={scaled}")]
    config = gin_config.resolve(ModelConfig, ["models/gpt2/tiny.gin"], overrides=overrides).config
    parameters = jax.device_get(
        jax.jit(lambda key: transformer.init_parameters(config, key))(jax.random.key(0))
    )
    layers = parameters["decoder"]["layers"]
    ends_residual = 0.02 / np.sqrt(2 * 5) if scaled else 0.02
    expected = {
        "out": (layers["self_attention"]["out"]["kernel"], ends_residual),
        "wo": (layers["mlp"]["wo"]["kernel"], ends_residual),
        **{name: (layers["self_attention"][name]["kernel"], 0.02) for name in ("query", "key")},
        "wi": (layers["mlp"]["wi"]["kernel"], 0.02),
        "tokens": (parameters["token_embedder"]["embedding"], 0.02),
        "positions": (parameters["decoder"]["position_embedder"]["embedding"], 0.01),
    }
    for name, (values, stddev) in expected.items():
        assert values.std() == pytest.approx(stddev, rel=0.03), name
    for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
        if path[-1].key in ("bias", "scale"):
            np.testing.assert_array_equal(leaf, path[-1].key == "scale", err_msg=str(path))


def test_more_positions_change_no_logit(tiny, parameters_of, logits_of):
    """Those that no token has."""
    config = tiny("lm", "gpt2")
    parameters = jax.tree.map(np.array, parameters_of(config))
    stack = parameters["decoder"]["position_embedder"]
    positions = dataclasses.replace(config.decoder.positions, max_length=20)
    longer = dataclasses.replace(
        config, decoder=dataclasses.replace(config.decoder, positions=positions)
    )
    batch = {
        "decoder_input_tokens": np.arange(12, dtype=np.int32)[None],
        "decoder_segment_ids": np.ones((1, 12), np.int32),
    }
    expected = logits_of(config, batch, parameters)
    stack["embedding"] = np.pad(stack["embedding"], ((0, 8), (0, 0)), constant_values=np.nan)
    np.testing.assert_array_equal(logits_of(longer, batch, parameters), expected)
