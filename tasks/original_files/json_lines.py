"""One JSON object a line, with errors that name the line."""

from collections.abc import Iterator, Mapping
from typing import Any

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text_files import parse_json, read_text


def read_objects(path: epath.Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Where each object stands (for errors) and the object.

    Raises:
        UserError: a line is no JSON object.
    """
    # Not splitlines: texts may contain other characters that it takes for line ends.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        value = parse_json(line, where)
        if not isinstance(value, dict):
            raise UserError(f"{where} is {type(value).__name__}; needed is a JSON object")
        yield where, value


def need(row: Any, name: str, where: str) -> Any:
    """A value by its name.

    Raises:
        UserError: it is not there.
    """
    if not isinstance(row, Mapping):
        raise UserError(f"{where} has {str(row)[:60]!r} where {name!r} should be")
    if name not in row:
        raise UserError(f"{where} has no {name!r}; found are {', '.join(row) or 'no names'}")
    return row[name]


def need_list(row: Any, name: str, where: str) -> list[Any]:
    """The same of a list."""
    value = need(row, name, where)
    if not isinstance(value, list):
        raise UserError(f"{where} has {name}={str(value)[:60]!r}; needed is a list")
    return value
