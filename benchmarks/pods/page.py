"""Results as tables and a picture of docs/pods.md.

A table stands between two comments, so that a new one replaces it and nothing else:

    <!-- table grid -->
    ...
    <!-- end of grid -->
"""

import pathlib
import re

from benchmarks.pods import pictures, tables
from benchmarks.pods.results import Results
from t5x_lite.errors import UserError

_PICTURE = "pods/scaling.png"


def publish(results: Results, docs: pathlib.Path) -> None:
    """Writes the tables into the page of a folder and the picture beside it.

    Raises:
        UserError: the page has no place for a table.
    """
    page = docs / "pods.md"
    text = page.read_text()
    for name, lines in tables.all_tables(results).items():
        text = replaced(text, name, lines)
    if picture := pictures.scaling(results):
        file = docs / _PICTURE
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(picture)
        text = replaced(text, "curves", [f"![steps by chips]({_PICTURE})"])
    page.write_text(text)


def replaced(page: str, name: str, lines: list[str]) -> str:
    """The page with another table between the comments of this name."""
    begin, end = f"<!-- table {name} -->", f"<!-- end of {name} -->"
    pattern = re.compile(f"{re.escape(begin)}.*?{re.escape(end)}", re.DOTALL)
    if not pattern.search(page):
        raise UserError(
            f"the page has no place for {name}: needed are the lines {begin!r} and {end!r}."
        )
    return pattern.sub(lambda match: "\n".join([begin, "", *lines, "", end]), page)
