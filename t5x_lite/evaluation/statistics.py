"""How sure a score is: bootstrap intervals, and the paired comparison of two models.

Examples are resampled with replacement and the metric is taken again on each resample; the interval
lies between percentiles of what comes out (Efron 1979; for BLEU Koehn 2004), at 0 and 100 % of a
share at the binomial bound. For two models every
resample takes the same examples of both, so that what makes an example hard for both cancels. The
p-value is that of approximate randomization (Noreen 1989; Riezler and Maxwell 2005): the share of
random exchanges of the two models' answers that give at least the difference found.
"""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.deadline import Clock, Deadline, within
from t5x_lite.evaluation.resampling import MetricFn, Scorer, make_scorer

_FEWEST_RESAMPLES = 100


@dataclasses.dataclass(frozen=True)
class Interval:
    """The middle of a metric's bootstrap distribution, and of how many resamples it is."""

    low: float
    high: float
    num_resamples: int

    def __str__(self) -> str:
        return f"[{self.low:.2f}, {self.high:.2f}]"


@dataclasses.dataclass(frozen=True)
class Comparison:
    """One metric of two models on the same examples; `difference` is second minus first."""

    metric: str
    first: float
    second: float
    difference: float
    interval: Interval
    p_value: float


def intervals(
    metrics: Sequence[MetricFn],
    targets: Sequence[Any],
    predictions: Sequence[Any],
    config: StatisticsConfig,
    *,
    clock: Clock = time.monotonic,
) -> dict[str, Interval]:
    """An interval for every value of every metric function for which the time suffices. The same
    seed draws the same resamples for all of them.

    It takes `max_seconds`, and what a call or two of each metric function take.
    """
    found: dict[str, Interval] = {}
    whole = within(config.max_seconds, clock)
    for place, metric in enumerate(metrics):
        deadline = whole.share(len(metrics) - place)
        scorer = make_scorer(metric, targets, predictions, deadline=deadline)
        values = _draw(scorer, len(targets), config, deadline)
        if not len(values):
            continue
        for index, name in enumerate(scorer.names):
            interval = _interval(values[:, index], config.confidence)
            if scorer.num_terms and interval.low == interval.high:
                most = _most(metric, targets, name)
                if most is not None:
                    interval = _unanimous(interval, scorer.num_terms, config, most)
            found[name] = interval
    return found


def compare(
    metrics: Sequence[MetricFn],
    targets: Sequence[Any],
    first: Sequence[Any],
    second: Sequence[Any],
    config: StatisticsConfig,
) -> list[Comparison]:
    """Every value of every metric function for two lists of predictions of the same targets.

    There is no answer without resamples: a metric that is too slow for `max_seconds` gets as few
    as make sense, however long they take.
    """
    comparisons = []
    for metric in metrics:
        scorer = make_scorer(metric, targets, first, second)
        scores = [metric(targets, each) for each in (first, second)]
        comparisons += _compare(scorer, scores, len(targets), config)
    return comparisons


def _compare(
    scorer: Scorer, scores: Sequence[Mapping[str, float]], size: int, config: StatisticsConfig
) -> list[Comparison]:
    """The scorer has the first model's answers as examples 0 to size - 1, then the second's; the
    scores are what the metric says of each, which for ROUGE is not quite its mean over examples.
    """
    fewest = min(config.num_resamples, _FEWEST_RESAMPLES)
    count = _num_resamples(scorer, config, config.max_seconds, calls_each=4) or fewest
    rng = np.random.default_rng(config.seed)
    all_of_first = np.arange(size)
    difference = scorer.at(all_of_first + size) - scorer.at(all_of_first)
    bootstrap, exchanged = [], []
    for _ in range(count):
        drawn = rng.integers(0, size, size)
        bootstrap.append(scorer.at(drawn + size) - scorer.at(drawn))
        swap = rng.integers(0, 2, size) * size
        exchanged.append(scorer.at(all_of_first + size - swap) - scorer.at(all_of_first + swap))
    differences = np.stack(bootstrap)
    # Sums in another order must not make an equal difference a smaller one.
    as_large = np.abs(np.stack(exchanged)) >= np.abs(difference) - 1e-9
    p_values = (1 + as_large.sum(axis=0)) / (1 + count)
    return [
        Comparison(
            metric=name,
            first=float(scores[0][name]),
            second=float(scores[1][name]),
            difference=float(scores[1][name] - scores[0][name]),
            interval=_interval(differences[:, index], config.confidence),
            p_value=float(p_values[index]),
        )
        for index, name in enumerate(scorer.names)
    ]


def _draw(
    scorer: Scorer, size: int, config: StatisticsConfig, deadline: Deadline
) -> Float[np.ndarray, "resamples metrics"]:
    """The scorer's values on resamples; none where there is no time for the fewest."""
    count = _num_resamples(scorer, config, deadline.left, calls_each=1)
    rng = np.random.default_rng(config.seed)
    values = np.empty((count, len(scorer.names)))
    for drawn in range(count):
        if deadline.left < 0:
            return values[: max((step for step in _steps(config) if step <= drawn), default=0)]
        values[drawn] = scorer.at(rng.integers(0, size, size))
    return values


def _num_resamples(
    scorer: Scorer, config: StatisticsConfig, seconds: float | int, *, calls_each: int
) -> int:
    """Fewer where a metric is slow, 0 where there is no time for the fewest."""
    each = scorer.seconds * calls_each
    return next((step for step in _steps(config) if each * step <= seconds), 0)


def _steps(config: StatisticsConfig) -> list[int]:
    """Numbers of resamples, the most first: few, so that how busy the machine is hardly ever
    decides.
    """
    most = config.num_resamples
    fewer = [step for step in (most // 3, _FEWEST_RESAMPLES) if _FEWEST_RESAMPLES <= step < most]
    return [most, *dict.fromkeys(fewer)]


def _unanimous(interval: Interval, size: int, config: StatisticsConfig, most: int) -> Interval:
    """Where every example is right, or every one wrong, all resamples are alike, but the next
    example need not be; then the bound is that of the binomial distribution (Clopper and Pearson).
    `most` is the score where every example is right.
    """
    slack = most * (1 - ((1 - config.confidence) / 2) ** (1 / size))
    if interval.low == most:
        return dataclasses.replace(interval, low=most - slack)
    if interval.high == 0.0:
        return dataclasses.replace(interval, high=slack)
    return interval


def _most(metric: MetricFn, targets: Sequence[Any], name: str) -> int | None:
    """100 or 1: what the metric gives if the targets themselves are the predictions; None if it is
    no share.
    """
    try:
        most = metric(targets, targets)[name]
    except Exception:
        most = 100  # predictions are of another kind than targets; T5's metrics are in per cent
    return int(most) if most in (1, 100) else None


def _interval(values: Float[np.ndarray, " resamples"], confidence: float) -> Interval:
    """Resamples on which the metric is not defined say nothing."""
    defined = values[np.isfinite(values)]
    if not len(defined):
        return Interval(float("nan"), float("nan"), 0)
    outside = 100 * (1 - confidence) / 2
    low, high = np.percentile(defined, [outside, 100 - outside])
    return Interval(float(low), float(high), len(defined))
