"""Which way a metric improves, by its name: of a loss the smaller value is the better one."""

import re

# Words of a name, as in `loss_per_token`, `perplexity`, `wer`.
_LOWER_IS_BETTER = frozenset(
    "loss losses perplexity ppl nll entropy bpb error errors wer cer ter mse rmse mae "
    "distance".split()
)


def lower_is_better(metric: str) -> bool:
    """Whether a smaller value of `metric` or `<task>/<metric>` is the better one.

    >>> lower_is_better("my_task/loss_per_token"), lower_is_better("wer"), lower_is_better("rouge1")
    (True, True, False)
    """
    name = metric.rpartition("/")[2].lower()
    return not _LOWER_IS_BETTER.isdisjoint(re.split(r"[^a-z0-9]+", name))
