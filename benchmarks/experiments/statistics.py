"""Means over seeds with their spread, and paired differences with an interval."""

import dataclasses
import math
from collections.abc import Sequence

import numpy as np
import scipy.stats


@dataclasses.dataclass(frozen=True)
class Spread:
    """A mean over seeds and the standard deviation between them (of a sample, so n - 1)."""

    mean: float
    deviation: float
    count: int

    def __str__(self) -> str:
        if self.count == 1:
            return f"{self.mean:.2f}"
        return f"{self.mean:.2f} \N{PLUS-MINUS SIGN} {self.deviation:.2f}"


@dataclasses.dataclass(frozen=True)
class Difference:
    """The mean of paired differences and its interval by Student's t; without spread none."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"

    @property
    def verdict(self) -> str:
        """What the interval says of the difference."""
        if self.low > 0:
            return "higher"
        return "lower" if self.high < 0 else "not told apart"


def spread(values: Sequence[float]) -> Spread:
    """Of one value for each seed."""
    deviation = float(np.std(values, ddof=1)) if len(values) > 1 else math.nan
    return Spread(float(np.mean(values)), deviation, len(values))


def paired_difference(
    first: Sequence[float], second: Sequence[float], *, confidence: float = 0.95
) -> Difference:
    """Second minus first, seed by seed.

    Raises:
        ValueError: the two have not the same seeds.
    """
    if len(first) != len(second) or not first:
        raise ValueError(
            f"Pairs are needed, and there are {len(first)} and {len(second)} values: run both arms "
            "with the same seeds."
        )
    differences = np.subtract(second, first)
    mean, count = float(np.mean(differences)), len(differences)
    if count == 1:
        return Difference(mean, -math.inf, math.inf, count)
    error = float(np.std(differences, ddof=1)) / math.sqrt(count)
    half = float(scipy.stats.t.ppf((1 + confidence) / 2, count - 1)) * error
    return Difference(mean, mean - half, mean + half, count)
