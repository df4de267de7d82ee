"""How far work is that is done shard by shard: a live line in a terminal, plain lines elsewhere."""

import time

from rich import console as rich_console
from rich import progress as rich_progress

from t5x_lite.display.progress import shown_time_left

_SECONDS_BETWEEN_LINES = 10.0
_BAR_WIDTH = 12


class ShardProgress:
    """Shards that are done, examples, examples a second, and the time left.

    Use it as a context manager, which leaves the terminal as it was.

    Args:
        finished: shards that earlier commands have done, which say nothing of this one's speed.
    """

    def __init__(self, label: str, *, finished: int, total: int) -> None:
        self._label, self._finished, self._total = label, finished, total
        self._done = self._examples = 0
        self._began = self._printed = time.monotonic()
        terminal = rich_console.Console(stderr=True)
        self._terminal = terminal
        self._bar = rich_progress.Progress(
            rich_progress.TextColumn("{task.description}"),
            rich_progress.BarColumn(bar_width=_BAR_WIDTH),
            rich_progress.TextColumn("{task.fields[values]}"),
            console=terminal,
            transient=True,
            disable=not terminal.is_terminal,
        )
        self._task = self._bar.add_task(label, total=total, completed=finished, values="")

    def __enter__(self) -> "ShardProgress":
        self._bar.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._bar.stop()

    def update(self, *, examples: int, shards: int = 0) -> None:
        """Adds what was done since the last call."""
        self._examples += examples
        self._done += shards
        done, text = self._finished + self._done, self._text()
        self._bar.update(self._task, completed=done, values=text)
        now = time.monotonic()
        due = now - self._printed >= _SECONDS_BETWEEN_LINES or done == self._total
        if not self._terminal.is_terminal and due:
            self._printed = now
            self._terminal.print(f"{self._label} {text}", highlight=False, soft_wrap=True)

    def _text(self) -> str:
        seconds = max(time.monotonic() - self._began, 1e-9)
        shown = (
            f"{self._finished + self._done}/{self._total} shards  {self._examples:,} examples  "
            f"{self._examples / seconds:,.0f} examples/s"
        )
        if not self._done:
            return shown
        left = self._total - self._finished - self._done
        return f"{shown}  {shown_time_left(left * seconds / self._done)}"
