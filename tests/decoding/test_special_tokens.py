"""A decoder has its special ids from the model: GPT-2 ends and pads with one, and 0 is text."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.beam import beam_search
from t5x_lite.decoding.greedy import greedy

# New ids of the five tokens: the end token is 2 then, padding 4.
IDS = np.array([4, 2, 0, 1, 3])
DECODERS = pytest.mark.parametrize(
    "decode",
    [greedy, functools.partial(beam_search, beam_size=3, alpha=0.6, num_decodes=3)],
    ids=["greedy", "beam"],
)


def run(decode, toy, model, first_logits):
    function = functools.partial(decode, model=model, max_decode_length=toy.length)
    return jax.tree.map(np.asarray, jax.jit(function)(first_logits, toy.cache))


@DECODERS
def test_other_ids_are_other_names_for_the_same_tokens(decode, toy):
    """Padding behind the end included."""
    toy = toy(batch=6, eos_bonus=1.0)
    expected = run(decode, toy, toy.model, toy.first_logits)
    former = np.argsort(IDS)

    def advance(tokens, cache):
        logits, cache = toy.model.advance(jnp.asarray(former)[tokens], cache)
        return logits[:, former], cache

    renamed = dataclasses.replace(
        toy.model, advance=advance, end=int(IDS[toy.model.end]), padding=int(IDS[toy.model.padding])
    )
    found = run(decode, toy, renamed, toy.first_logits[:, former])
    np.testing.assert_array_equal(found.tokens, IDS[expected.tokens])
    np.testing.assert_allclose(found.log_probs, expected.log_probs, rtol=1e-5)
    assert (found.tokens[..., -1] == renamed.padding).any(), "some row ends early"


@DECODERS
def test_padding_may_be_the_end_token(decode, toy, cut):
    """What stands before the first end token is not changed by what fills the row behind it."""
    toy = toy(batch=6, eos_bonus=1.0)
    usual = run(decode, toy, toy.model, toy.first_logits)
    same = dataclasses.replace(toy.model, padding=toy.model.end)
    found = run(decode, toy, same, toy.first_logits)
    rows = found.tokens.reshape(-1, toy.length)
    expected = usual.tokens.reshape(-1, toy.length)
    assert [cut(row) for row in rows] == [cut(row) for row in expected]
    assert all((row[len(cut(row)) :] == toy.model.end).all() for row in rows)
    assert any(len(cut(row)) < toy.length for row in rows)
