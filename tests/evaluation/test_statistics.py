"""Intervals and p-values against what is known of them without resampling."""

import math

import numpy as np
import pytest

from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.resampling import make_scorer
from t5x_lite.evaluation.statistics import compare, intervals
from t5x_lite.metrics.accuracy import accuracy
from t5x_lite.metrics.bleu import bleu

WORDS = "the a cat dog house tree sat lay ran on under behind mat road wall old".split()
CONFIG = StatisticsConfig()


def sentences(seed: int, count: int) -> list[str]:
    """Random texts of 5 to 9 words."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(5, 10))) for _ in range(count)]


def spoiled(texts: list[str], seed: int, share: float) -> list[str]:
    """Each text with some of its words replaced."""
    rng = np.random.default_rng(seed)
    return [
        " ".join(str(rng.choice(WORDS)) if rng.random() < share else word for word in text.split())
        for text in texts
    ]


def macro_f1(targets, predictions):
    """No mean over examples, and undefined where a label is neither given nor predicted."""
    scores = []
    for label in (0, 1):
        given = sum(t == label for t in targets)
        found = sum(p == label for p in predictions)
        both = sum(t == p == label for t, p in zip(targets, predictions, strict=True))
        scores.append(2 * both / (given + found))
    return {"f1": 50 * sum(scores)}


def share(targets, predictions):
    """An accuracy that does not say that it is a mean, 0 to 1."""
    return {"share": float(np.mean(np.equal(targets, predictions)))}


def labels(seed: int, count: int, correct: float) -> tuple[list[int], list[int]]:
    """Targets and predictions that agree with the probability `correct`."""
    rng = np.random.default_rng(seed)
    targets = rng.integers(0, 2, count)
    predictions = np.where(rng.random(count) < correct, targets, 1 - targets)
    return targets.tolist(), predictions.tolist()


@pytest.mark.parametrize(
    ("metric", "targets", "predictions", "kind"),
    [
        (accuracy, *labels(0, 50, 0.8), "_Means"),
        (share, *labels(0, 50, 0.8), "_Means"),
        (macro_f1, *labels(0, 50, 0.8), "_Again"),
        (bleu, sentences(0, 30), spoiled(sentences(0, 30), 1, 0.2), "_Sums"),
    ],
)
def test_a_scorer_gives_what_the_metric_gives_on_every_selection(
    metric, targets, predictions, kind
):
    """However it is computed; and the cheap way is taken where there is one."""
    scorer = make_scorer(metric, targets, predictions)
    assert type(scorer).__name__ == kind
    rng = np.random.default_rng(0)
    for size in (len(targets), 7):
        drawn = rng.integers(0, len(targets), size)
        expected = metric([targets[i] for i in drawn], [predictions[i] for i in drawn])
        np.testing.assert_allclose(scorer.at(drawn), list(expected.values()), rtol=1e-9)


def test_a_metric_that_is_a_mean_of_few_examples_only_is_not_taken_for_a_mean():
    """Up to 16 examples a mean, beyond them a maximum."""

    def sly(targets, predictions):
        return {"score": float(np.mean(targets) if len(targets) <= 16 else np.max(targets))}

    assert type(make_scorer(sly, list(range(40)), list(range(40)))).__name__ == "_Again"


def test_the_interval_of_an_accuracy_is_the_binomial_one():
    """400 examples, p = 0.8: the normal approximation, within a twentieth of an interval."""
    targets, predictions = labels(3, 400, 0.8)
    score = accuracy(targets, predictions)["accuracy"]
    found = intervals([accuracy], targets, predictions, CONFIG)["accuracy"]
    half = 1.96 * math.sqrt(score * (100 - score) / 400)
    assert found.low == pytest.approx(score - half, abs=half / 5)
    assert found.high == pytest.approx(score + half, abs=half / 5)
    assert found.num_resamples == 1000


def test_95_of_100_intervals_hold_the_truth():
    """Coverage of the interval, which is what it is for: 0.8 in about 95 of 100 samples. Fewer than
    88 happens once in a thousand times for an interval that is right (binomial).
    """
    config = StatisticsConfig(num_resamples=200)
    hits = 0
    for seed in range(100):
        found = intervals([accuracy], *labels(seed, 200, 0.8), config)["accuracy"]
        hits += found.low <= 80.0 <= found.high
    assert 88 <= hits


@pytest.mark.parametrize(("prediction", "expected"), [(1, (88.43, 100.0)), (0, (0.0, 11.57))])
def test_what_never_failed_may_fail_yet(prediction, expected):
    """30 of 30: scipy.stats.binomtest(30, 30).proportion_ci() is (0.8843, 1)."""
    found = intervals([accuracy], [1] * 30, [prediction] * 30, CONFIG)["accuracy"]
    assert (found.low, found.high) == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("prediction", "expected"), [(1, (0.8843, 1.0)), (0, (0.0, 0.1157))])
def test_shares_of_one_are_bounded_as_those_of_100(prediction, expected):
    """A user's metric need not be in per cent; a mean that is no share has no such bound."""

    def distance(targets, predictions):
        return {"distance": float(np.mean(np.abs(np.subtract(targets, predictions))))}

    found = intervals([share, distance], [1] * 30, [prediction] * 30, CONFIG)
    assert (found["share"].low, found["share"].high) == pytest.approx(expected, abs=1e-4)
    assert (found["distance"].low, found["distance"].high) == (1 - prediction, 1 - prediction)


def test_the_same_seed_gives_the_same_interval_and_another_one_another():
    """Reproducible, and not by being constant."""
    data = labels(0, 100, 0.7)
    first, again = (intervals([accuracy], *data, CONFIG) for _ in range(2))
    assert first == again
    other = intervals([accuracy], *data, StatisticsConfig(seed=1, num_resamples=999))
    assert (other["accuracy"].low, other["accuracy"].high) != (
        first["accuracy"].low,
        first["accuracy"].high,
    ) or other["accuracy"].num_resamples != 1000


class Clock:
    """Stands still but for what a metric says that it takes."""

    now = 0.0

    def __call__(self) -> float:
        return self.now

    def taking(self, metric, seconds, seconds_each=0.0):
        """A metric function that takes so long."""

        def slow(targets, predictions):
            self.now += seconds + seconds_each * len(targets)
            return metric(targets, predictions)

        return slow


@pytest.mark.parametrize(("seconds", "drawn"), [(0.001, 1000), (0.004, 333), (0.015, 100)])
def test_a_slow_metric_gets_fewer_resamples_and_says_so(seconds, drawn):
    """In few steps, so that how busy a machine is hardly ever decides."""
    clock = Clock()
    metric = clock.taking(macro_f1, seconds)
    config = StatisticsConfig(max_seconds=2.0)
    found = intervals([metric], *labels(0, 50, 0.8), config, clock=clock)["f1"]
    assert found.num_resamples == drawn


@pytest.mark.parametrize(
    ("metric", "seconds", "seconds_each"),
    [(macro_f1, 0.5, 0.0), (share, 0.5, 0.0), (share, 0.0, 0.01), (macro_f1, 0.0, 0.01)],
)
def test_max_seconds_is_a_maximum(metric, seconds, seconds_each):
    """A metric that loads a model at each call, say, or 400 examples of 10 ms: no interval, after a
    few calls; the fast metric beside it has its own.
    """
    clock, config = Clock(), StatisticsConfig(max_seconds=2.0)
    slow = clock.taking(metric, seconds, seconds_each)
    found = intervals([slow, accuracy], *labels(0, 400, 0.8), config, clock=clock)
    assert found.keys() == {"accuracy"}
    assert clock.now <= config.max_seconds + 2 * (seconds + 400 * seconds_each)


def test_a_metric_that_becomes_slow_keeps_the_draws_of_a_smaller_number():
    """The first 333 of 1,000, which are those of a run that draws as many."""
    clock, config, data = Clock(), StatisticsConfig(max_seconds=2.0), labels(0, 50, 0.8)

    def slower(targets, predictions):
        clock.now += 0.0001 if clock.now < 0.05 else 0.01
        return macro_f1(targets, predictions)

    found = intervals([slower], *data, config, clock=clock)["f1"]
    third = intervals([macro_f1], *data, StatisticsConfig(num_resamples=333))["f1"]
    assert (found, clock.now <= 2.1) == (third, True)


def test_a_comparison_draws_what_makes_sense_however_slow_the_metric():
    """100: without them there is no answer."""
    targets, predictions = labels(0, 50, 0.8)
    config = StatisticsConfig(max_seconds=0)
    (found,) = compare([macro_f1], targets, predictions, predictions, config)
    assert found.interval.num_resamples == 100


def test_draws_on_which_a_metric_is_undefined_are_left_out():
    """Of three examples with one rare label many draws lack it; those count for nothing."""
    found = intervals([macro_f1], [0, 0, 1], [0, 0, 0], StatisticsConfig(num_resamples=200))["f1"]
    assert 0 < found.num_resamples < 200


def test_equal_models_do_not_differ():
    """A difference of nothing: p = 1, and an interval of no width."""
    targets, predictions = labels(0, 60, 0.7)
    (found,) = compare([accuracy], targets, predictions, predictions, CONFIG)
    assert (found.difference, found.p_value) == (0.0, 1.0)
    assert (found.interval.low, found.interval.high) == (0.0, 0.0)


def test_the_p_value_of_an_accuracy_is_that_of_the_sign_test():
    """Where the answers differ, k of n favour the second model; exchanging them at random is n fair
    coins. 9 against 2: 2 * P(X >= 9) = 0.0654, within 3 standard errors of 4,000 draws.
    """
    targets = [1] * 50
    first = [1] * 30 + [0] * 9 + [1] * 2 + [0] * 9
    second = [1] * 30 + [1] * 9 + [0] * 2 + [0] * 9
    config = StatisticsConfig(num_resamples=4000)
    (found,) = compare([accuracy], targets, first, second, config)
    exact = 2 * sum(math.comb(11, k) for k in range(9, 12)) / 2**11
    assert found.p_value == pytest.approx(exact, abs=3 * math.sqrt(exact / 4000))
    assert found.difference == pytest.approx(14.0)


def test_a_paired_interval_is_narrower_than_two_single_ones():
    """What is hard for one model is hard for the other: that is why the comparison is paired."""
    references = sentences(0, 80)
    first = spoiled(references, 1, 0.3)
    second = [a if index % 4 else b for index, (a, b) in enumerate(zip(first, references))]
    (found,) = compare([bleu], references, first, second, CONFIG)
    assert found.interval.low > 0
    assert found.p_value < 0.01
    widths = []
    for predictions in (first, second):
        single = intervals([bleu], references, predictions, CONFIG)["bleu"]
        widths.append(single.high - single.low)
    # Of two independent samples the variances would add up.
    assert found.interval.high - found.interval.low < 0.8 * math.hypot(*widths)


def test_no_false_alarm_between_models_that_are_equally_good():
    """Under the null hypothesis p <= 0.05 in about 3 of 60 comparisons; 10 and more would happen
    once in a thousand times.
    """
    config = StatisticsConfig(num_resamples=100)
    alarms = 0
    for seed in range(60):
        targets, first = labels(2 * seed, 100, 0.8)
        rng = np.random.default_rng(10_000 + seed)
        second = [t if rng.random() < 0.8 else 1 - t for t in targets]
        alarms += compare([accuracy], targets, first, second, config)[0].p_value <= 0.05
    assert alarms <= 9
