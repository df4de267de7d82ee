"""Matching a teacher: the divergence by its definition, nothing for a copy, and what heat does."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.outputs import TOKENS, Outputs, Scores, Wanted
from t5x_lite.losses.config import LossNormalization, MatchTeacherConfig
from t5x_lite.losses.matching import MatchTeacher
from t5x_lite.losses.table import make_loss
from t5x_lite.losses.weighting import loss_normalizer, loss_weights

VOCAB = 9
# The second row has a third of the first one's tokens; ids do not matter to this term.
BATCH = {
    "decoder_target_tokens": jnp.zeros((2, 6), jnp.int32),
    "decoder_segment_ids": jnp.asarray([[1, 1, 1, 2, 2, 2], [1, 1, 0, 0, 0, 0]]),
}
REAL = np.asarray(BATCH["decoder_segment_ids"]) > 0


def logits(seed):
    return 2.0 * jax.random.normal(jax.random.key(seed), (2, 6, VOCAB))


def match(ours, theirs, **settings):
    """The loss and its sums; with `jax.grad` in mind, of the model's logits first."""
    config = MatchTeacherConfig(**settings)
    outputs, teacher = (Outputs({TOKENS: Scores(each)}, {}) for each in (ours, theirs))
    normalizer = loss_normalizer(BATCH, loss_weights(BATCH), config)
    return MatchTeacher(config)(outputs, teacher, BATCH, normalizer, training=True)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_a_copy_of_the_teacher_costs_nothing_and_moves_nowhere(temperature):
    """Also where its logits are higher by a constant, which no softmax sees."""
    ours = logits(0)
    for theirs in (ours, ours + 3.0):
        (value, _), gradient = jax.value_and_grad(match, has_aux=True)(
            ours, theirs, temperature=temperature
        )
        np.testing.assert_allclose(value, 0.0, atol=1e-5)
        np.testing.assert_allclose(gradient, np.zeros_like(ours), atol=1e-6)
    other, _ = match(ours, logits(1), temperature=temperature)
    assert other > 0.05


@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_it_is_the_mean_divergence_over_real_tokens(temperature):
    """KL(teacher || model) of the softened distributions, times the square of the temperature."""
    ours, theirs = logits(2), logits(3)
    value, sums = match(ours, theirs, temperature=temperature)

    def probabilities(given):
        powers = np.exp(np.asarray(given, np.float64) / temperature)
        return powers / powers.sum(axis=-1, keepdims=True)

    p, q = probabilities(theirs), probabilities(ours)
    divergence = (p * np.log(p / q)).sum(axis=-1) * temperature**2
    np.testing.assert_allclose(value, divergence[REAL].mean(), rtol=1e-5)
    np.testing.assert_allclose(sums["loss_sum"], divergence[REAL].sum(), rtol=1e-5)
    assert sums["weight_sum"] == REAL.sum() == 8


def test_sequences_may_count_alike():
    """The mean of the three sequences' means."""
    ours, theirs = logits(2), logits(3)
    rule = LossNormalization.AVERAGE_PER_SEQUENCE
    value, _ = match(ours, theirs, normalizing_factor=rule)
    _, whole = match(ours, theirs)
    q, p = (np.asarray(jax.nn.log_softmax(each), np.float64) for each in (ours, theirs))
    tokens = (np.exp(p) * (p - q)).sum(axis=-1)
    means = [tokens[0, :3].mean(), tokens[0, 3:].mean(), tokens[1, :2].mean()]
    np.testing.assert_allclose(value, np.mean(means), rtol=1e-5)
    np.testing.assert_allclose(whole["loss_sum"], tokens[REAL].sum(), rtol=1e-5)


def test_a_hot_match_is_that_of_the_logits():
    """Hinton et al. (2015), section 2.1: half the mean square of their centered difference."""
    ours, theirs = logits(4), logits(5)
    expected = 0.5 * np.var(theirs - ours, axis=-1)[REAL].mean()
    cold, hot = (match(ours, theirs, temperature=t)[0] for t in (1.0, 64.0))
    np.testing.assert_allclose(hot, expected, rtol=0.02)
    assert abs(cold / expected - 1) > 0.2


def test_padding_says_nothing():
    """Whatever both think of it; no gradient flows there."""
    ours, theirs = logits(6), logits(7)
    padding = ~REAL[..., None]
    gradient = jax.grad(lambda x: match(x, theirs)[0])(ours)
    assert not np.asarray(gradient)[~REAL].any()
    assert np.asarray(gradient)[REAL].any(axis=-1).all()
    changed, _ = match(ours, jnp.where(padding, 100.0 * logits(8), theirs))
    assert changed == match(ours, theirs)[0]


# Two examples in the first row, one in the second.
EXAMPLES = {
    "encoder_segment_ids": jnp.asarray([[1, 1, 1, 2, 2, 0], [1, 1, 0, 0, 0, 0]]),
    "encoder_positions": jnp.asarray([[0, 1, 2, 0, 1, 0], [0, 1, 0, 0, 0, 0]]),
    "encoder_target_tokens": jnp.zeros((2, 6), jnp.int32),
}
FIRST = np.asarray([[1, 0, 0, 1, 0, 0], [1, 0, 0, 0, 0, 0]]) > 0


def match_examples(ours, theirs, head, **settings):
    config = MatchTeacherConfig(head=head, **settings)
    outputs, teacher = (Outputs({head: Scores(each)}, {}) for each in (ours, theirs))
    loss = make_loss([config])
    assert loss.wanted == loss.wanted_of_teacher == Wanted((head,))
    return loss(outputs, teacher, EXAMPLES, training=True)


@pytest.mark.parametrize("head", ["classes", "sentence"])
def test_examples_are_matched_at_their_first_positions(head):
    """The mean over examples, packed or not, of the same divergence as that of tokens."""
    ours, theirs = logits(9)[..., :3], logits(10)[..., :3]
    value, sums = match_examples(ours, theirs, head, temperature=2.0)
    q, p = (np.asarray(jax.nn.log_softmax(each / 2.0), np.float64) for each in (ours, theirs))
    costs = 4.0 * (np.exp(p) * (p - q)).sum(axis=-1)
    np.testing.assert_allclose(value, costs[FIRST].mean(), rtol=1e-5)
    assert sums["weight_sum"] == 3
    np.testing.assert_allclose(match_examples(ours, ours, head)[0], 0.0, atol=1e-6)


def test_numbers_are_matched_by_their_squared_difference():
    ours, theirs = logits(9)[..., :1], logits(10)[..., :1]
    value, _ = match_examples(ours, theirs, "regression")
    expected = np.square(np.asarray(ours - theirs, np.float64))[..., 0][FIRST].mean()
    np.testing.assert_allclose(value, expected, rtol=1e-5)


def test_a_head_that_is_not_matched_is_refused():
    with pytest.raises(ValueError, match="head='span' is not matched .* needed is one of tokens"):
        MatchTeacherConfig(head="span")


def test_a_temperature_that_no_softmax_has_is_refused():
    with pytest.raises(ValueError, match="temperature=0.0: needed is"):
        MatchTeacherConfig(temperature=0.0)
