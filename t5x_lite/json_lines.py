"""Files of one JSON value a line, which outlive full disks and killed processes."""

import enum
import json
import os
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from t5x_lite.text_files import parse_json


def append_line(path: epath.PathLike, value: Mapping) -> None:
    """Adds one JSON value as a line; a write that fails leaves the file as it was."""
    path = epath.Path(path)
    is_local = "://" not in str(path) and path.is_file()
    size = _drop_torn_line(path) if is_local else 0
    try:
        with path.open("a") as file:
            file.write(_dump(value) + "\n")
    except OSError:
        if is_local and path.stat().length > size:
            os.truncate(path, size)
        raise


def _drop_torn_line(path: epath.Path) -> int:
    """Removes what a killed process left half written; the size of what stays."""
    with open(path, "rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size == 0:
            return 0
        file.seek(size - 1)
        if file.read(1) != b"\n":
            file.seek(0)
            size = file.read().rfind(b"\n") + 1
            file.truncate(size)
    return size


def read_lines(path: epath.PathLike) -> list[dict]:
    """JSON values, one a line; a last line that a killed process left half written is no line.

    Raises:
        UserError: another line is not JSON.
    """
    lines = epath.Path(path).read_text().split("\n")[:-1]
    return [
        parse_json(line, f"{path}, line {number},")
        for number, line in enumerate(lines, start=1)
        if line
    ]


def drop_lines_behind(path: epath.PathLike, step: int) -> None:
    """Removes the lines of later steps from a file whose lines have a `step`, if there is one."""
    path = epath.Path(path)
    if path.exists():
        write_lines(path, [line for line in read_lines(path) if line["step"] <= step])


def same(first: Sequence[Mapping], second: Sequence[Mapping]) -> bool:
    """Whether two lists of values are written alike; NaN is NaN."""
    return [_dump(value) for value in first] == [_dump(value) for value in second]


def write_lines(path: epath.PathLike, values: Sequence[Mapping]) -> None:
    """Writes JSON values, one a line, in one go: the file is whole or not there."""
    path = epath.Path(path)
    partial = path.parent / f"{path.name}.partial"
    text = "".join(_dump(value) + "\n" for value in values)
    partial.write_text(text)
    partial.replace(path)


def _dump(value: Mapping) -> str:
    return json.dumps(value, ensure_ascii=False, default=_plain)


def _plain(value: object) -> object:
    """Python's own types for what postprocessors return: NumPy's numbers and arrays, bytes."""
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    raise TypeError(f"{type(value).__name__} {value!r} cannot be written as JSON")
