"""Sampling: frequencies, filters, and independence of the batch."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.sampling import draw, sample

LOGITS = np.log(np.array([0.4, 0.3, 0.2, 0.06, 0.04], np.float32))
DRAWS = 20_000


def frequencies(logits, **settings):
    keys = jax.random.split(jax.random.key(0), DRAWS)
    rows = jnp.broadcast_to(jnp.asarray(logits), (DRAWS, len(logits)))
    tokens = jax.jit(functools.partial(draw, **settings))(keys, rows)
    return np.bincount(np.asarray(tokens), minlength=len(logits)) / DRAWS


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, 5),
        ({"top_k": 2}, 2),
        ({"top_k": 99}, 5),
        ({"top_p": 0.65}, 2),
        ({"top_p": 0.75}, 3),
        ({"top_p": 1e-6}, 1),
        ({"top_k": 3, "top_p": 0.7}, 2),
    ],
)
def test_draws_follow_the_distribution_that_is_left(settings, kept):
    """Within four standard errors. Top-p comes after top-k: 0.4 / 0.9 + 0.3 / 0.9 reach 0.7."""
    expected = np.where(np.arange(5) < kept, np.exp(LOGITS), 0)
    expected = expected / expected.sum()
    found = frequencies(LOGITS, **settings)
    error = 4 * np.sqrt(expected * (1 - expected) / DRAWS)
    assert (np.abs(found - expected) <= error).all(), found


def test_ties_do_not_let_more_than_top_k_through():
    """Equal logits: the lower ids stay."""
    found = frequencies(np.zeros(5, np.float32), top_k=2)
    assert (found[:2] > 0.4).all() and (found[2:] == 0).all()


def run(toy, indices=None, **settings):
    search = sample(seed=1, max_decode_length=toy.length, **settings)
    return toy.decode(search, indices=indices)


def test_log_probabilities_are_the_models_whatever_the_temperature(toy, cut):
    """So that samples of different settings compare; the likeliest comes first."""
    model = toy(seed=4)
    found = run(model, num_decodes=6, temperature=2.0, top_k=4)
    assert found.tokens.shape == (3, 6, 5)
    for example in range(model.batch):
        for row, log_prob in zip(found.tokens[example], found.log_probs[example], strict=True):
            assert log_prob == pytest.approx(model.log_prob(example, cut(row)), rel=1e-5)
        assert list(found.scores[example]) == sorted(found.scores[example], reverse=True)
    assert len({cut(row) for row in found.tokens[0]}) > 1


def test_an_example_draws_the_same_wherever_it_stands(toy):
    """Its number decides, not its row."""
    model = toy(seed=4)
    model.table[:] = model.table[:1]  # one example, three times
    model.first_logits = jnp.asarray(model.table[:, 0])
    one = run(model, jnp.array([7, 8, 9]), num_decodes=2)
    other = run(model, jnp.array([9, 7, 8]), num_decodes=2)
    np.testing.assert_array_equal(one.tokens[0], other.tokens[1])
    np.testing.assert_array_equal(one.tokens[2], other.tokens[0])
    assert (one.tokens[0] != one.tokens[1]).any()


def test_a_low_temperature_is_greedy_decoding(toy):
    """The limit."""
    model = toy(seed=6)
    expected = model.decode(greedy(max_decode_length=5))
    np.testing.assert_array_equal(run(model, temperature=1e-4).tokens, expected.tokens)
