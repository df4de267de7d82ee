"""Results as tables and a picture of docs/speed.md, between comments as in docs/pods.md."""

import pathlib

from benchmarks.pods.page import replaced
from benchmarks.speed import pictures, tables
from benchmarks.speed.results import Results

_PICTURE = "speed/medians.png"


def publish(results: Results, docs: pathlib.Path) -> None:
    """Writes the tables into the page of a folder and the picture beside it.

    Raises:
        UserError: the page has no place for a table.
    """
    page = docs / "speed.md"
    text = page.read_text()
    for name, lines in tables.all_tables(results).items():
        text = replaced(text, name, lines)
    if picture := pictures.medians(results):
        file = docs / _PICTURE
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(picture)
        text = replaced(text, "medians", [f"![medians of all arms]({_PICTURE})"])
    page.write_text(text)
