"""The exact search against enumeration."""

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.exact import ExactSearch
from t5x_lite.decoding.examples import FREE
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.rules import ANYTHING, Rules

LENGTH = 6
VOCAB = 5


def exact(**settings):
    return ExactSearch(**{"max_decode_length": LENGTH, "max_nodes": 10**6} | settings)


def ranked(model, example, holds=lambda s: True):
    """All sequences that end, the likeliest first."""
    every = [s for s in model.all_finished() if holds(s)]
    return sorted(every, key=lambda s: -model.log_prob(example, s))


@pytest.fixture(scope="module")
def model_of():
    """Toys of 6 tokens, of which the end token is a little rarer, so that searches are long."""
    kept = {}

    def make(toy, seed=2):
        if seed not in kept:
            kept[seed] = toy(seed=seed, batch=4, length=LENGTH, eos_bonus=-1.0)
        return kept[seed]

    return make


@pytest.mark.parametrize("num_decodes", [1, 7])
def test_it_finds_the_best_of_all_that_end(num_decodes, toy, model_of, cut):
    """SPEC D.4: V = 5, length 6, by brute force over all 1,365; the n best, in order, and that they
    are shown to be these.
    """
    model = model_of(toy)
    found = model.decode(exact(num_decodes=num_decodes))
    for example in range(model.batch):
        expected = ranked(model, example)[:num_decodes]
        assert [cut(row) for row in found.tokens[example]] == expected
        log_probs = [model.log_prob(example, s) for s in expected]
        np.testing.assert_allclose(found.log_probs[example], log_probs, rtol=1e-5)
    np.testing.assert_array_equal(found.scores, found.log_probs)


@pytest.mark.parametrize("length", range(1, LENGTH + 1))
def test_it_finds_the_mode_of_each_length(length, toy, model_of, cut):
    """No end before, and the end then; an example that asks for nothing gets the mode of all."""
    model = model_of(toy)
    lengths = jnp.array([length, FREE, length, length])
    found = model.decode(exact(), lengths=lengths)
    for example, asked in enumerate(lengths.tolist()):
        best = ranked(model, example, lambda s, asked=asked: asked in (FREE, len(s)))[0]
        assert cut(found.tokens[example, 0]) == best


def test_rules_leave_it_the_best_that_they_allow(toy, model_of, cut):
    """With a beginning of each example's own."""
    model = model_of(toy)
    rules = Rules(min_decode_length=4, no_repeat_ngram=2)
    forced = jnp.array([[3, 2], [2, FREE], [FREE, FREE], [4, 4]], jnp.int32)
    found = model.decode(exact(rules=rules), forced=forced)
    for example, row in enumerate(forced.tolist()):
        begin = tuple(token for token in row if token != FREE)

        def holds(s, begin=begin):
            runs = [s[i : i + 2] for i in range(len(s) - 1)]
            return len(s) >= 4 and s[: len(begin)] == begin and len(set(runs)) == len(runs)

        assert cut(found.tokens[example, 0]) == ranked(model, example, holds)[0]


def test_with_few_nodes_it_says_what_it_knows(toy, model_of):
    """What it found is true, what it says none exceeds holds, and both close on each other."""
    model = model_of(toy)
    modes = [model.log_prob(e, ranked(model, e)[0]) for e in range(model.batch)]
    widths = []
    for nodes in (LENGTH, 20, 60, 10**6):
        found = model.decode(exact(max_nodes=nodes))
        low, high = found.log_probs[:, 0], found.scores[:, 0]
        assert (low <= np.array(modes) + 1e-5).all() and (high >= np.array(modes) - 1e-5).all()
        widths.append(high - low)
    assert (widths[0] > 0).any() and (widths[-1] == 0).all()
    assert all((a >= b - 1e-6).all() for a, b in zip(widths, widths[1:], strict=False))


def test_it_is_never_worse_than_greedy_and_asks_less_than_for_all(toy, model_of):
    """The bound leaves most prefixes out."""
    model = model_of(toy)
    other = model.decode(greedy(max_decode_length=LENGTH, rules=ANYTHING))
    ended = (other.tokens == 1).any(axis=-1)[:, 0]
    assert ended.any()
    found = model.decode(exact())
    assert (found.log_probs[ended, 0] >= other.log_probs[ended, 0] - 1e-6).all()
    all_prefixes = sum((VOCAB - 1) ** n for n in range(LENGTH))
    half = model.decode(exact(max_nodes=all_prefixes // 2))
    np.testing.assert_array_equal(half.scores, half.log_probs)


def test_an_example_is_answered_alike_whatever_stands_beside_it(toy, model_of):
    """Filler too."""
    model = model_of(toy)
    together = model.decode(exact())
    for example in range(model.batch):
        indices = jnp.where(jnp.arange(model.batch) == example, example, -1)
        alone = model.decode(exact(), indices=indices)
        np.testing.assert_array_equal(alone.tokens[example], together.tokens[example])
