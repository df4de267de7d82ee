"""How results are printed; no TensorFlow, so that a report shows at once."""

from collections.abc import Collection, Sequence

from rich import console as rich_console

_LOG_WIDTH = 140
_UNITS = ("bytes", "kB", "MB", "GB", "TB", "PB")


def console() -> rich_console.Console:
    """The terminal; a log has no width of its own, and 80 columns would fold every cell."""
    terminal = rich_console.Console()
    return terminal if terminal.is_terminal else rich_console.Console(width=_LOG_WIDTH)


def aligned(rows: Sequence[Sequence[str]], *, numbers_from: int | None = None) -> str:
    """Rows of as many cells each as plain text, for files and logs as well; columns from
    `numbers_from` on are aligned right.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    first_number = len(widths) if numbers_from is None else numbers_from

    def line(row: Sequence[str]) -> str:
        cells = [
            cell.ljust(width) if column < first_number else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return "\n".join(map(line, rows))


def shown_size(num_bytes: int) -> str:
    """Three digits and a unit of powers of ten.

    >>> shown_size(1_984_000_000)
    '1.98 GB'
    """
    power = 0
    # What would be rounded to 1000 is 1 of the next unit.
    while num_bytes >= 999.5 * 1000**power and power + 1 < len(_UNITS):
        power += 1
    return f"{num_bytes / 1000**power:.3g} {_UNITS[power]}"


def shown_range(numbers: Collection[int]) -> str:
    """`1000`, or `100 to 1000` where they differ."""
    low, high = min(numbers, default=0), max(numbers, default=0)
    return str(low) if low == high else f"{low} to {high}"
