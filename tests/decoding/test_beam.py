"""Beam search against enumeration, and the laws of SPEC B.10."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.beam import BeamSearch, length_penalty
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.rules import Rules

ALPHA = 0.6
# Of at most 4**4 living hypotheses none of the 5 continuations is ever dropped.
EXHAUSTIVE = 4**4 * 5 // 2


def search(toy, *, indices=None, changes=None, **settings):
    settings = {"beam_size": 4, "alpha": ALPHA, "max_decode_length": toy.length} | settings
    return toy.decode(BeamSearch(**settings), indices=indices, **changes or {})


def penalty(n):
    return ((5 + n) / 6) ** ALPHA


@pytest.mark.parametrize(("length", "expected"), [(1, 1.0), (10, 1.7329), (20, 2.3544)])
def test_the_length_penalty_is_the_papers(length, expected):
    """SPEC B.10 gives these values."""
    assert float(length_penalty(length, ALPHA)) == pytest.approx(expected, abs=5e-5)


def test_a_beam_that_is_wide_enough_equals_enumeration(toy, cut):
    """INV-16: V = 5, length 5; the best four of all 341 sequences that end, in order, with the
    scores that the definition gives.
    """
    model = toy(batch=6)
    found = search(model, beam_size=EXHAUSTIVE, num_decodes=4)
    for example in range(model.batch):
        ranked = sorted(
            ((model.log_prob(example, s) / penalty(len(s)), s) for s in model.all_finished()),
            reverse=True,
        )
        assert len(ranked) == sum(4**n for n in range(5)) == 341
        assert [cut(row) for row in found.tokens[example]] == [s for _, s in ranked[:4]]
        np.testing.assert_allclose(found.scores[example], [s for s, _ in ranked[:4]], rtol=1e-5)


def test_log_probabilities_and_scores_are_those_of_the_tokens(toy, cut):
    """A narrow beam may miss the best, but what it says of what it found is true."""
    model = toy(seed=7, batch=4)
    found = search(model, beam_size=3, num_decodes=3)
    for example in range(model.batch):
        assert list(found.scores[example]) == sorted(found.scores[example], reverse=True)
        for row, log_prob, score in zip(*(part[example] for part in found), strict=True):
            tokens = cut(row)
            assert log_prob == pytest.approx(model.log_prob(example, tokens), rel=1e-5)
            assert score == pytest.approx(log_prob / penalty(len(tokens)), rel=1e-5)
        assert len({cut(row) for row in found.tokens[example]}) == 3


def test_width_one_is_never_worse_than_greedy_that_ends_in_time(toy, cut):
    """SPEC B.10: score(beam 1) >= score(greedy); that they may differ is seen as well."""
    model = toy(batch=128, eos_bonus=1.0)
    one = search(model, beam_size=1)
    other = model.decode(greedy(max_decode_length=model.length))
    ended = (np.asarray(other.tokens) == 1).any(axis=-1)[:, 0]
    lengths = np.array([len(cut(row[0])) for row in np.asarray(other.tokens)])
    score = np.asarray(other.log_probs)[:, 0] / penalty(lengths)
    assert ended.any()
    assert (one.scores[ended, 0] >= score[ended] - 1e-6).all()


def test_width_one_is_not_greedy(toy, cut):
    """An end token that is ranked second counts as finished, and may win: it does, somewhere."""
    model = toy(batch=128)
    one = search(model, beam_size=1).tokens[:, 0]
    other = model.decode(greedy(max_decode_length=model.length))
    rows = zip(one, np.asarray(other.tokens)[:, 0], strict=True)
    assert 0 < sum(cut(a) != cut(b) for a, b in rows) < 128


def test_the_live_path_of_width_one_is_greedy_without_end_tokens(toy):
    """With an impossible end token nothing finishes, so the live path is the answer."""
    model = toy(seed=3, batch=8, eos_bonus=-np.inf)
    one = search(model, beam_size=1)
    other = model.decode(greedy(max_decode_length=model.length))
    np.testing.assert_array_equal(one.tokens, other.tokens)
    np.testing.assert_allclose(one.log_probs, other.log_probs, rtol=1e-5)


def test_without_a_finished_hypothesis_the_best_living_one_is_given(toy, cut):
    """Banning the ids from 1 on leaves one endless sequence; it has no end token."""
    model = toy(seed=1)
    found = search(model, beam_size=2, num_decodes=2, rules=Rules(first_forbidden=1))
    assert (found.tokens[:, 0] == 0).all()
    for example in range(model.batch):
        expected = model.log_prob(example, (0,) * model.length)
        assert found.log_probs[example, 0] == pytest.approx(expected, rel=1e-5)
        assert found.scores[example, 0] == pytest.approx(expected / penalty(5), rel=1e-5)
    assert (found.scores[:, 1] == -np.inf).all(), "there is no second one"


def test_finished_hypotheses_come_before_living_ones(toy, cut):
    """Fewer finished ones than asked for: the rest is filled, and told apart by its missing end."""
    model = toy(seed=2, batch=8, length=2, eos_bonus=-4.0)
    found = search(model, beam_size=4, num_decodes=4)
    ends = (found.tokens == 1).any(axis=-1)
    assert ends.any() and not ends.all()
    assert (ends[:, :-1] >= ends[:, 1:]).all()


def test_an_example_is_answered_alike_whatever_stands_beside_it(toy):
    """A search that is over is not changed by the steps that others still need."""
    model = toy(seed=5, batch=6)
    together = search(model, beam_size=2, num_decodes=2)
    for example in range(model.batch):
        indices = jnp.where(jnp.arange(model.batch) == example, example, -1)
        alone = search(model, beam_size=2, num_decodes=2, indices=indices)
        np.testing.assert_array_equal(alone.tokens[example], together.tokens[example])
        np.testing.assert_array_equal(alone.scores[example], together.scores[example])


def test_the_search_stops_when_no_living_hypothesis_can_win(toy):
    """With a certain end token the first step finishes; filler rows ask for no step at all."""
    model = toy(seed=0, length=5, eos_bonus=50.0)
    calls = []

    def counted(tokens, cache):
        jax.debug.callback(lambda: calls.append(1))
        return model.model.advance(tokens, cache)

    settings = {"beam_size": 1, "changes": {"advance": counted}}
    search(model, **settings)
    jax.effects_barrier()
    assert calls == []
    idle = -jnp.ones(model.batch, jnp.int32)
    search(toy(seed=0), indices=idle, **settings)
    jax.effects_barrier()
    assert calls == []
