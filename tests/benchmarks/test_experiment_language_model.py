"""What G-1 compares with: a bigram by its formula, and questions that are not trained on."""

import numpy as np
import pytest

from benchmarks.experiments import bigram, cloze, corpora

SIZE = 5
TEXT = np.array([0, 1, 2, 1, 2, 3, 1, 2, 1, 0, 1, 3, 2, 1])
HELD_OUT = np.array([1, 2, 1, 4, 0, 1, 2, 3])


def pairs(tokens):
    return tokens[:-1], tokens[1:]


@pytest.fixture(scope="module")
def model():
    return bigram.fit(pairs(TEXT), pairs(HELD_OUT), SIZE)


def test_the_bigram_is_its_formula(model):
    """By counting, for a token that is seen behind another, and behind one that never was."""
    a, b, c = model.weights
    assert a + b + c == pytest.approx(1) and min(model.weights) > 0
    behind_1 = np.exp(model.log_probs(np.array([1]), np.array([2])))
    assert behind_1 == pytest.approx(a * 3 / 5 + b * 4 / 13 + c / 5)
    behind_4 = np.exp(model.log_probs(np.array([4]), np.array([2])))
    assert behind_4 == pytest.approx((a + b) * 4 / 13 + c / 5)


def test_probabilities_sum_to_one_behind_every_token(model):
    for token in range(SIZE):
        behind = np.exp(model.log_probs(np.full(SIZE, token), np.arange(SIZE)))
        assert behind.sum() == pytest.approx(1)


def test_no_other_weights_are_likelier_on_the_text_they_are_fitted_on(model):
    """Against a grid of all mixtures."""
    parts = bigram._parts(model.pairs, *pairs(HELD_OUT))
    grid = [(a, b, 20 - a - b) for a in range(21) for b in range(21 - a)]
    with np.errstate(divide="ignore"):
        likelihoods = np.log(parts @ np.array(grid).T / 20).sum(axis=0)
    assert model.log_probs(*pairs(HELD_OUT)).sum() >= likelihoods.max() - 1e-3


@pytest.mark.test_data
def test_what_is_asked_was_not_trained_on(test_data_dir, monkeypatch):
    """Different questions; the true sentence stands behind its context in a held-out article, the
    wrong ones in others.
    """
    monkeypatch.setenv("T5X_LITE_TEST_DATA", str(test_data_dir))
    texts = {s: [each["targets"] for each in corpora.articles(s)] for s in ("train", "test")}
    assert not set(texts["train"]) & set(texts["test"])
    asked = cloze.questions(20)
    assert asked == cloze.questions(20) != cloze.questions(20, seed=1)
    assert len({question.context for question in asked}) == 20
    for question in asked:
        true, *wrong = question.options
        assert len(set(question.options)) == 4
        (own,) = {t for t in texts["test"] if f"{question.context}{true}".strip() in t}
        assert not any(each.strip() in own for each in wrong)
