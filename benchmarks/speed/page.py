"""Results as tables and a picture of docs/speed.md, between comments as in docs/pods.md."""

import pathlib

from benchmarks.pods.page import Picture, rewrite
from benchmarks.speed import pictures, tables
from benchmarks.speed.results import Results

_PICTURE = "speed/medians.png"


def publish(results: Results, docs: pathlib.Path) -> None:
    """Writes the tables into the page of a folder and the picture beside it.

    Raises:
        UserError: the page has no place for a table.
    """
    drawn = Picture("medians", _PICTURE, "medians of all arms", pictures.medians(results))
    rewrite(docs / "speed.md", tables.all_tables(results), drawn)
