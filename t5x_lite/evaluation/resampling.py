"""A metric on any selection of examples: the one thing that bootstrap and permutations need.

    scorer = make_scorer(metric, targets, predictions)
    scorer.at(np.array([0, 0, 2]))  # the metric's values on example 0 twice and example 2 once

Most metrics are means over examples, as they say (`metrics/means.py`) or as is found out by trying;
some say what they add up (`metrics/sums.py`). Both are computed from a table with a row for each
example. Only what remains, such as a correlation of ranks, is computed again for every selection.
What is tried out stops at a deadline, but a call of the metric itself cannot be cut short.
"""

import dataclasses
import warnings
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from t5x_lite.evaluation.deadline import NEVER, Deadline
from t5x_lite.metrics.means import ExampleScores, MeanMetric
from t5x_lite.metrics.sums import SumMetric

MetricFn = Callable[[Sequence[Any], Sequence[Any]], dict[str, float]]
Indices = Int[np.ndarray, " selected"]
Values = Float[np.ndarray, " metrics"]

_NUM_PROBES = 16
_NUM_CHECKS = 3
_NUM_TIMINGS = 3


@runtime_checkable
class Scorer(Protocol):
    """One metric function over fixed examples."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the metric function calls its values."""

    @property
    def num_terms(self) -> int | None:
        """Of how many examples or groups the values are the mean; None if they are none."""

    @property
    def seconds(self) -> float:
        """What one call of `at` takes; 0.0 where it costs nothing to speak of."""

    def at(self, indices: Indices) -> Values:
        """The values on the examples selected, in the order of `names`."""


def make_scorer(
    metric: MetricFn,
    targets: Sequence[Any],
    *predictions: Sequence[Any],
    deadline: Deadline = NEVER,
) -> Scorer:
    """The cheapest scorer that gives what the metric function gives, if time suffices to find it.

    For two lists of predictions of the same targets the examples of the second follow those of the
    first.
    """
    if isinstance(metric, MeanMetric):
        return _means([metric.by_example(targets, each) for each in predictions])
    if isinstance(metric, SumMetric):
        return _sums(metric, [metric.sums(targets, each) for each in predictions], deadline)
    repeated = [target for _ in predictions for target in targets]
    answers = [prediction for each in predictions for prediction in each]
    began = deadline.clock()
    whole = metric(repeated, answers)
    again = _Again(metric, repeated, answers, tuple(whole), deadline.clock() - began)
    rows = _rows(again, len(repeated), np.array(list(whole.values()), np.float64), deadline)
    return again if rows is None else _Means(rows, np.ones(len(rows)), again.names, len(targets))


@dataclasses.dataclass(frozen=True)
class _Means:
    rows: Float[np.ndarray, "examples metrics"]
    weights: Float[np.ndarray, " examples"]
    names: tuple[str, ...]
    num_terms: int
    seconds: float = 0.0

    def at(self, indices: Indices) -> Values:
        weights = self.weights[indices]
        total = weights.sum()
        if not total:  # nothing drawn that counts: the mean is not defined
            return np.full(len(self.names), np.nan)
        return weights @ self.rows[indices] / total


def _means(scores: Sequence[ExampleScores]) -> _Means:
    names = tuple(scores[0].values)
    return _Means(
        np.concatenate([np.stack([each.values[name] for name in names], 1) for each in scores]),
        np.concatenate([each.weights for each in scores]),
        names,
        num_terms=int(np.count_nonzero(scores[0].weights)),
    )


@dataclasses.dataclass(frozen=True)
class _Sums:
    metric: SumMetric
    rows: Float[np.ndarray, "examples statistics"]
    names: tuple[str, ...]
    seconds: float
    num_terms: None = None

    def at(self, indices: Indices) -> Values:
        scores = self.metric.from_sums(self.rows[indices].sum(axis=0))
        return np.array([scores[name] for name in self.names], np.float64)


def _sums(
    metric: SumMetric,
    rows: Sequence[Float[np.ndarray, "examples statistics"]],
    deadline: Deadline,
) -> _Sums:
    names = tuple(metric.from_sums(rows[0].sum(axis=0)))
    scorer = _Sums(metric, np.concatenate(rows), names, 0.0)
    every, seconds = np.arange(len(rows[0])), []
    for _ in range(_NUM_TIMINGS):
        began = deadline.clock()
        scorer.at(every)
        seconds.append(deadline.clock() - began)
    return dataclasses.replace(scorer, seconds=min(seconds))


@dataclasses.dataclass(frozen=True)
class _Again:
    metric: MetricFn
    targets: Sequence[Any]
    predictions: Sequence[Any]
    names: tuple[str, ...]
    seconds: float
    num_terms: None = None

    def at(self, indices: Indices) -> Values:
        targets = [self.targets[index] for index in indices]
        predictions = [self.predictions[index] for index in indices]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                scores = self.metric(targets, predictions)
            except Exception:
                # A selection may lack what the metric needs, such as a second class.
                scores = {}
        return np.array([scores.get(name, np.nan) for name in self.names], np.float64)


def _rows(
    again: _Again, num_examples: int, whole: Values, deadline: Deadline
) -> Float[np.ndarray, "examples metrics"] | None:
    """Each example's own values, if the metric is their mean: on a few examples, on all, and on
    selections drawn at random. None also where the time does not suffice to know.
    """
    rng = np.random.default_rng(0)
    few = np.arange(min(num_examples, _NUM_PROBES))
    began = deadline.clock()
    probes = _one_by_one(again, few, deadline)
    if probes is None or not _equal(probes.mean(axis=0), again.at(few)):
        return None
    each = (deadline.clock() - began) / len(few)
    if each * (num_examples - len(few)) > deadline.left:
        return None
    rest = _one_by_one(again, np.arange(len(few), num_examples), deadline)
    if rest is None:
        return None
    rows = np.concatenate([probes, rest])
    if not _equal(rows.mean(axis=0), whole):
        return None
    for _ in range(_NUM_CHECKS):
        drawn = rng.integers(0, num_examples, min(num_examples, 4 * _NUM_PROBES))
        if not _equal(rows[drawn].mean(axis=0), again.at(drawn)):
            return None
    return rows


def _one_by_one(
    again: _Again, indices: Indices, deadline: Deadline
) -> Float[np.ndarray, "examples metrics"] | None:
    """The values of each example alone, unless the deadline comes before the last."""
    rows = np.empty((len(indices), len(again.names)))
    for place, index in enumerate(indices):
        if deadline.left < 0:
            return None
        rows[place] = again.at(np.array([index]))
    return rows


def _equal(means: Values, values: Values) -> bool:
    # Sums of floats in another order; NaN is equal to nothing.
    return bool(np.allclose(means, values, rtol=1e-9, atol=1e-9))
