"""One JSON object a line, with errors that name the line."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from t5x_lite.errors import UserError


def read_objects(path: epath.Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each object stands (for errors) and the object.

    Raises:
        UserError: a line is no JSON object.
    """
    # Not splitlines: texts may contain other characters that it takes for line ends.
    for number, line in enumerate(path.read_text().split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{where} is no JSON: {error}") from error
        if not isinstance(value, dict):
            raise UserError(f"{where} is {type(value).__name__}; needed is a JSON object")
        yield where, value


def need(row: Mapping[str, Any], name: str, where: str) -> Any:
    """A value by its name.

    Raises:
        UserError: it is not there.
    """
    if name not in row:
        raise UserError(f"{where} has no {name!r}; found are {', '.join(row) or 'no names'}")
    return row[name]
