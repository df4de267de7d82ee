"""Means of examples, weighed."""

import numpy as np
import pytest

from t5x_lite.metrics.means import ExampleScores, MeanMetric, MeanOverExamples

distance = MeanOverExamples(lambda target, prediction: {"distance": abs(target - prediction)})


def test_a_mean_over_examples_by_hand():
    """(1 + 3) / 2."""
    assert isinstance(distance, MeanMetric)
    assert distance([1, 2], [2, 5]) == {"distance": 2.0}


def test_an_example_without_weight_counts_nothing():
    """(1 * 2 + 3 * 4) / 4, and 99 is not asked."""
    scores = ExampleScores({"x": np.array([2.0, 99.0, 4.0])}, np.array([1.0, 0.0, 3.0]))
    assert scores.mean() == {"x": pytest.approx(3.5)}


@pytest.mark.parametrize(("targets", "predictions"), [([], []), ([1], [1, 2])])
def test_pairs_are_complete(targets, predictions):
    """A prediction for each target, and something to score."""
    with pytest.raises(ValueError, match="targets"):
        distance(targets, predictions)
