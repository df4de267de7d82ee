"""How often each task of a mixture is drawn: SeqIO's rates, resolved to shares.

    for row in mixture_shares("demo_finetune"):
        print(f"{row.name:20} {row.rate:8.1f} {row.share:6.1%}")

Rates are called as they are registered; those of t5x_lite.tasks.mixtures need no data.
"""

import dataclasses

import seqio

from t5x_lite.data import checks
from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True)
class MixtureShare:
    """One task of a mixture; `rate` is relative, the `share` of all that are drawn sum to 1."""

    name: str
    rate: float
    share: float


def mixture_shares(name: str, *, split: str = "train") -> list[MixtureShare]:
    """The tasks of a mixture, those of its sub-mixtures included, the most frequent first.

    A sub-mixture passes its rate on in the shares of its tasks, and what reaches a task on several
    ways adds up. SeqIO leaves out a task that has no such split: its share is 0. A lone task is a
    mixture of one.

    Raises:
        UserError: nothing has this name, no task has the split, or all those that have it have
            the rate 0.
    """
    checks.check_mixture_or_task(name)
    checks.check_split(name, split)
    provider = seqio.get_mixture_or_task(name)
    if isinstance(provider, seqio.Task):
        return [MixtureShare(name, 1.0, 1.0)]
    rates = {task: float(provider.get_rate(task)) for task in provider.tasks}
    drawn = {task for task in rates if split.partition("[")[0] in task.splits}
    total = sum(rates[task] for task in drawn)
    if total <= 0:
        raise UserError(
            f"Every task of {name} that has the split {split!r} has the rate 0, so nothing can be "
            f"drawn: {', '.join(sorted(task.name for task in drawn))}. Give one of them a rate."
        )
    rows = [
        MixtureShare(task.name, rate, rate / total if task in drawn else 0.0)
        for task, rate in rates.items()
    ]
    return sorted(rows, key=lambda row: (-row.share, row.name))
