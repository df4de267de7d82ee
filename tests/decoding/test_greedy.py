"""Greedy decoding against a toy model whose every answer is known: no Transformer needed."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.language_model import LanguageModel
from t5x_lite.decoding.rules import Rules
from t5x_lite.decoding.search import decode

EOS, PAD = 1, 0


def counter(vocab: int):
    """A "model" that says token + 1, and EOS after the last token; its cache counts the calls."""

    def logits_after(tokens):
        following = jnp.where(tokens + 1 >= vocab, EOS, tokens + 1)
        return jax.nn.one_hot(following, vocab)

    def advance(tokens, calls):
        return logits_after(tokens), calls + 1

    return logits_after, LanguageModel(advance, EOS, PAD)


def run(first_logits, model, length, indices=None):
    indices = jnp.arange(len(first_logits)) if indices is None else indices
    search = greedy(max_decode_length=length)
    return decode(search, first_logits, jnp.int32(0), model, examples=Examples(indices))


@pytest.mark.parametrize("jit", [False, True])
def test_rows_end_on_their_own_and_padding_follows(jit):
    """A row that has ended writes padding while the others go on."""
    logits_after, model = counter(vocab=6)

    def decoded(first):
        return run(logits_after(first), model, 6)

    tokens = (jax.jit(decoded) if jit else decoded)(jnp.array([2, 4, 5])).tokens[:, 0]
    expected = [[3, 4, 5, 1, 0, 0], [5, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(tokens, expected)


def test_the_model_is_called_no_more_once_all_rows_have_ended():
    """Counting calls: the longest row takes two tokens after the first, so two calls."""
    logits_after, model = counter(vocab=6)
    calls = []

    def counted(tokens, cache):
        jax.debug.callback(lambda: calls.append(1))
        return model.advance(tokens, cache)

    counting = dataclasses.replace(model, advance=counted)
    run(logits_after(jnp.array([3, 4])), counting, 50)
    jax.effects_barrier()
    assert len(calls) == 2, "4, 5, EOS: the first token needs no call, the others one each"


def test_a_row_that_never_ends_is_cut_at_the_length():
    """No token beyond max_decode_length is computed or written, so a cache may be that long."""
    logits_after, model = counter(vocab=1000)
    decoded = run(logits_after(jnp.array([10])), model, 4)
    np.testing.assert_array_equal(decoded.tokens[:, 0], [[11, 12, 13, 14]])


def test_a_length_of_one_gives_the_first_token():
    """The shortest decode."""
    logits_after, model = counter(vocab=9)
    decoded = run(logits_after(jnp.array([3])), model, 1)
    np.testing.assert_array_equal(decoded.tokens[:, 0], [[4]])


def test_filler_rows_write_nothing_and_ask_for_no_step():
    """A row that never ends would otherwise keep a batch going."""
    logits_after, model = counter(vocab=1000)
    calls = []

    def counted(tokens, cache):
        jax.debug.callback(lambda: calls.append(1))
        return model.advance(tokens, cache)

    counting = dataclasses.replace(model, advance=counted)
    decoded = run(logits_after(jnp.array([998, 5])), counting, 50, jnp.array([0, -1]))
    jax.effects_barrier()
    assert len(calls) == 1, "999, EOS"
    assert not np.asarray(decoded.tokens[1]).any() and decoded.log_probs[1, 0] == 0


def test_log_probabilities_are_those_of_the_tokens(toy, cut):
    """Also where a ban took the likeliest token away: the model's distribution is not changed."""
    model = toy(seed=9)
    for first_forbidden in (None, 3):
        rules = Rules(first_forbidden=first_forbidden)
        found = model.decode(greedy(max_decode_length=model.length, rules=rules))
        for example, row in enumerate(np.asarray(found.tokens)[:, 0]):
            expected = model.log_prob(example, cut(row))
            assert float(found.log_probs[example, 0]) == pytest.approx(expected, rel=1e-5)
            assert first_forbidden is None or (row < first_forbidden).all()
