"""Files of pages on their way, and of documents of the corpus; whole or not there."""

import gzip
import io
import json
import os
from collections.abc import Iterator
from typing import Any

import zstandard

_FAST_COMPRESSION, _COMPRESSION = 1, 6


class Records:
    """Writes pages with their numbers, whole or not at all."""

    def __init__(self, path: str):
        self.number = 0
        self._path, self._partial = path, f"{path}.{os.getpid()}.partial"

    def __enter__(self) -> "Records":
        self._file = open(self._partial, "wb")
        self._stream = zstandard.ZstdCompressor(_FAST_COMPRESSION).stream_writer(self._file)
        return self

    def add(self, record: dict[str, Any]) -> None:
        """Writes one."""
        self._stream.write(json.dumps(record, ensure_ascii=False).encode() + b"\n")
        self.number += 1

    def __exit__(self, kind: type | None, *_: object) -> None:
        self._stream.close()
        self._file.close()
        if kind is None:
            os.replace(self._partial, self._path)


class Output:
    """Documents compressed by gzip, with neither name nor time of the file in it."""

    def __init__(self, path: str):
        self._path, self._partial = path, f"{path}.{os.getpid()}.partial"
        self._file = open(self._partial, "wb")
        self._stream = gzip.GzipFile("", "wb", _COMPRESSION, self._file, mtime=0)

    def add(self, document: bytes) -> None:
        """Writes one."""
        self._stream.write(document)

    def close(self) -> None:
        """Gives the file its name."""
        self._stream.close()
        self._file.close()
        os.replace(self._partial, self._path)


def records(path: str) -> Iterator[dict[str, Any]]:
    """What `Records` wrote."""
    with open(path, "rb") as file:
        stream = zstandard.ZstdDecompressor().stream_reader(file)
        for line in io.TextIOWrapper(stream, encoding="utf-8", newline="\n"):
            yield json.loads(line)
