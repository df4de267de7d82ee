"""Terms of a decoder that restores whole targets: of each step's tokens, and of their number."""

import dataclasses
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.denoising_config import Noise
from t5x_lite.features.outputs import TOKENS, Outputs, Scores
from t5x_lite.losses.config import LossConfig, LossNormalization
from t5x_lite.losses.denoising import lengths_of
from t5x_lite.losses.denoising_config import DenoisingLossConfig, LengthLossConfig
from t5x_lite.losses.table import make_loss

INPUTS, TARGETS, ROW = (4, 3), (2, 5), 9
VOCAB, LONGEST = 11, 6
EVERY = [DenoisingLossConfig(z_loss=0.01, label_smoothing=0.1), LengthLossConfig()]
TERMS = pytest.mark.parametrize("term", EVERY, ids=lambda term: type(term).__name__)


def rows(*groups, seed):
    """A batch with a row for each group of examples; in its padding all is random."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    batch, told = {}, {"length": 9 * rng.normal(size=(len(groups), ROW, LONGEST))}
    steps = [9 * rng.normal(size=(len(groups), ROW, VOCAB)) for _ in range(2)]
    own = [
        {
            "tokens": fixed.integers(3, VOCAB, TARGETS[number]),
            "steps": [fixed.normal(size=(TARGETS[number], VOCAB)) for _ in range(2)],
            "length": fixed.normal(size=(INPUTS[number], LONGEST)),
        }
        for number in range(2)
    ]
    for stack, lengths in (("encoder", INPUTS), ("decoder", TARGETS)):
        segments = np.zeros((len(groups), ROW), np.int32)
        positions, tokens = np.zeros_like(segments), np.zeros_like(segments)
        for row, group in enumerate(groups):
            start = 0
            for segment, number in enumerate(group, start=1):
                place = slice(start, start + lengths[number])
                segments[row, place] = segment
                positions[row, place] = np.arange(lengths[number])
                if stack == "decoder":
                    tokens[row, place] = own[number]["tokens"]
                    for step, logits in zip(steps, own[number]["steps"], strict=True):
                        step[row, place] = logits
                else:
                    told["length"][row, place] = own[number]["length"]
                start = place.stop
        batch |= {f"{stack}_segment_ids": segments, f"{stack}_positions": positions}
    batch["decoder_target_tokens"] = tokens
    unrolled = tuple(Scores(jnp.asarray(step, jnp.float32)) for step in steps)
    heads = {TOKENS: unrolled[0], "length": Scores(jnp.asarray(told["length"], jnp.float32))}
    return jax.tree.map(jnp.asarray, batch), Outputs(heads, {}, unrolled=unrolled)


APART, TOGETHER = rows([0], [1], seed=1), rows([0, 1], seed=2)


def value(term, batch, outputs, **settings):
    return make_loss([term])(outputs, None, batch, training=True, **settings)


@TERMS
@pytest.mark.parametrize("normalization", [*LossNormalization, None], ids=str)
def test_packed_examples_cost_what_they_cost_apart(term, normalization):
    """Whatever is in the padding: no position of it counts."""
    term = dataclasses.replace(term, normalizing_factor=normalization)
    (packed, packed_sums), (apart, sums) = value(term, *TOGETHER), value(term, *APART)
    if normalization is LossNormalization.NUM_TOTAL_TARGET_TOKENS:
        apart *= 2  # rows
    np.testing.assert_allclose(packed, apart, rtol=1e-6)
    assert float(sums["weight_sum"]) > 0 < float(apart)
    for name in set(sums) - {"term"}:
        np.testing.assert_allclose(packed_sums[name], sums[name], rtol=1e-6, err_msg=name)


@TERMS
def test_microbatches_add_up(term):
    """With the normalizers of the whole batch."""
    batch, outputs = APART
    whole, _ = value(term, batch, outputs)
    normalizers = make_loss([term]).normalizers(batch)
    parts = [jax.tree.map(operator.itemgetter(slice(row, row + 1)), APART) for row in (0, 1)]
    found = [value(term, *part, normalizers=normalizers)[0] for part in parts]
    np.testing.assert_allclose(sum(found), whole, rtol=1e-6)


def test_every_step_counts_alike():
    """The mean of what each step would cost as the only one; what is counted is counted once."""
    batch, outputs = APART
    found, sums = value(EVERY[0], batch, outputs)
    alone = LossConfig(z_loss=0.01, label_smoothing=0.1)
    each = [
        value(alone, batch, outputs._replace(heads={TOKENS: step})) for step in outputs.unrolled
    ]
    np.testing.assert_allclose(found, np.mean([loss for loss, _ in each]), rtol=1e-6)
    for name in ("weight_sum", "num_tokens"):
        assert float(sums[name]) == sum(TARGETS)
    for name in ("loss_sum", "correct_sum", "cross_entropy_sum"):
        np.testing.assert_allclose(sums[name], np.mean([own[name] for _, own in each]), rtol=1e-6)


def test_lengths_are_those_of_the_same_example():
    """Packed or not, with end tokens; the class of a length is one less."""
    batch, outputs = TOGETHER
    lengths = np.asarray(lengths_of(batch))[0]
    assert lengths[:7].tolist() == [TARGETS[0]] * INPUTS[0] + [TARGETS[1]] * INPUTS[1]
    sure = 50.0 * jax.nn.one_hot(jnp.maximum(lengths_of(batch) - 1, 0), LONGEST)
    loss, sums = value(EVERY[1], batch, outputs._replace(heads={"length": Scores(sure)}))
    assert float(loss) == pytest.approx(0.0, abs=1e-6) and float(sums["correct_sum"]) == 2.0


@pytest.mark.parametrize("settings", [{"num_steps": 0}, {"z_loss": -1.0}], ids=str)
def test_what_cannot_be_is_refused(settings):
    with pytest.raises(UserError, match=next(iter(settings))):
        DenoisingLossConfig(noise=Noise.MASK, **settings)
