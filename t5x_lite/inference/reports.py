"""What a person sees while many examples are answered."""

import time
from collections.abc import Sequence

from t5x_lite.display.progress import say, shown_time_left
from t5x_lite.inference.engine import Report
from t5x_lite.inference.generate import Generated

_SECONDS_BETWEEN_LINES = 10.0
# Fewer may be meant: a task whose targets hold sentinels, or one strange input.
_SENTINELS_WORTH_A_WARNING = 0.01


def say_programs(widths: Sequence[int] | None, *, rows: int) -> None:
    """Tells what will be compiled for a job whose pools have these widths, if it has pools."""
    if widths is not None:
        count = "one program" if len(widths) == 1 else f"{len(widths)} programs"
        say(
            f"{count} to compile, for {rows} inputs at a time of up to "
            f"{', '.join(map(str, widths))} tokens; those that end are replaced"
        )


def progress_of(label: str, total: int, *, done_before: int = 0) -> Report:
    """Prints how many of `total` are done, how fast and until when, now and then and at the end."""
    began = printed = time.monotonic()

    def report(done: int, written: int) -> None:
        nonlocal printed
        now, answered = time.monotonic(), done_before + done
        if now - printed <= _SECONDS_BETWEEN_LINES and answered < total:
            return
        printed, seconds = now, max(now - began, 1e-9)
        line = [f"{label} {answered}/{total}", f"{done / seconds:.1f} examples/s"]
        if written:
            line.append(f"{written / seconds:,.0f} tokens/s")
        if answered < total:
            line.append(shown_time_left((total - answered) * seconds / done))
        say("  ".join(line))

    return report


class SentinelWarning:
    """Says when outputs hold <extra_id_...>: the mark of a model that was only pretrained."""

    def __init__(self, first_sentinel: int | None):
        self._first_sentinel = first_sentinel
        self._with_sentinels = self._seen = 0

    def look_at(self, outputs: Sequence[Generated]) -> None:
        """Counts those whose best decode has a sentinel."""
        if self._first_sentinel is not None:
            self._with_sentinels += sum(max(o.ids()) >= self._first_sentinel for o in outputs)
            self._seen += len(outputs)

    def say(self, label: str) -> None:
        """One line about all that were looked at, if there is reason for one."""
        share = self._with_sentinels / max(self._seen, 1)
        if share >= _SENTINELS_WORTH_A_WARNING:
            say(
                f"warning: {label}: {share:.0%} of the outputs contain sentinels (<extra_id_...>). "
                "Unless the task asks for them, this checkpoint was only pretrained, or its "
                "fine-tuning failed; --gin.FORBID_SENTINELS=True (in Python "
                "forbid_sentinels=True) keeps them out."
            )
