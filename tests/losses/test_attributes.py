"""Telling in advance what a target will have (SPEC D.4)."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.config import Attribute, SpecialTokens
from t5x_lite.features.outputs import Outputs, Scores
from t5x_lite.losses.config import AttributeLossConfig
from t5x_lite.losses.table import make_loss

END = 1
SEQUENCES = ([5, 6, 7, END], [5, 5, 5, 5, 5, END], [8, 9], [END])
# By hand: the second repeats a run of four, the third has no end, the fourth nothing else.
HAS_IT = {
    Attribute.ANYTHING: (1, 1, 1, 1),
    Attribute.NOT_EMPTY: (1, 1, 1, 0),
    Attribute.NO_REPETITION: (1, 0, 1, 1),
    Attribute.COMPLETE: (1, 1, 0, 1),
}


def batch_of(*rows):
    """A row for each group of sequences, packed behind one another."""
    width = 14
    tokens, segments = np.zeros((2, len(rows), width), np.int32)
    for number, row in enumerate(rows):
        flat = [token for sequence in row for token in sequence]
        tokens[number, : len(flat)] = flat
        marks = [n for n, sequence in enumerate(row, start=1) for _ in sequence]
        segments[number, : len(flat)] = marks
    return {
        "decoder_target_tokens": jnp.asarray(tokens),
        "decoder_segment_ids": jnp.asarray(segments),
    }


def evaluated(attribute, logits, batch, **settings):
    loss = make_loss([AttributeLossConfig(attribute=attribute)])
    outputs = Outputs({"attribute": Scores(logits[..., None])}, {})
    assert loss.wanted.heads == ("attribute",)
    return loss(outputs, None, batch, **{"training": False} | settings)


@pytest.mark.parametrize("attribute", Attribute)
def test_the_label_of_a_target_is_told_behind_each_of_its_tokens(attribute):
    """The mean of -log q by the definition, in evaluation as in training; padding costs nothing."""
    batch = batch_of(SEQUENCES[:3], SEQUENCES[3:])
    logits = jax.random.normal(jax.random.key(0), batch["decoder_target_tokens"].shape)
    label = dict(zip(((0, 1), (0, 2), (0, 3), (1, 1)), HAS_IT[attribute], strict=True))
    costs, right = [], []
    for (row, place), segment in np.ndenumerate(np.asarray(batch["decoder_segment_ids"])):
        if segment:
            logit, is_so = float(logits[row, place]), label[row, int(segment)]
            costs.append(np.log1p(np.exp(-logit if is_so else logit)))
            right.append((logit > 0) == is_so)
    for training in (True, False):
        value, sums = evaluated(attribute, logits, batch, training=training)
        assert value == pytest.approx(np.mean(costs), rel=1e-6)
        assert sums["correct_sum"] == sum(right) and sums["weight_sum"] == len(right)


def test_a_target_is_told_alike_alone_and_packed():
    """And whatever stands in the padding."""
    settings = {"attribute": Attribute.NO_REPETITION}
    packed, apart = batch_of(SEQUENCES), batch_of(*([each] for each in SEQUENCES))
    drawn = iter(np.random.default_rng(0).normal(size=99))
    logits = [np.full(each["decoder_target_tokens"].shape, 7.0) for each in (packed, apart)]
    for place, index in enumerate(np.argwhere(packed["decoder_segment_ids"] > 0)):
        other = np.argwhere(apart["decoder_segment_ids"] > 0)[place]
        logits[0][tuple(index)] = logits[1][tuple(other)] = next(drawn)
    one, other = (
        evaluated(logits=jnp.asarray(each, jnp.float32), batch=batch, **settings)
        for each, batch in zip(logits, (packed, apart), strict=True)
    )
    assert one[0] == pytest.approx(float(other[0]), rel=1e-6)
    assert {k: float(v) for k, v in one[1].items()} == pytest.approx(
        {k: float(v) for k, v in other[1].items()}, rel=1e-6
    )


def test_held_out_scores_are_ranked():
    """1 where each that has it scores above each that has not."""
    batch = batch_of(SEQUENCES)
    perfect = jnp.where(batch["decoder_segment_ids"] == 2, -1.0, 1.0)
    _, sums = evaluated(Attribute.NO_REPETITION, perfect, batch)
    assert sums["ranked_sum"] == sums["pairs_sum"] == 6 * 7
    _, sums = evaluated(Attribute.NO_REPETITION, -perfect, batch)
    assert sums["ranked_sum"] == 0


def test_another_end_token_is_another_end():
    """GPT-2's is 50256."""
    batch = batch_of([[5, 1, 9]])
    logits = jnp.ones_like(batch["decoder_target_tokens"], jnp.float32)
    special = SpecialTokens(end=9)
    costs = [
        make_loss([AttributeLossConfig(attribute=Attribute.COMPLETE, special=each)])(
            Outputs({"attribute": Scores(logits[..., None])}, {}), None, batch, training=True
        )[0]
        for each in (special, SpecialTokens(end=8))
    ]
    assert costs[0] == pytest.approx(np.log1p(np.exp(-1)))
    assert costs[1] == pytest.approx(np.log1p(np.exp(1)))
