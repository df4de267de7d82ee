"""The majority class is chosen on training targets, never on those it is scored on."""

import pytest

from t5x_lite.metrics.baselines import majority_class_accuracy


def test_the_majority_of_training_is_scored_on_the_test_targets():
    """`a` is the majority in training although `b` is in the test."""
    assert majority_class_accuracy(["a", "a", "b"], ["b", "b", "b", "a"]) == {"accuracy": 25.0}


def test_without_targets_there_is_no_majority():
    """An empty split must not look like a score of 0."""
    with pytest.raises(ValueError, match="0 of training"):
        majority_class_accuracy([], ["a"])
