"""Accuracy: every target counts once, whatever the prediction looks like."""

import pytest

from t5x_lite.metrics.accuracy import accuracy, all_match, sequence_accuracy


def test_shares_by_hand():
    """Three of four, in percent; an output that is no label is wrong, not ignored."""
    targets, predictions = ["numpy", "jax", "scipy", "jax"], ["numpy", "jax", "scipy", "what"]
    assert accuracy(targets, predictions) == {"accuracy": 75.0}
    assert sequence_accuracy(targets, predictions) == {"sequence_accuracy": 75.0}


def test_one_mistake_is_no_match():
    """For the answers to one question."""
    assert all_match([0, 1], [0, 1]) == {"exact_match": 100.0}
    assert all_match([0, 1], [0, 2]) == {"exact_match": 0.0}


def test_missing_predictions_are_an_error():
    """A silently shortened comparison would overstate the score."""
    with pytest.raises(ValueError, match="one prediction for each"):
        accuracy(["a", "b"], ["a"])


def test_no_targets_are_an_error():
    """0/0 is no score."""
    with pytest.raises(ValueError, match="no targets"):
        accuracy([], [])
