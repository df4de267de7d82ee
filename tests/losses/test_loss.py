"""What is minimized and what is reported."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.outputs import Scores
from t5x_lite.losses.config import LossConfig, LossNormalization
from t5x_lite.losses.cross_entropy import token_losses
from t5x_lite.losses.tokens import compute_loss
from t5x_lite.losses.weighting import loss_normalizer, loss_weights

VOCAB = 9
# Two rows, padded; the second sequence is a third as long as the first.
TARGETS = jnp.asarray([[4, 5, 6, 7, 8, 1], [3, 1, 0, 0, 0, 0]])
# The same two sequences in one row.
PACKED_TARGETS = jnp.asarray([[4, 5, 6, 7, 8, 1, 3, 1, 0]])
SEGMENTS = jnp.asarray([[1, 1, 1, 1, 1, 1, 2, 2, 0]])


def batch_of(targets, **features):
    """Rows of one example each; T5's padding is 0."""
    return {
        "decoder_target_tokens": targets,
        "decoder_segment_ids": (targets > 0).astype(jnp.int32),
        **features,
    }


def logits_for(targets, seed=0):
    return jax.random.normal(jax.random.key(seed), (*targets.shape, VOCAB)) * 3


@pytest.mark.parametrize(
    ("normalization", "divisor"),
    [
        (LossNormalization.NUM_REAL_TARGET_TOKENS, 8),
        (LossNormalization.NUM_TOTAL_TARGET_TOKENS, 12),
        (233_472.0, 233_472),
        (1.0, 1),
        (None, 1),
    ],
)
def test_the_sum_over_real_targets_is_divided_as_asked(normalization, divisor):
    logits = logits_for(TARGETS)
    config = LossConfig(z_loss=0.01, normalizing_factor=normalization)
    loss, metrics = compute_loss(Scores(logits), batch_of(TARGETS), config, training=True)
    entropy, z_part = token_losses(logits, TARGETS, z_loss=0.01)
    expected = np.sum(np.asarray(entropy + z_part)[np.asarray(TARGETS) > 0])
    np.testing.assert_allclose(loss, expected / divisor, rtol=1e-5)
    np.testing.assert_allclose(metrics["loss_sum"], expected, rtol=1e-5)
    assert metrics["weight_sum"] == metrics["num_tokens"] == 8


def test_sequences_count_alike_whatever_their_length():
    """AVERAGE_PER_SEQUENCE: the mean of the sequences' means."""
    logits = logits_for(TARGETS)
    config = LossConfig(z_loss=0.0, normalizing_factor=LossNormalization.AVERAGE_PER_SEQUENCE)
    loss, _ = compute_loss(Scores(logits), batch_of(TARGETS), config, training=True)
    tokens = np.asarray(token_losses(logits, TARGETS)[0])
    np.testing.assert_allclose(loss, (tokens[0].mean() + tokens[1, :2].mean()) / 2, rtol=1e-6)


@pytest.mark.parametrize(
    "normalization",
    [LossNormalization.NUM_REAL_TARGET_TOKENS, LossNormalization.AVERAGE_PER_SEQUENCE, 7.0],
)
def test_packed_sequences_cost_what_they_cost_unpacked(normalization):
    """Packing is a layout: one row of two segments is two rows (INV-15, the loss's part)."""
    config = LossConfig(label_smoothing=0.1, normalizing_factor=normalization)
    packed_logits = logits_for(PACKED_TARGETS)
    logits = jnp.stack([packed_logits[0, :6], jnp.pad(packed_logits[0, 6:8], ((0, 4), (0, 0)))])
    packed = batch_of(PACKED_TARGETS, decoder_segment_ids=SEGMENTS)
    found, found_sums = compute_loss(Scores(packed_logits), packed, config, training=True)
    expected, sums = compute_loss(Scores(logits), batch_of(TARGETS), config, training=True)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert found_sums.keys() == sums.keys()
    for name in sums:
        np.testing.assert_allclose(found_sums[name], sums[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("normalization", [*LossNormalization, 5.0, None], ids=str)
def test_microbatches_add_up(normalization):
    """With the whole batch's normalizer the losses and sums of the parts add up to the whole's."""
    config = LossConfig(normalizing_factor=normalization)
    batch, logits = batch_of(TARGETS), logits_for(TARGETS)
    whole, sums = compute_loss(Scores(logits), batch, config, training=True)
    normalizer = loss_normalizer(batch, loss_weights(batch), config)
    parts = [
        compute_loss(
            Scores(logits[row : row + 1]),
            batch_of(TARGETS[row : row + 1]),
            config,
            training=True,
            normalizer=normalizer,
        )
        for row in range(2)
    ]
    np.testing.assert_allclose(parts[0][0] + parts[1][0], whole, rtol=1e-6)
    for name in sums:
        np.testing.assert_allclose(parts[0][1][name] + parts[1][1][name], sums[name], rtol=1e-6)


def test_weights_of_the_batch_replace_the_padding_rule():
    """A prefix LM learns from its targets only; padding weight -> no loss, gradient, accuracy."""
    weights = jnp.asarray([[0, 0, 0, 1, 1, 1], [0, 1, 0, 0, 0, 0]])
    batch = batch_of(TARGETS, decoder_loss_weights=weights)
    logits = logits_for(TARGETS)

    def value(logits):
        return compute_loss(Scores(logits), batch, LossConfig(), training=True)[0]

    gradient = jax.grad(value)(logits)
    assert not np.any(np.asarray(gradient)[np.asarray(weights) == 0])
    _, metrics = compute_loss(Scores(logits), batch, LossConfig(), training=True)
    assert metrics["weight_sum"] == 4
    right = (np.argmax(logits, -1) == np.asarray(TARGETS)) * np.asarray(weights)
    assert metrics["correct_sum"] == right.sum()


def test_segments_alone_say_what_is_padding():
    """A GPT-2's token 0 is text, and its rows are filled with its end token."""
    targets = jnp.asarray([[0, 5, 0, 8, 8, 8]])
    segments = jnp.asarray([[1, 1, 1, 1, 0, 0]])
    batch, logits = batch_of(targets, decoder_segment_ids=segments), logits_for(targets)
    loss, metrics = compute_loss(Scores(logits), batch, LossConfig(z_loss=0.0), training=True)
    tokens = np.asarray(token_losses(logits, targets)[0])
    np.testing.assert_allclose(loss, tokens[0, :4].mean(), rtol=1e-6)
    assert metrics["weight_sum"] == metrics["num_tokens"] == 4


def test_a_perfect_prediction_is_right_everywhere():
    logits = 50.0 * jax.nn.one_hot(TARGETS, VOCAB)
    _, metrics = compute_loss(Scores(logits), batch_of(TARGETS), LossConfig(), training=False)
    assert metrics["correct_sum"] == metrics["weight_sum"] == 8
    np.testing.assert_allclose(metrics["loss_sum"], 0, atol=1e-6)


def test_z_loss_is_for_training_only():
    """It keeps logits near log Z = 0 while training; an evaluation reports cross-entropy."""
    batch, logits = batch_of(TARGETS), logits_for(TARGETS) + 4
    loss, metrics = compute_loss(Scores(logits), batch, LossConfig(z_loss=0.1), training=False)
    trained, _ = compute_loss(Scores(logits), batch, LossConfig(z_loss=0.1), training=True)
    assert metrics["z_loss_sum"] == 0
    assert metrics["loss_sum"] == metrics["cross_entropy_sum"]
    assert trained > loss


@pytest.mark.parametrize("normalization", list(LossNormalization), ids=str)
def test_a_batch_of_padding_costs_nothing(normalization):
    """The last batch of an evaluation may hold only padding on some host: 0, not 0/0."""
    batch = batch_of(jnp.zeros((2, 3), jnp.int32))
    config = LossConfig(normalizing_factor=normalization)
    value, gradient = jax.value_and_grad(
        lambda logits: compute_loss(Scores(logits), batch, config, training=True)[0]
    )(jnp.ones((2, 3, VOCAB)))
    assert value == 0
    assert not np.any(gradient)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"label_smoothing": 1.0}, "label_smoothing=1.0: needed is less than 1"),
        ({"normalizing_factor": 0.0}, "normalizing_factor=0.0: needed is a positive number"),
    ],
)
def test_a_setting_without_meaning_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        LossConfig(**settings)
