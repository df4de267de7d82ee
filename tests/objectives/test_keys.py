"""Keyed random numbers: SplitMix64 by its definition, the same wherever a row stands."""

import numpy as np
import tensorflow as tf

from t5x_lite.objectives import keys

MASK = 2**64 - 1


def split_mix(state):
    z = (state + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def test_keys_are_stirred_as_published():
    """The first numbers of its reference implementation for the state 0 and those behind it."""
    states = [0, 1, 2**63, MASK]
    found = keys.stir(tf.constant(states, tf.uint64)).numpy().tolist()
    assert found == [split_mix(state) for state in states]
    assert found[0] == 0xE220A8397B1DCDAF
    assert keys.stir(-1).numpy() == split_mix(MASK)
    assert [keys.stir(state).numpy() for state in states] == found


def test_a_row_has_its_key_in_any_company(rows):
    """A function of its tokens and their order; empty rows have one as well."""
    many = rows([[], [5, 6, 7], [], [7, 6, 5], [5, 6], [], []])
    found = keys.of_tokens(many).numpy().tolist()
    assert len(found) == 7 and len(set(found)) == 4
    assert keys.of_tokens(rows([[5, 6, 7]])).numpy().tolist() == found[1:2]
    assert keys.of_tokens(rows([[], []])).numpy().tolist() == found[5:]
    places = keys.of_places(many, keys.of_tokens(many)).numpy()
    alone = keys.of_places(rows([[7, 6, 5]]), keys.of_tokens(rows([[7, 6, 5]])))
    np.testing.assert_array_equal(places[3:6], alone)


def test_draws_are_uniform_and_unrelated():
    """Means, neighbours and numbers below a count, within three standard errors."""
    count = 40_000
    every = keys.of_seed(tf.constant([3, 4], tf.int64), tf.constant(count))
    first, second = keys.uniform(every, 0).numpy(), keys.uniform(every, 1).numpy()
    for draws in (first, second):
        assert 0 <= draws.min() and draws.max() < 1
        assert abs(draws.mean() - 0.5) < 3 * np.sqrt(1 / 12 / count)
    for one, other in ((first, second), (first[1:], first[:-1])):
        assert abs(np.corrcoef(one, other)[0, 1]) < 3 / np.sqrt(count)
    numbers = keys.below(tf.constant(7), every, 2).numpy()
    counts = np.bincount(numbers, minlength=7)
    assert len(counts) == 7
    assert np.sum((counts - count / 7) ** 2 / (count / 7)) < 22.5  # chi-squared, p = 0.001
