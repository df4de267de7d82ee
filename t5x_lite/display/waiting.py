"""A line that lives while something takes long of which nothing can be said before it is done."""

import contextlib
from collections.abc import Iterator

from rich import console as rich_console
from rich import progress as rich_progress


@contextlib.contextmanager
def waiting(label: str) -> Iterator[None]:
    """Shows what is done and for how long; outside of a terminal one line when it begins."""
    terminal = rich_console.Console(stderr=True)
    if not terminal.is_terminal:
        terminal.print(f"{label} ...", highlight=False, soft_wrap=True)
        yield
        return
    columns = (
        rich_progress.SpinnerColumn(),
        rich_progress.TextColumn("{task.description}"),
        rich_progress.TimeElapsedColumn(),
    )
    with rich_progress.Progress(*columns, console=terminal, transient=True) as progress:
        progress.add_task(label, total=None)
        yield
