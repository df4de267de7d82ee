"""Lines of columns with tabs between; a quote is a character like any other."""

import dataclasses
from collections.abc import Iterator, Sequence

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text_files import read_text


@dataclasses.dataclass(frozen=True)
class Table:
    """A file's lines, cut at tabs, each with its number; `header` names the columns."""

    path: epath.Path
    header: Sequence[str]
    lines: Sequence[tuple[int, Sequence[str]]]

    def rows(self) -> Iterator[tuple[int, dict[str, str]]]:
        """Number and columns of each line; a line that ends early lacks the last ones."""
        for number, cells in self.lines:
            yield number, dict(zip(self.header, cells, strict=False))

    def with_header(self, header: Sequence[str]) -> "Table":
        """The table of a file whose first line is data."""
        cells = [self.header, *(cells for _, cells in self.lines)]
        return dataclasses.replace(self, header=header, lines=list(enumerate(cells)))


def read_table(path: epath.Path) -> Table:
    """The first line names the columns; empty lines are skipped, as by Python's csv module.

    Raises:
        UserError: the file is empty.
    """
    # Not splitlines, which takes more characters for line ends.
    text = read_text(path).replace("\r\n", "\n").replace("\r", "\n")
    lines = [line.split("\t") for line in text.split("\n") if line]
    if not lines:
        raise UserError(f"{path} is empty; needed are lines of columns with tabs between them")
    return Table(path, lines[0], list(enumerate(lines[1:])))
