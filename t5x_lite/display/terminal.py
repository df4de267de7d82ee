"""How results are printed; no TensorFlow, so that a report shows at once."""

from collections.abc import Collection

from rich import console as rich_console

_LOG_WIDTH = 140


def console() -> rich_console.Console:
    """The terminal; a log has no width of its own, and 80 columns would fold every cell."""
    terminal = rich_console.Console()
    return terminal if terminal.is_terminal else rich_console.Console(width=_LOG_WIDTH)


def shown_range(numbers: Collection[int]) -> str:
    """`1000`, or `100 to 1000` where they differ."""
    low, high = min(numbers, default=0), max(numbers, default=0)
    return str(low) if low == high else f"{low} to {high}"
