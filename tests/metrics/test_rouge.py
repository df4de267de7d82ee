"""ROUGE by hand, against T5's own test set, and its bootstrap."""

import json
import time

import numpy as np
import pytest

from t5x_lite.metrics.rouge import SCORE_KEYS, rouge, rouge_mean


def test_values_by_hand():
    """6 and 5 words, 4 in common, of 5 and 4 pairs the 1 "the cat"; the longest common
    subsequence is "the cat on mat".
    """
    found = rouge_mean(["the cat sat on the mat"], ["the cat lay on mat"])
    assert found["rouge1"] == pytest.approx(100 * 2 * 4 / 11)
    assert found["rouge2"] == pytest.approx(100 * 2 * 1 / 9)
    assert found["rougeLsum"] == pytest.approx(100 * 2 * 4 / 11)


def test_sentences_are_compared_one_by_one():
    """Exchanged sentences are the same summary for rougeLsum, which splits at " . "."""
    found = rouge_mean(["one two three . four five six ."], ["four five six . one two three ."])
    assert found["rougeLsum"] == pytest.approx(100.0)
    assert rouge_mean(["one two three four"], ["three four one two"])["rougeLsum"] == 50.0


def test_words_are_not_stemmed():
    """As T5 scores; the stem of both is "summar"."""
    assert rouge_mean(["summaries"], ["summary"])["rouge1"] == 0.0


@pytest.mark.parametrize("metric", [rouge, rouge_mean])
def test_equal_and_empty_summaries(metric):
    """100 and 0, whatever is drawn."""
    texts = ["this is a string", "another one . and more"]
    assert metric(texts, texts) == pytest.approx(dict.fromkeys(SCORE_KEYS, 100.0))
    assert metric(texts, ["", ""]) == dict.fromkeys(SCORE_KEYS, 0.0)


@pytest.fixture(scope="module")
def t5_pairs(test_data_dir):
    """The 1,000 targets and predictions of T5's own test."""
    folder = test_data_dir / "metrics"
    pairs = [(folder / f"{name}_large.txt").read_text() for name in ("target", "prediction")]
    return [text.splitlines(keepends=True) for text in pairs]


@pytest.mark.test_data
def test_1000_pairs_score_as_t5_has_them(t5_pairs, test_data_dir):
    """Its expected values are medians of bootstraps without a seed: they vary by about 1.25
    standard errors / sqrt(1000), 0.03 here. T5's own test allows 0.5.
    """
    text = (test_data_dir / "metrics" / "expected_bootstrap_results.json").read_text()
    expected = json.loads(text)
    assert rouge_mean(*t5_pairs) == pytest.approx(expected, abs=0.1)
    assert rouge(*t5_pairs) == pytest.approx(expected, abs=0.1)


@pytest.mark.test_data
def test_the_bootstrap_is_that_of_rouge_score(t5_pairs):
    """The aggregator that T5 uses draws from NumPy's global generator; ours has its own seed, so
    both are medians of 1,000 means and differ by twice that noise at most.
    """
    from rouge_score import rouge_scorer, scoring

    scorer = rouge_scorer.RougeScorer(SCORE_KEYS)
    aggregator = scoring.BootstrapAggregator()
    targets, predictions = (side[:100] for side in t5_pairs)
    state = np.random.get_state()
    np.random.seed(1)
    for target, prediction in zip(targets, predictions, strict=True):
        aggregator.add_scores(scorer.score(target, prediction))
    expected = {key: 100 * each.mid.fmeasure for key, each in aggregator.aggregate().items()}
    np.random.set_state(state)
    assert rouge(targets, predictions) == pytest.approx(expected, abs=0.3)


@pytest.mark.test_data
def test_the_same_predictions_have_the_same_score_soon(t5_pairs):
    """T5's vary from call to call. Less than a second on one core; a tenfold of it is an error."""
    began = time.monotonic()
    first = rouge(*t5_pairs)
    assert time.monotonic() - began < 10
    assert rouge(*t5_pairs) == first
