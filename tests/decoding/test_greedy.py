"""Greedy decoding against a toy model whose every answer is known: no Transformer needed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.greedy import greedy

EOS = 1


def counter(vocab: int):
    """A "model" that says token + 1, and EOS after the last token; its cache counts the calls."""

    def logits_after(tokens):
        following = jnp.where(tokens + 1 >= vocab, EOS, tokens + 1)
        return jax.nn.one_hot(following, vocab)

    def advance(tokens, calls):
        return logits_after(tokens), calls + 1

    return logits_after, advance


@pytest.mark.parametrize("jit", [False, True])
def test_rows_end_on_their_own_and_padding_follows(jit):
    """A row that has ended writes padding while the others go on."""
    logits_after, advance = counter(vocab=6)

    def decode(first):
        return greedy(logits_after(first), jnp.int32(0), advance, max_decode_length=6)

    tokens = (jax.jit(decode) if jit else decode)(jnp.array([2, 4, 5]))
    expected = [[3, 4, 5, 1, 0, 0], [5, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]]
    np.testing.assert_array_equal(tokens, expected)


def test_the_model_is_called_no_more_once_all_rows_have_ended():
    """Counting calls: the longest row takes two tokens after the first, so two calls."""
    logits_after, advance = counter(vocab=6)
    calls = []

    def counted(tokens, cache):
        jax.debug.callback(lambda: calls.append(1))
        return advance(tokens, cache)

    greedy(logits_after(jnp.array([3, 4])), jnp.int32(0), counted, max_decode_length=50)
    jax.effects_barrier()
    assert len(calls) == 2, "4, 5, EOS: the first token needs no call, the others one each"


def test_a_row_that_never_ends_is_cut_at_the_length():
    """No token beyond max_decode_length is computed or written, so a cache may be that long."""
    logits_after, advance = counter(vocab=1000)
    tokens = greedy(logits_after(jnp.array([10])), jnp.int32(0), advance, max_decode_length=4)
    np.testing.assert_array_equal(tokens, [[11, 12, 13, 14]])


def test_a_length_of_one_gives_the_first_token():
    """The shortest decode."""
    logits_after, advance = counter(vocab=9)
    tokens = greedy(logits_after(jnp.array([3])), jnp.int32(0), advance, max_decode_length=1)
    np.testing.assert_array_equal(tokens, [[4]])
