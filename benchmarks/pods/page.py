"""Results as tables and a picture of docs/pods.md, between comments (benchmarks/markdown.py)."""

import pathlib
from collections.abc import Mapping
from typing import NamedTuple

from benchmarks.markdown import replaced
from benchmarks.pods import pictures, tables
from benchmarks.pods.estimates import Pair
from benchmarks.pods.results import Results

_PICTURE = "pods/scaling.png"


def publish(results: Results, estimates: Mapping[str, Pair], docs: pathlib.Path) -> None:
    """Writes the tables into the page of a folder and the picture beside it.

    Raises:
        UserError: the page has no place for a table.
    """
    drawn = Picture("curves", _PICTURE, "steps by chips", pictures.scaling(results))
    rewrite(docs / "pods.md", tables.all_tables(results, estimates), drawn)


class Picture(NamedTuple):
    """A PNG, if there is one, for a place of a page, and its file beside the page."""

    place: str
    file: str
    title: str
    png: bytes | None


def rewrite(page: pathlib.Path, tables: Mapping[str, list[str]], picture: Picture) -> None:
    """Writes tables and a picture into their places of a page.

    Raises:
        UserError: the page has no place for one of them.
    """
    text = page.read_text()
    for name, lines in tables.items():
        text = replaced(text, name, lines)
    if picture.png:
        text = replaced(text, picture.place, [f"![{picture.title}]({picture.file})"])
        file = page.parent / picture.file
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(picture.png)
    page.write_text(text)
