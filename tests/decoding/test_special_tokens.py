"""A decoder has its special ids from the model: GPT-2 ends and pads with one, and 0 is text."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.beam import BeamSearch
from t5x_lite.decoding.greedy import greedy

# New ids of the five tokens: the end token is 2 then, padding 4.
IDS = np.array([4, 2, 0, 1, 3])
SETTINGS = {"beam_size": 3, "alpha": 0.6, "num_decodes": 3}
DECODERS = pytest.mark.parametrize(
    "search_of", [greedy, functools.partial(BeamSearch, **SETTINGS)], ids=["greedy", "beam"]
)


@DECODERS
def test_other_ids_are_other_names_for_the_same_tokens(search_of, toy):
    """Padding behind the end included."""
    toy = toy(batch=6, eos_bonus=1.0)
    search = search_of(max_decode_length=toy.length)
    expected = toy.decode(search)
    former = np.argsort(IDS)

    def advance(tokens, cache):
        logits, cache = toy.model.advance(jnp.asarray(former)[tokens], cache)
        return logits[:, former], cache

    end, padding = int(IDS[toy.model.end]), int(IDS[toy.model.padding])
    toy.first_logits = toy.first_logits[:, former]
    found = toy.decode(search, advance=advance, end=end, padding=padding)
    np.testing.assert_array_equal(found.tokens, IDS[expected.tokens])
    np.testing.assert_allclose(found.log_probs, expected.log_probs, rtol=1e-5)
    assert (found.tokens[..., -1] == padding).any(), "some row ends early"


@DECODERS
def test_padding_may_be_the_end_token(search_of, toy, cut):
    """What stands before the first end token is not changed by what fills the row behind it."""
    toy = toy(batch=6, eos_bonus=1.0)
    search = search_of(max_decode_length=toy.length)
    usual, found = toy.decode(search), toy.decode(search, padding=toy.model.end)
    rows = found.tokens.reshape(-1, toy.length)
    expected = usual.tokens.reshape(-1, toy.length)
    assert [cut(row) for row in rows] == [cut(row) for row in expected]
    assert all((row[len(cut(row)) :] == toy.model.end).all() for row in rows)
    assert any(len(cut(row)) < toy.length for row in rows)
