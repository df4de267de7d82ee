"""Terms of an encoder by itself: of its tokens, of whole examples and of spans in them."""

import dataclasses
import operator

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.features.outputs import Outputs, Scores
from t5x_lite.losses.config import (
    ClassesLossConfig,
    LossConfig,
    LossNormalization,
    RegressionLossConfig,
    ReplacedTokensLossConfig,
    SpanLossConfig,
)
from t5x_lite.losses.table import make_loss
from t5x_lite.losses.weighting import ROW_WEIGHTS

LENGTHS = (4, 3)
ROW = 9
WIDTHS = {"tokens": 11, "sentence": 2, "classes": 3, "regression": 1, "replaced": 1, "span": 2}
EVERY = [
    LossConfig(z_loss=0.01),
    ClassesLossConfig(label_smoothing=0.1),
    ClassesLossConfig(head="sentence"),
    RegressionLossConfig(),
    ReplacedTokensLossConfig(),
    ReplacedTokensLossConfig(weighted_only=True),
    SpanLossConfig(),
    ClassesLossConfig(class_weights=(0.5, 2.0, 1.0)),
]
TERMS = pytest.mark.parametrize("term", EVERY, ids=lambda term: type(term).__name__)


def examples():
    """Two examples: features, and the logits of all heads, position by position."""
    rng = np.random.default_rng(0)
    found = []
    for number, length in enumerate(LENGTHS):
        first = np.arange(length) == 0
        targets = rng.integers(3, 11, length)
        features = {
            "encoder_input_tokens": np.where(rng.random(length) < 0.5, 1, targets),
            "encoder_target_tokens": targets,
            "encoder_loss_weights": rng.integers(0, 2, length) | first,
            "encoder_positions": np.arange(length),
            "encoder_classes": first * number,
            "encoder_values": first * np.float32(0.5 + number),
            "encoder_span_starts": np.arange(length) == 1,
            "encoder_span_ends": np.arange(length) == length - 1,
        }
        heads = {name: rng.normal(size=(length, width)) for name, width in WIDTHS.items()}
        found.append((features, heads))
    return found


def rows(*groups, seed):
    """A batch with a row for each group of examples and random logits in its padding."""
    rng = np.random.default_rng(seed)
    batch = {"encoder_segment_ids": np.zeros((len(groups), ROW), np.int32)}
    heads = {name: 9 * rng.normal(size=(len(groups), ROW, w)) for name, w in WIDTHS.items()}
    for row, group in enumerate(groups):
        start = 0
        for segment, (features, logits) in enumerate(group, start=1):
            place = slice(start, start + len(features["encoder_positions"]))
            batch["encoder_segment_ids"][row, place] = segment
            for name, values in features.items():
                dtype = np.float32 if name == "encoder_values" else np.int32
                batch.setdefault(name, np.zeros((len(groups), ROW), dtype))[row, place] = values
            for name, values in logits.items():
                heads[name][row, place] = values
            start = place.stop
    scores = {name: Scores(jnp.asarray(each, jnp.float32)) for name, each in heads.items()}
    return jax.tree.map(jnp.asarray, batch), Outputs(scores, {})


FIRST, SECOND = examples()
APART = rows([FIRST], [SECOND], seed=1)
TOGETHER = rows([FIRST, SECOND], seed=2)


def value(term, batch, outputs, **settings):
    return make_loss([term])(outputs, None, batch, training=True, **settings)


@TERMS
@pytest.mark.parametrize("normalization", [LossNormalization.NUM_REAL_TARGET_TOKENS, None], ids=str)
def test_packed_examples_cost_what_they_cost_apart(term, normalization):
    """Whatever is in the padding: no position of it counts."""
    term = dataclasses.replace(term, normalizing_factor=normalization)
    packed, packed_sums = value(term, *TOGETHER)
    apart, sums = value(term, *APART)
    np.testing.assert_allclose(packed, apart, rtol=1e-6)
    assert float(sums["weight_sum"]) > 0 < float(apart)
    for name, total in sums.items():
        np.testing.assert_allclose(packed_sums[name], total, rtol=1e-6, err_msg=name)


@TERMS
def test_microbatches_add_up(term):
    """With the normalizers of the whole batch."""
    batch, outputs = APART
    whole, _ = value(term, batch, outputs)
    normalizers = make_loss([term]).normalizers(batch)
    parts = [
        value(term, *jax.tree.map(operator.itemgetter(slice(row, row + 1)), APART), normalizers=n)
        for row, n in ((0, normalizers), (1, normalizers))
    ]
    np.testing.assert_allclose(sum(part for part, _ in parts), whole, rtol=1e-6)


@TERMS
def test_rows_count_as_much_as_they_are_told(term):
    """What an autopsy derives by: a row of no weight costs nothing, in the sums either."""
    batch, outputs = APART
    alone = jax.tree.map(operator.itemgetter(slice(1, 2)), APART)
    _, sums = value(term, {**batch, ROW_WEIGHTS: jnp.asarray([0.0, 1.0])}, outputs)
    _, expected = value(term, *alone)
    for name in ("loss_sum", "weight_sum"):
        np.testing.assert_allclose(sums[name], expected[name], rtol=1e-6)


def test_terms_are_their_formulas():
    """In NumPy, example by example."""
    found = {type(term): float(value(term, *TOGETHER)[0]) for term in EVERY[2:5] + EVERY[6:7]}

    def log_softmax(x):
        return x - np.log(np.exp(x).sum(axis=0))

    pairs = (FIRST, SECOND)
    sentence = [
        -log_softmax(heads["sentence"][0])[features["encoder_classes"][0]]
        for features, heads in pairs
    ]
    squared = [(h["regression"][0, 0] - f["encoder_values"][0]) ** 2 for f, h in pairs]
    spans = [
        -(log_softmax(h["span"][:, 0])[1] + log_softmax(h["span"][:, 1])[-1]) / 2 for _, h in pairs
    ]
    replaced = []
    for features, heads in pairs:
        is_replaced = features["encoder_input_tokens"] != features["encoder_target_tokens"]
        probability = 1 / (1 + np.exp(-heads["replaced"][:, 0]))
        replaced += list(-np.log(np.where(is_replaced, probability, 1 - probability)))
        assert 0 < is_replaced.sum() < len(is_replaced)
    expected = {
        ClassesLossConfig: np.mean(sentence),
        RegressionLossConfig: np.mean(squared),
        ReplacedTokensLossConfig: np.mean(replaced),
        SpanLossConfig: np.mean(spans),
    }
    assert found == pytest.approx(expected, rel=1e-5)


def test_classes_weigh_as_they_are_told():
    """A mean by weights, as scikit-learn's; one for each class, or a plain error."""
    weights = (0.5, 2.0, 1.0)
    found, sums = value(ClassesLossConfig(class_weights=weights), *TOGETHER)
    costs = [
        float(value(ClassesLossConfig(), *rows([example], seed=3))[0])
        for example in (FIRST, SECOND)
    ]
    classes = [features["encoder_classes"][0] for features, _ in (FIRST, SECOND)]
    own = [weights[each] for each in classes]
    assert float(found) == pytest.approx(np.average(costs, weights=own), rel=1e-5)
    assert float(sums["weight_sum"]) == sum(own) and len(set(classes)) == 2
    with pytest.raises(ValueError, match="of 3 classes: needed is one for each"):
        value(ClassesLossConfig(class_weights=(1.0, 2.0)), *TOGETHER)


def test_an_example_without_a_span_costs_nothing():
    """Nor does it count in the mean."""
    batch, outputs = APART
    marks = ("encoder_span_starts", "encoder_span_ends")
    without = batch | {name: batch[name].at[0].set(0) for name in marks}
    alone = jax.tree.map(operator.itemgetter(slice(1, 2)), APART)
    found, gradient = jax.value_and_grad(
        lambda logits: value(SpanLossConfig(), without, Outputs({"span": Scores(logits)}, {}))[0]
    )(outputs.heads["span"].all())
    np.testing.assert_allclose(found, value(SpanLossConfig(), *alone)[0], rtol=1e-6)
    assert np.all(np.asarray(gradient)[0] == 0)


def test_what_is_right_is_counted():
    """By classes, and by tokens that were replaced or not."""
    batch, outputs = TOGETHER
    right = jnp.where(batch["encoder_input_tokens"] != batch["encoder_target_tokens"], 1.0, -1.0)
    heads = {
        "classes": Scores(jax.nn.one_hot(batch["encoder_classes"], 3)),
        "replaced": Scores(right[..., None]),
    }
    for term, count in ((ClassesLossConfig(), 2), (ReplacedTokensLossConfig(), sum(LENGTHS))):
        _, sums = value(term, batch, Outputs(heads, {}))
        assert float(sums["correct_sum"]) == float(sums["weight_sum"]) == count


def test_what_was_read_decides_what_is_replaced():
    """Where a generator put other tokens into a batch; a token that it drew right is no other."""
    batch, outputs = APART
    true = batch["encoder_target_tokens"]
    term = ReplacedTokensLossConfig()
    found, sums = value(term, batch, outputs._replace(read=true))
    clean, expected = value(term, batch | {"encoder_input_tokens": true}, outputs)
    assert float(found) == float(clean) and float(sums["loss_sum"]) == float(expected["loss_sum"])
    assert float(found) != float(value(term, batch, outputs)[0])


@pytest.mark.parametrize("weighted_only", [False, True])
def test_the_area_under_the_curve_is_what_others_compute(weighted_only):
    """In evaluation; ties are half a pair, padding none."""
    metrics = pytest.importorskip("sklearn.metrics")
    batch, outputs = TOGETHER
    logits = jnp.round(outputs.heads["replaced"].all() * 2) / 2
    batch = batch | {"encoder_loss_weights": batch["encoder_loss_weights"].at[0, 3].set(1)}
    term = ReplacedTokensLossConfig(weighted_only=weighted_only)
    heads = {"replaced": Scores(logits)}
    _, sums = make_loss([term])(Outputs(heads, {}), None, batch, training=False)
    is_real = np.asarray(batch["encoder_segment_ids"]) > 0
    if weighted_only:
        is_real &= np.asarray(batch["encoder_loss_weights"]) > 0
    truth = np.asarray(batch["encoder_input_tokens"] != batch["encoder_target_tokens"])[is_real]
    expected = metrics.roc_auc_score(truth, np.asarray(logits)[is_real][:, 0])
    assert float(sums["pairs_sum"]) == truth.sum() * (~truth).sum() > 0
    assert float(sums["ranked_sum"] / sums["pairs_sum"]) == pytest.approx(expected)
    assert "pairs_sum" not in value(term, batch, Outputs(heads, {}))[1]


def test_a_head_that_tells_no_classes_is_refused():
    """Before anything is built."""
    with pytest.raises(ValueError, match="head='span' tells no classes; needed is 'classes' or"):
        ClassesLossConfig(head="span")
