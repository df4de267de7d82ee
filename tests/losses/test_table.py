"""Terms by themselves and together: values add up, sums keep their names, parts add up too."""

import dataclasses
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.config.configurables import configurables
from t5x_lite.features.outputs import TOKENS, Outputs, Scores, Wanted
from t5x_lite.losses.config import LossConfig, LossNormalization, MatchTeacherConfig, TermConfig
from t5x_lite.losses.table import TERMS, make_loss
from t5x_lite.losses.tokens import compute_loss

VOCAB = 9
SEGMENTS = jnp.asarray([[1, 1, 1, 1, 2, 2], [1, 1, 0, 0, 0, 0]])
BATCH = {
    "decoder_target_tokens": jnp.asarray([[4, 5, 6, 1, 8, 1], [3, 1, 0, 0, 0, 0]]),
    "decoder_segment_ids": SEGMENTS,
}
TOKEN_TERM = LossConfig(z_loss=0.01)
MATCH = MatchTeacherConfig(temperature=2.0, weight=0.25, normalizing_factor=5.0)


def outputs(seed):
    drawn = jax.random.normal(jax.random.key(seed), (*SEGMENTS.shape, VOCAB))
    return Outputs({TOKENS: Scores(3 * drawn)}, {})


OURS, THEIRS = outputs(0), outputs(1)


def evaluate(*configs, **settings):
    return make_loss(configs)(OURS, THEIRS, BATCH, training=True, **settings)


def test_every_config_of_a_term_has_a_row():
    """What gin can name can be computed."""
    named = {config for config in configurables().values() if issubclass(config, TermConfig)}
    assert set(TERMS) == named


def test_one_term_is_that_term_to_the_last_bit():
    """T5 trains on what it trained on."""
    value, sums = evaluate(TOKEN_TERM)
    expected, own = compute_loss(OURS.heads[TOKENS], BATCH, TOKEN_TERM, training=True)
    assert value == expected == sums.pop("term")
    assert sums == own


@pytest.mark.parametrize("weights", [(1.0, 0.25), (3.0, 1.0), (0.5, 2.0)], ids=str)
def test_the_loss_is_the_weighted_sum_of_its_terms(weights):
    """Each with its own normalizer; the value and its gradient."""
    terms = [
        dataclasses.replace(term, weight=weight)
        for term, weight in zip((TOKEN_TERM, MATCH), weights, strict=True)
    ]

    def of(*configs):
        def value(logits):
            ours = Outputs({TOKENS: Scores(logits)}, {})
            return make_loss(configs)(ours, THEIRS, BATCH, training=True)[0]

        return jax.value_and_grad(value)(OURS.heads[TOKENS].all())

    single = [of(dataclasses.replace(term, weight=1.0)) for term in terms]
    for part, whole in enumerate(of(*terms)):
        expected = weights[0] * single[0][part] + weights[1] * single[1][part]
        np.testing.assert_allclose(whole, expected, rtol=1e-5, atol=1e-7)


def test_the_first_terms_sums_keep_their_names_and_others_have_their_configs():
    """So a second term changes no tag that users of the first one look for."""
    _, alone = evaluate(TOKEN_TERM)
    _, both = evaluate(TOKEN_TERM, MATCH)
    _, matched = evaluate(dataclasses.replace(MATCH, weight=1.0))
    assert both == alone | {f"MatchTeacherConfig/{name}": total for name, total in matched.items()}
    _, turned = evaluate(MATCH, TOKEN_TERM)
    assert turned == matched | {f"LossConfig/{name}": total for name, total in alone.items()}


@pytest.mark.parametrize("normalization", [*LossNormalization, None], ids=str)
def test_microbatches_add_up(normalization):
    """With the whole batch's normalizers, whichever term has which."""
    terms = (dataclasses.replace(TOKEN_TERM, normalizing_factor=normalization), MATCH)
    for configs in (terms, terms[::-1]):
        loss = make_loss(configs)
        whole, sums = loss(OURS, THEIRS, BATCH, training=True)
        normalizers, parts = loss.normalizers(BATCH), []
        for place in (slice(0, 1), slice(1, 2)):
            rows = jax.tree.map(operator.itemgetter(place), (OURS, THEIRS, BATCH))
            parts.append(loss(*rows, training=True, normalizers=normalizers))
        np.testing.assert_allclose(parts[0][0] + parts[1][0], whole, rtol=1e-6)
        for name in sums:
            found = parts[0][1][name] + parts[1][1][name]
            np.testing.assert_allclose(found, sums[name], rtol=1e-6, err_msg=name)


def test_a_teacher_is_asked_only_where_a_term_needs_one():
    """And the model only for what some term wants, once."""
    assert make_loss((TOKEN_TERM,)).wanted_of_teacher is None
    both = make_loss((TOKEN_TERM, MATCH))
    assert both.wanted == both.wanted_of_teacher == Wanted((TOKENS,), ())


@pytest.mark.parametrize("config", [LossConfig, MatchTeacherConfig])
def test_a_weight_of_nothing_is_refused(config):
    """A term that does not count is left out of the tuple."""
    with pytest.raises(ValueError, match="weight=0.0: needed is"):
        config(weight=0.0)
