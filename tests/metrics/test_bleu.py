"""BLEU against cases computed by hand: T5's scores are only comparable under its settings."""

import math

import pytest

from t5x_lite.metrics.bleu import bleu


def test_a_perfect_translation_scores_100():
    """The scale is 0 to 100."""
    texts = ["the cat sat on the mat", "a dog barked at the old man"]
    assert bleu(texts, texts)["bleu"] == pytest.approx(100.0)


def test_the_value_by_hand():
    """Precisions 5/6, 3/5, 1/4 and, smoothed by `exp` since no 4-gram matches, 1/2 of 1/3."""
    score = bleu(["the cat sat on the mat"], ["the cat lay on the mat"])["bleu"]
    by_hand = (5 / 6 * 3 / 5 * 1 / 4 * (1 / 2) / 3) ** (1 / 4)
    assert score == pytest.approx(100 * by_hand)


def test_a_short_prediction_pays_the_brevity_penalty():
    """All n-grams of the 4-word prediction match; only exp(1 - 6/4) is left."""
    score = bleu(["the cat sat on the mat"], ["the cat sat on"])["bleu"]
    assert score == pytest.approx(100 * math.exp(1 - 6 / 4))


def test_case_counts():
    """T5 reports cased BLEU."""
    assert bleu(["Der Hund bellt laut"], ["der hund bellt laut"])["bleu"] < 60


def test_punctuation_is_split_as_intl_does():
    """`intl` splits a hyphen between letters, sacrebleu's default `13a` does not."""
    assert bleu(["red-hot iron bars"], ["red - hot iron bars"])["bleu"] == pytest.approx(100.0)


def test_any_of_several_references_may_be_matched():
    """T5's own case, and one whose number of references differs from that of the examples."""
    assert bleu([["", "a b c d e"], ["a b c d e", ""]], ["a b c d e"] * 2)["bleu"] == pytest.approx(
        100.0
    )
    references = [["the cat sat on the mat", "a cat lay there"], "one two three four", ["five"]]
    exact = ["a cat lay there", "one two three four", "five"]
    assert bleu(references, exact)["bleu"] == pytest.approx(100.0)
    of_first = [each if isinstance(each, str) else each[0] for each in references]
    assert bleu(of_first, exact)["bleu"] < 60


def test_a_target_without_a_reference_is_refused():
    """Nothing can match it."""
    with pytest.raises(ValueError, match="needed is a text, or a list of texts"):
        bleu([[]], ["text"])
