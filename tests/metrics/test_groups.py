"""MultiRC and ReCoRD: groups count, and they are what a resample draws."""

import numpy as np
import pytest

from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.statistics import intervals
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.groups import (
    deduplicate_metric,
    mean_group_metric,
    multirc_exact_match,
    multirc_f1_over_all_answers,
    record,
)
from t5x_lite.metrics.means import MeanMetric, MeanOverExamples


def examples(groups, targets, predictions):
    """Targets and predictions as post-processing makes them."""
    return (
        [{"group": g, "value": t} for g, t in zip(groups, targets, strict=True)],
        [{"value": p} for p in predictions],
    )


QUESTIONS = examples("aabbbc", [1, 0, 1, 0, 1, 1], [1, 0, 1, 1, 1, -1])


def test_a_question_is_right_if_all_its_options_are():
    """Of three questions the first."""
    assert multirc_exact_match(*QUESTIONS) == {"exact_match": pytest.approx(100 / 3)}


def test_f1_is_over_the_options_of_all_questions():
    """3 found, the invalid answer missed, one falsely found: 6 / (6 + 2)."""
    assert multirc_f1_over_all_answers(*QUESTIONS) == {"f1": pytest.approx(75.0)}


def test_a_mean_over_groups_does_not_weigh_them_by_their_size():
    """1/2 of group a and 0 of group b: 25, where the mean of examples is 1/3."""
    found = mean_group_metric(accuracy)(*examples("aab", [0, 1, 0], [0, 0, 1]))
    assert found == {"accuracy": pytest.approx(25.0)}


def test_groups_need_not_stand_together():
    """The order of a shuffled split changes nothing."""
    order = [5, 0, 3, 1, 4, 2]
    shuffled = [[side[i] for i in order] for side in QUESTIONS]
    for metric in (multirc_exact_match, multirc_f1_over_all_answers):
        assert metric(*shuffled) == pytest.approx(metric(*QUESTIONS))


def test_of_a_query_with_several_answers_the_first_example_counts():
    """The second copy of query (0, 1) is right, but is not asked. 1/2, and F1 (2/3 + 1) / 2."""
    groups = [(0, 1), (0, 1), (0, 2)]
    answers = [["red fox", "fox"], ["red fox", "fox"], ["owl"]]
    found = record(*examples(groups, answers, ["the fox hunt", "fox", "Owl."]))
    assert found == {"em": pytest.approx(50.0), "f1": pytest.approx(100 * (2 / 3 + 1) / 2)}


def test_deduplication_of_a_mean():
    """Group a counts once, so half is right."""
    equal = MeanOverExamples(lambda target, prediction: {"equal": 100.0 * (target == prediction)})
    found = deduplicate_metric(equal)(*examples("aab", [0, 0, 1], [0, 0, 0]))
    assert found == {"equal": pytest.approx(50.0)}


def test_groups_that_went_through_json_are_the_same():
    """`t5x_lite compare` reads lists where tuples were written."""
    pairs = [(0, 1), (0, 2), (0, 1)]
    values = ([1, 1, 0], [1, 0, 1])
    as_lists = examples([list(pair) for pair in pairs], *values)
    assert multirc_exact_match(*as_lists) == multirc_exact_match(*examples(pairs, *values))


def test_a_selection_of_examples_is_one_of_whole_groups():
    """Group b is carried by example 2: without it b does not count, with it all its options do."""
    rows = multirc_f1_over_all_answers.sums(*QUESTIONS)
    group_b = multirc_f1_over_all_answers(*[side[2:5] for side in QUESTIONS])
    assert multirc_f1_over_all_answers.from_sums(rows[[2, 3, 4]].sum(axis=0)) == group_b
    assert not rows[[1, 3, 4]].any()
    assert isinstance(multirc_exact_match, MeanMetric)
    scores = multirc_exact_match.by_example(*QUESTIONS)
    np.testing.assert_array_equal(scores.weights, [1, 0, 1, 0, 0, 1])
    np.testing.assert_array_equal(scores.values["exact_match"], [100, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("metric", [multirc_exact_match, multirc_f1_over_all_answers, record])
def test_nothing_to_score_is_an_error(metric):
    """0/0 is no score."""
    with pytest.raises(ValueError, match="no targets"):
        metric([], [])


def test_scores_of_groups_stand_beside_their_mean():
    """Under T5's names, and with its keys."""
    targets = [{"language": each, "text": 1} for each in ("de", "de", "fr")]
    predictions = [{"text": each} for each in (1, 0, 1)]
    metric = mean_group_metric(accuracy, "language", "text", return_subgroup_scores=True)
    assert metric(targets, predictions) == {
        "accuracy": pytest.approx(75.0),
        "de-accuracy": pytest.approx(50.0),
        "fr-accuracy": pytest.approx(100.0),
    }
    without = mean_group_metric(accuracy, group_key="language", value_key="text")
    assert without(targets, predictions) == {"accuracy": pytest.approx(75.0)}


def test_intervals_of_named_groups_are_of_their_own_examples():
    """40 answers of one language, half of them right, and 3 of another, all right: both have an
    interval, that of the first around 50.
    """
    targets, predictions = examples(
        ["de"] * 40 + ["fr"] * 3, [1] * 43, [i % 2 for i in range(40)] + [1] * 3
    )
    metric = mean_group_metric(accuracy, return_subgroup_scores=True)
    config = StatisticsConfig(num_resamples=200)
    found = intervals([metric], targets, predictions, config)
    assert 30 < found["de-accuracy"].low < 45 < 55 < found["de-accuracy"].high < 70
    assert found["fr-accuracy"].high == 100.0
