"""Numbers about a sample of a task: lengths, what is cut off, sentinels, unknown tokens."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from t5x_lite.data.pieces import Numbers, Pieces

PERCENTILES = (50, 90, 95, 99)


@dataclasses.dataclass(frozen=True)
class FeatureStatistics:
    """One feature over a sample; arrays have a number for each example, before trimming.

    `limit` is the task feature length, `sentinels` counts them, `unknown` counts unknown tokens.
    """

    limit: int
    lengths: Int[np.ndarray, " examples"]
    sentinels: Int[np.ndarray, " examples"]
    unknown: Int[np.ndarray, " examples"]
    highest_sentinel: int | None

    @property
    def percentiles(self) -> dict[str, int]:
        """Lengths that so many per cent of the examples do not exceed, and the longest."""
        found = np.percentile(self.lengths, PERCENTILES, method="inverted_cdf")
        named = {f"{p} %": int(n) for p, n in zip(PERCENTILES, found, strict=True)}
        return named | {"max": int(self.lengths.max())}

    @property
    def truncated(self) -> float:
        """The share of examples that are longer than the limit."""
        return float(np.mean(self.lengths > self.limit))

    @property
    def lost_tokens(self) -> float:
        """The share of all tokens that lie behind the limit."""
        return float(np.maximum(self.lengths - self.limit, 0).sum() / max(self.lengths.sum(), 1))

    @property
    def kept_tokens(self) -> float:
        """The mean number of tokens of an example that a model sees."""
        return float(np.minimum(self.lengths, self.limit).mean())

    @property
    def padding_unpacked(self) -> float:
        """The share of positions that are padding with one example in a row."""
        return 1 - self.kept_tokens / self.limit

    @property
    def unknown_share(self) -> float:
        """Of all tokens."""
        return float(self.unknown.sum() / max(self.lengths.sum(), 1))

    @property
    def num_empty(self) -> int:
        """Examples without a token; an end token is one."""
        return int(np.count_nonzero(self.lengths == 0))


def feature_statistics(ids: Sequence[Numbers], pieces: Pieces, *, limit: int) -> FeatureStatistics:
    """Of the ids of one feature, an array for each example; at least one."""
    sentinels = [pieces.sentinels(each) for each in ids]
    return FeatureStatistics(
        limit=limit,
        lengths=np.array([each.size for each in ids]),
        sentinels=np.array([len(each) for each in sentinels]),
        unknown=np.array([pieces.num_unknown(each) for each in ids]),
        highest_sentinel=max((n for each in sentinels for n in each), default=None),
    )


def tokens_drawn(
    shares: Mapping[str, float], tokens_an_example: Mapping[str, float]
) -> dict[str, float]:
    """The share of all tokens that comes from each task, from its share of the examples.

    >>> tokens_drawn({"short": 0.5, "long": 0.5}, {"short": 10.0, "long": 30.0})
    {'short': 0.25, 'long': 0.75}
    """
    tokens = {name: shares[name] * tokens_an_example[name] for name in shares}
    total = sum(tokens.values()) or 1.0
    return {name: count / total for name, count in tokens.items()}
