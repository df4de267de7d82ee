"""Conditional beam search against enumeration (SPEC D.4)."""

import functools

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.beam import BeamSearch
from t5x_lite.decoding.conditional import ATTRIBUTE, ConditionalBeamSearch
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.rules import ANYTHING, Rules
from t5x_lite.decoding.strategies import BeamConfig, ConditionalBeamConfig
from t5x_lite.decoding.table import decoder_of
from t5x_lite.features.attributes import holds
from t5x_lite.features.config import Attribute
from t5x_lite.features.outputs import TOKENS, Told

VOCAB, EOS = 5, 1
EXHAUSTIVE = 4**4


def has(attribute, tokens):
    row = jnp.array([tokens])
    return bool(holds(attribute, row, jnp.ones_like(row), end=EOS)[0, 0])


class Judged:
    """A toy beside the exact odds that what begins so ends in time and has an attribute."""

    def __init__(self, toy, attribute):
        self.toy, self.attribute = toy, attribute
        shares = np.zeros(toy.table.shape[:2])
        for example in range(toy.batch):
            for tokens in filter(functools.partial(has, attribute), toy.all_finished()):
                whole, prefix = np.exp(toy.log_prob(example, tokens)), 0
                for place, token in enumerate(tokens):
                    before = np.exp(toy.log_prob(example, tokens[:place]))
                    shares[example, prefix] += whole / before
                    prefix = prefix * VOCAB + 1 + token
                    if token == EOS:
                        break
        with np.errstate(divide="ignore"):
            self.odds = jnp.asarray(np.log(shares) - np.log1p(-np.minimum(shares, 1 - 1e-9)))

    def tell(self, tokens, cache, wanted):
        assert wanted.heads == (TOKENS, ATTRIBUTE)
        logits, (example, prefix) = self.toy.model.advance(tokens, cache)
        # Of prefixes with an end in them, or as long as may be, nothing is told.
        inside = jnp.minimum(prefix, self.odds.shape[1] - 1)
        odds = jnp.where(prefix < self.odds.shape[1], self.odds[example, inside], 0.0)
        odds = jnp.maximum(odds, -1e9).astype(jnp.float32)
        return Told({TOKENS: logits, ATTRIBUTE: odds[:, None]}), (example, prefix)

    def search(self, **settings):
        common = {"max_decode_length": self.toy.length, "attribute": self.attribute}
        search = ConditionalBeamSearch(**common | settings)
        return self.toy.decode(search, tell=self.tell)


@pytest.mark.parametrize("attribute", Attribute)
def test_full_width_and_exact_odds_find_the_conditional_mode(attribute, toy, cut):
    """The best four, with their log-probabilities, of all that have it."""
    model = toy(batch=2, eos_bonus=1.0)
    found = Judged(model, attribute).search(beam_size=EXHAUSTIVE, candidates=5, num_decodes=4)
    for example in range(model.batch):
        ranked = sorted(
            ((model.log_prob(example, s), s) for s in model.all_finished() if has(attribute, s)),
            reverse=True,
        )[:4]
        assert [cut(row) for row in found.tokens[example]] == [s for _, s in ranked]
        np.testing.assert_allclose(found.scores[example], [p for p, _ in ranked], rtol=1e-5)
        np.testing.assert_array_equal(found.scores[example], found.log_probs[example])


@pytest.mark.parametrize("width", [1, 2, 3, 7])
def test_anything_is_what_a_beam_finds(width, toy):
    """Bit for bit, however narrow, where twice as many are looked at."""
    model = toy(seed=3, batch=6)
    own = ConditionalBeamSearch(
        beam_size=width,
        candidates=2,
        attribute=Attribute.ANYTHING,
        max_decode_length=model.length,
        num_decodes=width,
    )
    plain = BeamSearch(
        beam_size=width, alpha=0.0, max_decode_length=model.length, num_decodes=width
    )
    for ours, theirs in zip(model.decode(own), model.decode(plain), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("seed", range(3))
def test_what_needs_no_judge_is_a_beam_whatever_the_candidates(seed, toy):
    """Of 8 that are looked at in place of 4, more would count as ended."""
    model = toy(seed=seed, batch=8)

    def found(strategy):
        config = DecodingConfig(strategy=strategy, max_decode_length=model.length, num_decodes=2)
        return model.decode(decoder_of(config, ANYTHING))

    own = ConditionalBeamConfig(beam_size=2, candidates=4, attribute=Attribute.ANYTHING)
    for ours, theirs in zip(found(own), found(BeamConfig(beam_size=2, alpha=0.0)), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_not_empty_is_never_empty(toy, cut):
    """Of models whose mode is empty; as where a rule forbids it."""
    model = toy(seed=5, batch=6, eos_bonus=4.0)
    settings = {"beam_size": EXHAUSTIVE, "max_decode_length": model.length}
    plain = model.decode(BeamSearch(alpha=0.0, **settings))
    assert all(cut(row[0]) == (EOS,) for row in plain.tokens)
    found = model.decode(
        ConditionalBeamSearch(candidates=5, attribute=Attribute.NOT_EMPTY, **settings)
    )
    ruled = model.decode(BeamSearch(alpha=0.0, rules=Rules(min_decode_length=2), **settings))
    np.testing.assert_array_equal(found.tokens, ruled.tokens)
    np.testing.assert_allclose(found.log_probs, ruled.log_probs, rtol=1e-6)


def test_a_judge_brings_a_narrow_beam_to_its_end(toy, cut):
    """Models that seldom end in time: beams of one are cut, those that ask for an end are not, and
    what they write is on average likelier than the best of what a plain beam ends.
    """
    model = toy(seed=11, batch=8, eos_bonus=-3.0)
    judged = Judged(model, Attribute.COMPLETE)
    plain = model.decode(BeamSearch(beam_size=1, alpha=0.0, max_decode_length=model.length))
    own = judged.search(beam_size=1, candidates=5)
    ends = [[EOS in row[0] for row in found.tokens] for found in (plain, own)]
    assert all(ends[1]) and sum(ends[0]) < model.batch
    for example in range(model.batch):
        tokens = cut(own.tokens[example, 0])
        assert own.log_probs[example, 0] == pytest.approx(model.log_prob(example, tokens), rel=1e-5)


def test_examples_do_not_know_of_each_other(toy):
    """Alone, an example is written as among others."""
    model = toy(seed=2, batch=3)
    judged = Judged(model, Attribute.COMPLETE)
    together = judged.search(beam_size=2, candidates=3, num_decodes=2)
    for example in range(model.batch):
        indices = jnp.where(jnp.arange(model.batch) == example, example, -1)
        search = ConditionalBeamSearch(
            beam_size=2,
            candidates=3,
            num_decodes=2,
            attribute=Attribute.COMPLETE,
            max_decode_length=model.length,
        )
        alone = model.decode(search, indices=indices, tell=judged.tell)
        np.testing.assert_array_equal(alone.tokens[example], together.tokens[example])
