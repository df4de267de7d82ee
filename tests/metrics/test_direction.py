"""Metrics that are better when lower, by their names."""

import pytest

from t5x_lite.metrics.direction import lower_is_better


@pytest.mark.parametrize("name", ["a/loss_per_token", "loss", "a/WER", "perplexity", "word-error"])
def test_losses_and_errors_have_to_fall(name):
    assert lower_is_better(name)


RISING = "a/bleu lossless_share wer/f1 answer accuracy matthews_corrcoef mean_3class_f1 em"


@pytest.mark.parametrize("name", [*RISING.split(), "rougeLsum", "exact_match", "pearson_corrcoef"])
def test_all_else_has_to_rise(name):
    """Words count, not letters, and a task's name does not."""
    assert not lower_is_better(name)
