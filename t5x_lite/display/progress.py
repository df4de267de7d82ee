"""What a person sees of a run: one live line in a terminal, plain lines elsewhere."""

import time
from collections.abc import Mapping

import jax
from rich import console as rich_console
from rich import progress as rich_progress

# Outside a terminal a line is a log entry: enough to see that the job lives, not every report.
_SECONDS_BETWEEN_LINES = 10.0
# All columns fit into a terminal of 80.
_BAR_WIDTH = 8


def say(text: str) -> None:
    """Prints on the first process only, so that a pod speaks with one voice."""
    if jax.process_index() == 0:
        print(text, flush=True)


def shown_time_left(seconds: float) -> str:
    """Minutes and seconds.

    >>> shown_time_left(125.9)
    'ETA 2:05'
    """
    return f"ETA {int(seconds) // 60}:{int(seconds) % 60:02d}"


class Progress:
    """Steps, speed, loss and time left of a run of `last_step` steps."""

    def __init__(self, *, first_step: int, last_step: int, label: str = "train"):
        self._last, self._label = last_step, label
        self._printed = time.monotonic()
        self._bar: rich_progress.Progress | None = None
        terminal = rich_console.Console()
        if terminal.is_terminal and jax.process_index() == 0:
            self._bar = rich_progress.Progress(
                rich_progress.TextColumn("{task.description}"),
                rich_progress.BarColumn(bar_width=_BAR_WIDTH),
                rich_progress.MofNCompleteColumn(),
                rich_progress.TextColumn("{task.fields[values]}"),
                rich_progress.TextColumn("ETA"),
                rich_progress.TimeRemainingColumn(),
                console=terminal,
            )
            self._task = self._bar.add_task(label, total=last_step, completed=first_step, values="")
            self._bar.start()

    def update(self, step: int, scalars: Mapping[str, float]) -> None:
        """Shows the newest scalars."""
        loss = f"loss {scalars['loss_per_token']:.3f}"
        if self._bar is None and "accuracy" in scalars:  # a number has none
            loss += f"  accuracy {scalars['accuracy']:.3f}"
        speed = (
            f"{scalars['timing/steps_per_second']:.2f} steps/s  "
            f"{scalars['timing/real_tokens_per_second']:,.0f} tokens/s"
        )
        if self._bar is not None:
            self._bar.update(self._task, completed=step, values=f"{loss}  {speed}")
            return
        now = time.monotonic()
        if now - self._printed < _SECONDS_BETWEEN_LINES and step != self._last:
            return
        self._printed = now
        eta = shown_time_left((self._last - step) / scalars["timing/steps_per_second"])
        say(f"{self._label} {step}/{self._last}  {loss}  {speed}  {eta}")

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._bar is not None:
            self._bar.stop()
