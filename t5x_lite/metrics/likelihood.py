"""Metrics of scores: log-likelihoods that a model gives the targets themselves, in nats."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from t5x_lite.metrics.pairs import check_pairs


class Perplexity:
    """exp of the mean negative log-likelihood of a target: a word where targets are words, as
    GPT-2's perplexity on LAMBADA (Radford et al. 2019, section 3.3).
    """

    def __call__(self, targets: Sequence[Any], scores: Sequence[float]) -> dict[str, float]:
        """One or more.

        Raises:
            UserError: there are no targets, or not one score for each.
        """
        return self.from_sums(self.sums(targets, scores).sum(axis=0))

    def sums(
        self, targets: Sequence[Any], scores: Sequence[float]
    ) -> Float[np.ndarray, "examples statistics"]:
        """The negative log-likelihood, and one target."""
        check_pairs(targets, scores)
        return np.stack([-np.asarray(scores, np.float64), np.ones(len(scores))], axis=1)

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """Of targets that add up to `sums`."""
        return {"perplexity": float(np.exp(sums[0] / sums[1]))}


perplexity = Perplexity()
