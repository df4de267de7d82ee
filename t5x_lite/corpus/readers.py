"""Files -> pages and what is damaged in them: WET, WARC, jsonl and text, plain, gzip or zstd.

What a file is, its first bytes say. FastWARC parses WARC and Resiliparse makes text of HTML: one
group keeps both, and they are compiled, so that reading costs little beside the rules. Text is all
that is visible, as in Common Crawl's WET files, and not what an extractor such as trafilatura takes
for the main content: what is no sentence goes by C4's own rules.
"""

import dataclasses
import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from typing import Any

from t5x_lite.corpus.html import GZIP_MAGIC, GZIP_WINDOW
from t5x_lite.corpus.page import Page, from_lines
from t5x_lite.corpus.warc import Damage, warc_pages
from t5x_lite.errors import UserError
from t5x_lite.text_files import damages, unpacked_zstd

_ZSTD = b"\x28\xb5\x2f\xfd"
_PEEKED, _READ_TO_PEEK = 16, 1 << 12
# A line of jsonl: a book has some megabytes.
_MAX_LINE_BYTES = 1 << 28
_BOM = b"\xef\xbb\xbf"
_OWN_FIELDS = ("url", "timestamp", "id")


def pages(path: str, *, field: str = "text") -> Iterator[Page | Damage]:
    """What a file holds, in its order; what cannot be read is a Damage, and what is behind it is
    read where that can be found.

    Args:
        field: of jsonl, which has the text.

    Raises:
        OSError: it cannot be opened.
        UserError: its rows are JSON, and none has the field.
    """
    beginning = _beginning(path)
    if not beginning:
        return
    if isinstance(beginning, Damage):
        yield beginning
    elif beginning.startswith(b"WARC/"):
        yield from warc_pages(path, is_zstd=_magic(path).startswith(_ZSTD))
    elif beginning.removeprefix(_BOM).lstrip().startswith(b"{"):
        yield from _rows(path, field)
    elif _is_text(path):
        yield from _document(path)
    else:
        yield Damage(path, 0, f"neither WARC nor jsonl: it begins with {beginning!r}")


def _magic(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(len(_ZSTD))


def _opened(path: str) -> io.BufferedReader:
    """What is in a file that may be compressed."""
    magic = _magic(path)
    if magic.startswith(GZIP_MAGIC):
        return io.BufferedReader(gzip.open(path, "rb"))
    if magic == _ZSTD:
        return unpacked_zstd(open(path, "rb"))
    return open(path, "rb")


def _beginning(path: str) -> bytes | Damage:
    """Its first bytes, and no more: what is behind them may be damaged."""
    with open(path, "rb") as file:
        content = file.read(_READ_TO_PEEK)
    try:
        if content.startswith(GZIP_MAGIC):
            return zlib.decompressobj(GZIP_WINDOW).decompress(content, _PEEKED)
        if content.startswith(_ZSTD):
            with _opened(path) as stream:
                return stream.read(_PEEKED)
    except damages() as error:
        return Damage(path, 0, _said(error))
    return content[:_PEEKED]


def _said(error: Exception) -> str:
    return str(error) or type(error).__name__


def _is_text(path: str) -> bool:
    """Any name of a text, such as book.txt.gz."""
    return ".txt" in os.path.basename(path).lower()


def _rows(path: str, field: str) -> Iterator[Page | Damage]:
    """Pages of jsonl; a row that is none is a Damage at its line."""
    number, num_pages, lacking = 0, 0, []
    try:
        with _opened(path) as file:
            while line := file.readline(_MAX_LINE_BYTES):
                number += 1
                if not line.strip():
                    continue
                found = _row(path, number, line.removeprefix(_BOM) if number == 1 else line, field)
                if isinstance(found, Page):
                    num_pages += 1
                elif found.lacks is not None:
                    lacking.append(found.lacks)
                yield found
    except damages() as error:
        yield Damage(path, number + 1, _said(error), unit="line")
    if lacking and not num_pages:
        raise UserError(
            f"{path}: no row has a text in the field {field!r}; the first has "
            f"{', '.join(lacking[0])}. --field=NAME names another one."
        )


@dataclasses.dataclass(frozen=True)
class _BadRow(Damage):
    """A row without the field: the fields that it has."""

    lacks: list[str] | None = None


def _row(path: str, number: int, line: bytes, field: str) -> "Page | _BadRow":
    def bad(why: str, lacks: list[str] | None = None) -> _BadRow:
        return _BadRow(path, number, why, unit="line", lacks=lacks)

    try:
        value: Any = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        return bad(f"byte 0x{error.object[error.start]:02x} is no UTF-8")
    except (ValueError, RecursionError) as error:
        return bad(f"no JSON: {_said(error)}")
    if not isinstance(value, dict):
        return bad("no JSON object")
    if b"\\u" in line and not _is_encodable(value):
        return bad("half a surrogate pair, which is no text")
    text = value.get(field)
    if not isinstance(text, str):
        return bad(f"no text in the field {field!r}", list(value))
    own = {name: str(value[name]) for name in _OWN_FIELDS if isinstance(value.get(name), str | int)}
    more = {name: each for name, each in value.items() if name not in own and name != field}
    return Page(text=from_lines(text), **own, more=more)


def _is_encodable(value: Any) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _document(path: str) -> Iterator[Page | Damage]:
    """A text is one document, which has the name of its file."""
    try:
        with _opened(path) as file:
            text = file.read().removeprefix(_BOM).decode("utf-8")
    except UnicodeDecodeError as error:
        byte = error.object[error.start]
        yield Damage(path, error.start, f"byte 0x{byte:02x} is no UTF-8")
    except damages() as error:
        yield Damage(path, 0, _said(error))
    else:
        yield Page(text=from_lines(text), id=os.path.basename(path))
