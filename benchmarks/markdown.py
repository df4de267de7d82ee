"""Tables in markdown, and their places in a page.

A table stands between two comments, so that a new one replaces it and nothing else:

    <!-- table grid -->
    ...
    <!-- end of grid -->
"""

import re
from collections.abc import Sequence

from t5x_lite.errors import UserError


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table."""
    lines = [head, ["---"] * len(head), *rows]
    return [f"| {' | '.join(line)} |" for line in lines]


def replaced(page: str, name: str, lines: list[str]) -> str:
    """The page with another table between the comments of this name.

    Raises:
        UserError: the page has no such comments.
    """
    begin, end = f"<!-- table {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise UserError(
            f"the page has no place for {name}: needed are the lines {begin!r} and {end!r}."
        )
    return pattern.sub(lambda match: "\n".join([begin, "", *lines, "", end]), page)
