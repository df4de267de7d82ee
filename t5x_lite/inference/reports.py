"""What a person sees while many examples are answered."""

import time
from collections.abc import Sequence

from t5x_lite.inference.batching import Ids
from t5x_lite.inference.engine import Generated, Report
from t5x_lite.training.progress import say

_SECONDS_BETWEEN_LINES = 10.0
# Fewer may be meant: a task whose targets hold sentinels, or one strange input.
_SENTINELS_WORTH_A_WARNING = 0.01


def longest(inputs: Sequence[Ids]) -> int:
    """One width for all batches of a job, so that one program is compiled."""
    return max(len(ids) for ids in inputs)


def progress_of(label: str, total: int, *, done_before: int = 0) -> Report:
    """Prints how many of `total` are done and how fast, now and then and at the end."""
    began = printed = time.monotonic()

    def report(done: int) -> None:
        nonlocal printed
        now = time.monotonic()
        if now - printed > _SECONDS_BETWEEN_LINES or done_before + done == total:
            printed = now
            rate = done / max(now - began, 1e-9)
            say(f"{label} {done_before + done}/{total}  {rate:.1f} examples/s")

    return report


def warn_of_sentinels(outputs: Sequence[Generated], first_sentinel: int | None, label: str) -> None:
    """Says so when outputs hold <extra_id_...>: the mark of a model that was only pretrained."""
    if first_sentinel is None or not outputs:
        return
    share = sum(max(output.ids()) >= first_sentinel for output in outputs) / len(outputs)
    if share >= _SENTINELS_WORTH_A_WARNING:
        say(
            f"warning: {label}: {share:.0%} of the outputs contain sentinels (<extra_id_...>). "
            "Unless the task asks for them, this checkpoint was only pretrained, or its "
            "fine-tuning failed; --gin.FORBID_SENTINELS=True keeps them out."
        )
