"""Metrics that are better when lower, by their names."""

import pytest

from t5x_lite.metrics.direction import lower_is_better


@pytest.mark.parametrize("name", ["a/loss_per_token", "loss", "a/WER", "perplexity", "word-error"])
def test_losses_and_errors_have_to_fall(name):
    assert lower_is_better(name)


@pytest.mark.parametrize("name", ["a/bleu", "lossless_share", "wer/f1", "answer", "accuracy"])
def test_all_else_has_to_rise(name):
    """Words count, not letters, and a task's name does not."""
    assert not lower_is_better(name)
