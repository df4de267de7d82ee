"""Which way a metric improves: as it is told, or by its name."""

import enum
import re

# Of held-out batches, in nats per target token.
HELD_OUT_LOSS = "loss_per_token"

# Words of a name, as in `loss_per_token`, `perplexity`, `wer`.
_LOWER_IS_BETTER = frozenset(
    "loss losses perplexity ppl nll entropy bpb error errors wer cer ter mse rmse mae "
    "distance".split()
)


class Direction(enum.Enum):
    """Which values are the better ones: larger, smaller, or what the metric's name says."""

    AUTO = "auto"
    MAX = "max"
    MIN = "min"


def lower_is_better(metric: str, direction: Direction = Direction.AUTO) -> bool:
    """Whether a smaller value of `metric` or `<task>/<metric>` is the better one; of the held-out
    loss it is, whatever the direction.

    >>> lower_is_better("my_task/loss_per_token"), lower_is_better("wer"), lower_is_better("rouge1")
    (True, True, False)
    """
    name = metric.rpartition("/")[2].lower()
    if direction is not Direction.AUTO and name != HELD_OUT_LOSS:
        return direction is Direction.MIN
    return not _LOWER_IS_BETTER.isdisjoint(re.split(r"[^a-z0-9]+", name))
