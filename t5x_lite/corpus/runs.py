"""Rows on disk in sorted runs, of which a part of all hashes is read at once: memory does not grow
with what there is of them.
"""

import bisect
import os
from collections.abc import Sequence

import numpy as np

_ROWS_A_RUN = 1 << 19
_HASHES = 1 << 64


class RunWriter:
    """Writes rows of a dtype with a field `hash` as files `<name>.<number>.npy`."""

    def __init__(self, name: str, dtype: np.dtype):
        self._name, self._dtype = name, dtype
        self._parts: list[np.ndarray] = []
        self._count = self._number = 0

    def add(self, rows: Sequence[tuple]) -> None:
        """Further rows."""
        self._parts.append(np.array(rows, self._dtype))
        self._count += len(rows)
        if self._count >= _ROWS_A_RUN:
            self.flush()

    def flush(self) -> None:
        """Writes what has been added."""
        if not self._count:
            return
        rows = np.concatenate(self._parts)
        save(f"{self._name}.{self._number:05d}.npy", rows[np.argsort(rows["hash"], kind="stable")])
        self._parts, self._count, self._number = [], 0, self._number + 1


def save(path: str, rows: np.ndarray) -> None:
    """Writes an array whole or not at all."""
    partial = f"{path}.{os.getpid()}.partial"
    with open(partial, "wb") as file:
        np.save(file, rows)
    os.replace(partial, path)


def bucket(paths: Sequence[str], number: int, of: int, dtype: np.dtype) -> np.ndarray:
    """The rows of all runs whose hash is in one of equally large ranges of hashes."""
    low, high = (min(_HASHES * each // of, _HASHES - 1) for each in (number, number + 1))
    parts = [np.empty(0, dtype)]
    for path in paths:
        rows = np.load(path, mmap_mode="r")
        # bisect touches a few pages of the file, where NumPy would copy the column.
        start = bisect.bisect_left(rows["hash"], low)
        end = (bisect.bisect_right if number + 1 == of else bisect.bisect_left)(rows["hash"], high)
        parts.append(np.array(rows[start:end]))
    return np.concatenate(parts)


def of_part(paths: Sequence[str], part: int, dtype: np.dtype) -> np.ndarray:
    """The rows of one part, of files that are sorted by `part`."""
    parts = [np.empty(0, dtype)]
    for path in paths:
        rows = np.load(path, mmap_mode="r")
        start, end = (bisect.bisect_left(rows["part"], each) for each in (part, part + 1))
        parts.append(np.array(rows[start:end]))
    return np.concatenate(parts)
