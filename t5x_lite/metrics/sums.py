"""Metrics that are functions of sums over examples, which a resample then needs no text for."""

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float


@runtime_checkable
class SumMetric(Protocol):
    """A metric function that also says what it adds up: m(targets, predictions) ==
    m.from_sums(m.sums(targets, predictions).sum(axis=0)).

    Corpus scores, such as BLEU, are no means over examples, but they are functions of counts that
    are summed over them. A task's own metric becomes one by having the two methods.
    """

    def __call__(self, targets: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """The scores by name."""

    def sums(
        self, targets: Sequence[Any], predictions: Sequence[Any]
    ) -> Float[np.ndarray, "examples statistics"]:
        """What each example adds."""

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """The scores of examples that add up to `sums`."""
