"""Files of one JSON value a line, which outlive full disks and killed processes.

Nothing can be appended to an object in a store, only written anew. There a log that grows large is
several objects, of which the last is written anew for each line:

    metrics.jsonl                lines 0 to 811
    metrics.jsonl.0000000812     lines from 812 on

Readers here see one file, and `join` makes one of it for all others. One process writes a log.
"""

import enum
import json
import os
import re
from collections.abc import Mapping, Sequence

import numpy as np
from etils import epath

from t5x_lite import storage
from t5x_lite.text_files import parse_json, read_text

# Bytes that a store is given again for each further line.
_SEGMENT_BYTES = 1 << 18


def append_line(path: epath.PathLike, value: Mapping) -> None:
    """Adds one JSON value as a line; a write that fails leaves the file as it was."""
    path, line = epath.Path(path), _dump(value)
    if storage.is_remote(path):
        _append_to_segments(path, line)
        return
    size = _drop_torn_line(path) if path.is_file() else None
    try:
        with path.open("a") as file:
            file.write(line + "\n")
    except OSError:
        if size is not None and path.stat().length > size:
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
        FileNotFoundError: there is no such file.
        UserError: it is not UTF-8, or a line before the last is not JSON.
    """
    return [
        parse_json(line, f"{path}, line {number},")
        for number, line in enumerate(_all_lines(epath.Path(path)), start=1)
        if line
    ]


def drop_lines_behind(path: epath.PathLike, step: int) -> None:
    """Removes the lines of later steps from a file whose lines have a `step`, if there is one."""
    path = epath.Path(path)
    if storage.exists(path):
        join(path)
        write_lines(path, [line for line in read_lines(path) if line["step"] <= step])


def same(first: Sequence[Mapping], second: Sequence[Mapping]) -> bool:
    """Whether two lists of values are written alike; NaN is NaN."""
    return [_dump(value) for value in first] == [_dump(value) for value in second]


def write_lines(path: epath.PathLike, values: Sequence[Mapping]) -> None:
    """Writes JSON values, one a line, in one go: the file is whole or not there."""
    _write(epath.Path(path), [_dump(value) for value in values])


def join(path: epath.PathLike) -> None:
    """Makes one file of a log in a store, as it is on a disk in any case."""
    path = epath.Path(path)
    segments = _segments(path)
    if segments:
        _write(path, _all_lines(path))
        with storage.answering(path):
            # Killed in between, the last stays, and the next line goes to it.
            for segment in segments:
                segment.unlink()


def _append_to_segments(path: epath.Path, line: str) -> None:
    segments = _segments(path)
    last = segments[-1] if segments else path
    lines = _lines(last) if segments or storage.exists(path) else []
    if sum(map(len, lines)) >= _SEGMENT_BYTES:
        last, lines = path.parent / f"{path.name}.{_start(path, last) + len(lines):010}", []
    _write(last, [*lines, line])


def _all_lines(path: epath.Path) -> list[str]:
    """The lines of a log, however many objects it is at the moment."""
    segments, lines = _segments(path), _lines(path)
    for segment in segments:
        try:
            own = _lines(segment)
        except FileNotFoundError:  # joined since it was listed
            return _all_lines(path)
        # What a process that was killed while it joined left begins before the end of the file.
        lines += own[len(lines) - _start(path, segment) :]
    return lines


def _lines(path: epath.Path) -> list[str]:
    """The whole lines of one file; a line may hold any character but a newline."""
    with storage.answering(path):
        return read_text(path).split("\n")[:-1]


def _write(path: epath.Path, lines: Sequence[str]) -> None:
    storage.write_whole(path, "".join(f"{line}\n" for line in lines).encode())


def _segments(path: epath.Path) -> list[epath.Path]:
    """The further objects of a log, in the order of their lines."""
    if not storage.is_remote(path):
        return []
    known = re.compile(re.escape(path.name) + r"\.\d{10}")
    return [each for each in storage.listed(path.parent) if known.fullmatch(each.name)]


def _start(path: epath.Path, segment: epath.Path) -> int:
    """The number of the first line."""
    return 0 if segment == path else int(segment.suffix[1:])


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
