"""Metrics of scores: log-likelihoods that a model gives the targets themselves, in nats."""

import abc
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from t5x_lite.metrics.pairs import check_pairs


class _OfLikelihood(abc.ABC):
    """Negative log-likelihoods, and how large targets are."""

    def __call__(self, targets: Sequence[Any], scores: Sequence[float]) -> dict[str, float]:
        """Of one or more.

        Raises:
            UserError: there are no targets, or not one score for each.
        """
        return self.from_sums(self.sums(targets, scores).sum(axis=0))

    def sums(
        self, targets: Sequence[Any], scores: Sequence[float]
    ) -> Float[np.ndarray, "examples statistics"]:
        """Nats of each target, and its size."""
        check_pairs(targets, scores)
        sizes = [self.size(target) for target in targets]
        return np.stack([-np.asarray(scores, np.float64), np.asarray(sizes, np.float64)], axis=1)

    @abc.abstractmethod
    def size(self, target: Any) -> int:
        """Of a target, in what the metric counts."""

    @abc.abstractmethod
    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """Of targets that add up to `sums`."""


class Perplexity(_OfLikelihood):
    """exp of the mean negative log-likelihood of a target: a word where targets are words, as
    GPT-2's perplexity on LAMBADA (Radford et al. 2019, section 3.3).
    """

    def size(self, target: Any) -> int:
        """One, whatever it is."""
        return 1

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """Of targets that add up to `sums`."""
        return {"perplexity": float(np.exp(sums[0] / sums[1]))}


class BitsPerByte(_OfLikelihood):
    """The negative log-likelihood of targets, in bits, by their bytes in UTF-8: it compares models
    of different vocabularies (Gao et al. 2020, section 3.1).
    """

    def size(self, target: str) -> int:
        """Bytes; an empty target counts as one."""
        return max(1, len(target.encode()))

    def from_sums(self, sums: Float[np.ndarray, " statistics"]) -> dict[str, float]:
        """Of targets that add up to `sums`."""
        return {"bpb": float(sums[0] / sums[1] / np.log(2))}


perplexity = Perplexity()
bits_per_byte = BitsPerByte()
