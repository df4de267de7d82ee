"""Metrics that are means over examples, which a resample then needs no text for."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from t5x_lite.metrics.pairs import check_pairs


@dataclasses.dataclass(frozen=True)
class ExampleScores:
    """The score of each example by metric, and what each example counts.

    An example that stands for a whole group counts once, the others of the group nothing: so a
    resample of examples is one of groups.
    """

    values: Mapping[str, Float[np.ndarray, " examples"]]
    weights: Float[np.ndarray, " examples"]

    def mean(self) -> dict[str, float]:
        """The weighted mean of each metric."""
        total = float(self.weights.sum())
        return {name: float(self.weights @ each) / total for name, each in self.values.items()}


@runtime_checkable
class MeanMetric(Protocol):
    """A metric function that also scores examples one by one: m(targets, predictions) ==
    m.by_example(targets, predictions).mean().

    A plain function that is a mean is found to be one by trying; having this method saves the
    trial, and is the only way for means over something else than examples.
    """

    def __call__(self, targets: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """The scores by name."""

    def by_example(self, targets: Sequence[Any], predictions: Sequence[Any]) -> ExampleScores:
        """What the scores are the mean of."""


@dataclasses.dataclass(frozen=True)
class MeanOverExamples:
    """The mean of a function of one target and one prediction."""

    score: Callable[[Any, Any], Mapping[str, float]]

    def __call__(self, targets: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """The scores by name.

        Raises:
            UserError: there are no targets, or not one prediction for each.
        """
        return self.by_example(targets, predictions).mean()

    def by_example(self, targets: Sequence[Any], predictions: Sequence[Any]) -> ExampleScores:
        """Every example counts once."""
        check_pairs(targets, predictions)
        scored = [self.score(*pair) for pair in zip(targets, predictions, strict=True)]
        values = {name: np.array([each[name] for each in scored], float) for name in scored[0]}
        return ExampleScores(values, np.ones(len(scored)))
