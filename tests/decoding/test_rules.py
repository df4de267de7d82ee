"""What may be written is the same for every decoder, and the model's own word of it stays."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.decoding.beam import BeamSearch
from t5x_lite.decoding.examples import FREE
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.rules import ANYTHING, Rules
from t5x_lite.decoding.sampling import sample

LENGTH, EOS = 5, 1
# Of at most 4**4 living hypotheses none of the 5 continuations is ever dropped.
EXHAUSTIVE = 4**4 * 5 // 2
FORCED = ((3, 2), (4,), ())
MANY = 40


def beam(rules, **settings):
    settings = {"beam_size": EXHAUSTIVE, "alpha": 0.0} | settings
    return BeamSearch(max_decode_length=LENGTH, rules=rules, **settings)


def forced_of(rows):
    width = max(map(len, rows))
    return jnp.array([[*row, *[FREE] * (width - len(row))] for row in rows], jnp.int32)


def has_repeat(tokens, size):
    runs = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
    return len(set(runs)) < len(runs)


@pytest.fixture
def decoders():
    """Each with these rules."""

    def make(rules=ANYTHING):
        return {
            "greedy": greedy(max_decode_length=LENGTH, rules=rules),
            "sample": sample(seed=1, max_decode_length=LENGTH, num_decodes=MANY, rules=rules),
            "beam": beam(rules, beam_size=3, num_decodes=2),
        }

    return make


LAWS = {
    "min_decode_length": (Rules(min_decode_length=4), lambda s, e: len(s) >= 4),
    "no_repeat_1": (Rules(no_repeat_ngram=1), lambda s, e: not has_repeat(s, 1)),
    "no_repeat_2": (Rules(no_repeat_ngram=2), lambda s, e: not has_repeat(s, 2)),
    "no_repeat_9": (Rules(no_repeat_ngram=9), lambda s, e: True),
    "forbidden": (Rules(first_forbidden=3), lambda s, e: max(s) < 3),
    "forced": (ANYTHING, lambda s, e: s[: len(FORCED[e])] == FORCED[e]),
    "several": (
        Rules(first_forbidden=4, min_decode_length=3, no_repeat_ngram=1),
        lambda s, e: len(s) >= 3 and max(s) < 4 and not has_repeat(s, 1),
    ),
}
EACH_LAW = pytest.mark.parametrize("law", LAWS)


def asked(law):
    return {"forced": forced_of(FORCED)} if law == "forced" else {}


@EACH_LAW
def test_every_decoder_keeps_them(law, toy, cut, decoders):
    """And what it says of a row's likelihood is the model's, whatever was forbidden."""
    model = toy(seed=3)
    rules, holds = LAWS[law]
    for search in decoders(rules).values():
        found = model.decode(search, **asked(law))
        for example in range(model.batch):
            for row, log_prob in zip(found.tokens[example], found.log_probs[example], strict=True):
                assert holds(cut(row), example), (cut(row), example)
                assert log_prob == pytest.approx(model.log_prob(example, cut(row)), rel=1e-5)


@EACH_LAW
def test_a_beam_that_is_wide_enough_finds_the_best_that_is_allowed(law, toy, cut):
    """By brute force over all sequences that end."""
    model = toy(seed=3)
    rules, holds = LAWS[law]
    found = model.decode(beam(rules), **asked(law))
    for example in range(model.batch):
        allowed = [s for s in model.all_finished() if holds(s, example)]
        best = max(allowed, key=lambda s: model.log_prob(example, s))
        assert cut(found.tokens[example, 0]) == best


def test_a_rule_that_nothing_breaks_changes_nothing(toy, decoders):
    """To the last bit: programs of those who ask for nothing are as they were."""
    model = toy(seed=3)
    for name, search in decoders(Rules(first_forbidden=5, no_repeat_ngram=9)).items():
        expected = model.decode(decoders()[name])
        for ours, theirs in zip(model.decode(search), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)


def test_to_be_forced_to_what_one_writes_changes_nothing(toy):
    """Greedy decoding with its own first tokens, one less at each row."""
    model = toy(seed=3)
    search = greedy(max_decode_length=LENGTH)
    free = model.decode(search)
    rows = [tuple(row[0][: 3 - n]) for n, row in enumerate(free.tokens.tolist())]
    forced = model.decode(search, forced=forced_of(rows))
    np.testing.assert_array_equal(forced.tokens, free.tokens)
    np.testing.assert_array_equal(forced.log_probs, free.log_probs)


def test_what_is_forced_may_be_forbidden(toy, cut):
    """Who asks for a beginning means it; the rules hold behind it."""
    model = toy(seed=3)
    rules = Rules(first_forbidden=4, no_repeat_ngram=1)
    found = model.decode(beam(rules), forced=forced_of([(4, 4)] * 3))
    for row in found.tokens[:, 0]:
        tokens = cut(row)
        assert tokens[:2] == (4, 4) and 4 not in tokens[2:] and not has_repeat(tokens[2:], 1)


def test_a_temperature_of_ones_own_is_that_of_the_decoder(toy):
    """Row by row the same draws as where all are sampled so."""
    model = toy(seed=3)
    hot, cold = (
        model.decode(sample(seed=1, max_decode_length=LENGTH, num_decodes=9, temperature=each))
        for each in (3.0, 0.5)
    )
    common = sample(seed=1, max_decode_length=LENGTH, num_decodes=9)
    found = model.decode(common, temperature=jnp.array([3.0, 0.5, 3.0]))
    for example, expected in enumerate((hot, cold, hot)):
        np.testing.assert_array_equal(found.tokens[example], expected.tokens[example])
    assert (hot.tokens[1] != cold.tokens[1]).any()


def test_rules_are_values():
    """Programs are found again by them."""
    assert dataclasses.replace(ANYTHING) == ANYTHING and hash(Rules()) == hash(ANYTHING)
