"""Results in docs/speed.md, between comments as in docs/pods.md."""

import pathlib

from benchmarks.accelerator import tables
from benchmarks.accelerator.results import Results
from benchmarks.markdown import replaced

PLACE = "accelerator"


def publish(results: Results, docs: pathlib.Path) -> None:
    """Writes the tables into the page of a folder.

    Raises:
        UserError: the page has no place for them.
    """
    page = docs / "speed.md"
    page.write_text(replaced(page.read_text(), PLACE, tables.all_tables(results)))
