"""Metrics of the paper's tasks under resampling: what is drawn are questions, not their options."""

import numpy as np
import pytest

from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.resampling import make_scorer
from t5x_lite.evaluation.statistics import compare, intervals
from t5x_lite.metrics.classification import f1_score_with_invalid, matthews_corrcoef
from t5x_lite.metrics.correlation import spearman_corrcoef
from t5x_lite.metrics.groups import multirc_exact_match, multirc_f1_over_all_answers, record
from t5x_lite.metrics.rouge import rouge, rouge_mean
from t5x_lite.metrics.squad import squad

CONFIG = StatisticsConfig(num_resamples=300)


def questions(seed: int, count: int, *, options: int, correct: float):
    """Questions whose options are all right or all wrong together."""
    rng = np.random.default_rng(seed)
    targets, predictions = [], []
    for question in range(count):
        right = rng.random() < correct
        for _ in range(options):
            label = int(rng.integers(0, 2))
            targets.append({"group": f"0-{question}", "value": label})
            predictions.append({"value": label if right else 1 - label})
    return targets, predictions


@pytest.mark.parametrize(
    ("metric", "targets", "predictions", "kind"),
    [
        (squad, [["a cat", "cats"], ["dog"], ["red"]], ["cat", "dogs", "red"], "_Means"),
        (rouge_mean, ["a b", "c d", "e f"], ["a b", "c", "x"], "_Means"),
        (f1_score_with_invalid, [0, 1, 1], [0, 1, -1], "_Sums"),
        (matthews_corrcoef, [0, 1, 1], [0, 1, -1], "_Sums"),
        (spearman_corrcoef, [0.0, 1.0, 3.0], [0.0, 2.0, 1.0], "_Again"),
    ],
)
def test_a_scorer_gives_what_the_metric_gives(metric, targets, predictions, kind):
    """By the cheap way where there is one."""
    scorer = make_scorer(metric, targets, predictions)
    assert type(scorer).__name__ == kind
    for drawn in ([0, 1, 2], [2, 0, 0], [1, 2, 2]):
        expected = metric([targets[i] for i in drawn], [predictions[i] for i in drawn])
        np.testing.assert_allclose(scorer.at(np.array(drawn)), list(expected.values()))


def exact(given, found):
    """Per cent of rows without a mistake."""
    return 100 * (given == found).all(axis=1).mean()


def f1(given, found):
    """2 * true positives over all given and all found ones."""
    return 200 * (given & found).sum() / (given.sum() + found.sum())


@pytest.mark.parametrize(
    ("metric", "by_hand"), [(multirc_exact_match, exact), (multirc_f1_over_all_answers, f1)]
)
def test_an_interval_is_that_of_questions_drawn(metric, by_hand):
    """200 questions of 8 options: were options drawn, the interval would be sqrt(8) narrower."""
    targets, predictions = questions(0, 200, options=8, correct=0.7)
    given, found = (
        np.array([each["value"] for each in side]).reshape(200, 8)
        for side in (targets, predictions)
    )
    drawn = np.random.default_rng(1).integers(0, 200, (1000, 200))
    low, high = np.percentile([by_hand(given[each], found[each]) for each in drawn], [2.5, 97.5])
    (interval,) = intervals([metric], targets, predictions, CONFIG).values()
    # 300 draws give a percentile to about a tenth of the width.
    assert interval.low == pytest.approx(low, abs=0.2 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.2 * (high - low))


def test_what_never_failed_is_bounded_by_the_number_of_questions():
    """30 right questions of 4 options are 30 trials: the bound of scipy.stats.binomtest(30, 30)."""
    targets, predictions = questions(0, 30, options=4, correct=1.0)
    (found,) = intervals([multirc_exact_match], targets, predictions, CONFIG).values()
    assert (found.low, found.high) == (pytest.approx(88.43, abs=0.01), 100.0)


@pytest.mark.parametrize("metric", [multirc_exact_match, multirc_f1_over_all_answers])
def test_two_models_answer_the_same_questions(metric):
    """The scores compared are each model's own: their answers are not taken for one group's."""
    targets, first = questions(0, 60, options=3, correct=0.6)
    second = [{"value": target["value"]} for target in targets]
    (found,) = compare([metric], targets, first, second, CONFIG)
    (own,) = metric(targets, first).values()
    assert (found.first, found.second) == (own, 100.0)
    assert found.interval.low > 0
    assert found.p_value < 0.01
    (same,) = compare([metric], targets, first, first, CONFIG)
    assert (same.difference, same.p_value) == (0.0, 1.0)


def test_repeated_queries_are_drawn_once():
    """Ten queries, each thrice: as wide as the interval of the ten."""
    answers = [["yes"]] * 10
    texts = ["yes"] * 6 + ["no"] * 4
    found = []
    for copies in (1, 3):
        targets = [{"group": [0, i], "value": answers[i]} for i in range(10) for _ in range(copies)]
        predictions = [{"value": texts[i]} for i in range(10) for _ in range(copies)]
        found.append(intervals([record], targets, predictions, CONFIG)["em"])
    assert found[0].low == pytest.approx(found[1].low, abs=10.0)
    assert found[0].high == pytest.approx(found[1].high, abs=10.0)


def test_a_comparison_states_the_scores_that_an_evaluation_recorded():
    """ROUGE is the median of resamples, which its rows do not add up to."""
    targets = [f"one two three four five {i} . seven" for i in range(40)]
    first = [text[: i % 30] for i, text in enumerate(targets)]
    second = [text[: i % 23] for i, text in enumerate(targets)]
    found = {each.metric: each for each in compare([rouge], targets, first, second, CONFIG)}
    scores = rouge(targets, first)
    assert {name: each.first for name, each in found.items()} == scores
    assert scores != rouge_mean(targets, first)
    interval = intervals([rouge], targets, first, CONFIG)["rouge1"]
    assert interval.low < scores["rouge1"] < interval.high
