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
