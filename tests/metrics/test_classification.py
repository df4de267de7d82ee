"""F1 and Matthews' correlation equal scikit-learn's on labels, whatever a model wrote."""

import numpy as np
import pytest
import sklearn.metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.metrics.classification import (
    f1_score_with_invalid,
    matthews_corrcoef,
    mean_multiclass_f1,
)
from t5x_lite.metrics.sums import SumMetric

METRICS = [matthews_corrcoef, f1_score_with_invalid, mean_multiclass_f1(2)]
# 1 and 0, and what T5's post-processing makes of a text that is no label.
PAIRS = st.lists(st.tuples(st.sampled_from([0, 1]), st.sampled_from([0, 1, -1])), min_size=2)


def test_values_by_hand():
    """One right of two ones, one 0 taken for a 1: F1 = 2/4. Of three classes 2/3, 0, 2/3."""
    assert f1_score_with_invalid([0, 1, 1, 0], [0, 1, 2, 2]) == {"f1": 50.0}
    found = mean_multiclass_f1(3)([0, 1, 1, 2], [0, 0, 2, 2])
    assert found == {"mean_3class_f1": pytest.approx(100 * (2 / 3 + 2 / 3) / 3)}


def test_matthews_by_hand():
    """6 and 3 found, 1 falsely, 2 missed: (6*3 - 1*2) / sqrt(7 * 8 * 4 * 5)."""
    targets = [1] * 8 + [0] * 4
    predictions = [1] * 6 + [0] * 2 + [0] * 3 + [1]
    expected = 100 * 16 / np.sqrt(7 * 8 * 4 * 5)
    assert matthews_corrcoef(targets, predictions)["matthews_corrcoef"] == pytest.approx(expected)


@settings(deadline=None, max_examples=50)
@given(PAIRS)
def test_they_are_those_of_scikit_learn(pairs):
    """An invalid answer is a class of its own for Matthews and the wrong label for F1."""
    targets, predictions = zip(*pairs, strict=True)
    assert matthews_corrcoef(targets, predictions)["matthews_corrcoef"] == pytest.approx(
        100 * sklearn.metrics.matthews_corrcoef([*targets], [*predictions])
        if len({*targets, *predictions}) > 1
        else 0.0
    )
    valid = [p if p >= 0 else 1 - t for t, p in pairs]
    assert f1_score_with_invalid(targets, predictions)["f1"] == pytest.approx(
        100 * sklearn.metrics.f1_score(targets, valid, zero_division=0.0)
    )
    assert mean_multiclass_f1(3)(targets, predictions)["mean_3class_f1"] == pytest.approx(
        100
        * sklearn.metrics.f1_score(
            targets, predictions, labels=range(3), average="macro", zero_division=0.0
        )
    )


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("wrong", [-1, 7, "a text", None, float("nan")])
def test_what_is_no_label_is_wrong_and_raises_nothing(metric, wrong):
    """It scores below the right answer, whatever it is."""
    targets = [0, 1, 1, 0, 1]
    (right,) = metric(targets, targets).values()
    (score,) = metric(targets, [0, 1, wrong, 0, wrong]).values()
    assert right == pytest.approx(100.0)
    assert 0 < score < 90


@pytest.mark.parametrize("metric", METRICS)
def test_a_constant_answer_is_defined(metric):
    """An early model says one thing; resamples may have one class only."""
    (score,) = metric([0, 0, 1, 0], [0, 0, 0, 0]).values()
    assert 0 <= score < 50
    (score,) = metric([0, 0], [0, 0]).values()
    assert np.isfinite(score)


@pytest.mark.parametrize("metric", METRICS)
def test_sums_of_any_selection_give_its_score(metric):
    """The law of `SumMetric`, on a selection that lacks a class too."""
    assert isinstance(metric, SumMetric)
    targets, predictions = np.array([0, 1, 1, 0, 1, 1]), np.array([0, 1, -1, 1, 0, 1])
    rows = metric.sums(targets.tolist(), predictions.tolist())
    for drawn in ([0, 1, 2, 3, 4, 5], [0, 0, 3], [1, 2, 4, 4]):
        expected = metric(targets[drawn].tolist(), predictions[drawn].tolist())
        assert metric.from_sums(rows[drawn].sum(axis=0)) == pytest.approx(expected)


def test_targets_without_labels_are_an_error():
    """A test split has -1; a score of it would be a lie."""
    with pytest.raises(ValueError, match="split without labels"):
        f1_score_with_invalid([0, -1], [0, 1])


@pytest.mark.parametrize("metric", METRICS)
def test_pairs_are_complete(metric):
    """A prediction for each target, and something to score."""
    with pytest.raises(ValueError, match="one prediction for each"):
        metric([0, 1], [0])
    with pytest.raises(ValueError, match="no targets"):
        metric([], [])
