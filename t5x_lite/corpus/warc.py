"""WARC and WET -> pages. A record that is damaged is told of by its offset, and reading goes on at
the next one that is whole.
"""

import dataclasses
import mmap
import os
import re
import zlib
from collections.abc import Iterator
from typing import Any

from t5x_lite.corpus.html import (
    GZIP_MAGIC,
    GZIP_WINDOW,
    decoded,
    decompressed,
    html_fields,
    html_text,
)
from t5x_lite.corpus.page import Page, from_lines

_MEMBER = re.compile(rb"\x1f\x8b\x08[\x00-\x1f]")
_RECORD = re.compile(rb"(?:\A|\n)(?=WARC/[01]\.\d\r?\n)")
_VERSION = re.compile(r"^WARC/\d\.\d$", re.MULTILINE)
_LONGEST_VERSION = 16
_CHUNK = 1 << 16
_HTML = ("text/html", "application/xhtml+xml")
_PLAIN = "text/plain"
_OK = 200


@dataclasses.dataclass(frozen=True)
class Damage:
    """Something that could not be read, and where.

    Attributes:
        offset: bytes from the beginning of the file as it is on disk, or the number of a line.
        is_skipped: whether a page is missing for it; one whose digest differs is read.
    """

    path: str
    offset: int
    why: str
    unit: str = "byte"
    is_skipped: bool = True

    def __str__(self) -> str:
        return f"{self.path}, {self.unit} {self.offset:,}: {self.why}"


def warc_pages(path: str, *, is_zstd: bool = False) -> Iterator[Page | Damage]:
    """The pages of a file: conversions to text, and HTML that was answered with 200.

    Args:
        is_zstd: then what is behind damage is not looked for.
    """
    if _was_edited(path):
        yield from _edited_pages(path)
        return
    start: int | None = 0
    is_in_damage = is_told = False
    while start is not None:
        last: int | None = None
        try:
            for record, position in _records(path, start):
                last, is_in_damage, is_told = position, False, False
                for found in _page(path, record, position):
                    is_told = isinstance(found, Damage) and found.is_skipped
                    yield found
            end = None if is_told else _cut_off(path, start if last is None else last)
            if end is not None:
                yield Damage(path, end, "cut off")
            return
        except OSError as error:
            if is_zstd:
                yield Damage(path, 0 if last is None else last, str(error))
                return
            if last is not None:
                start = _next(path, last + 1)
            if not is_in_damage:
                yield Damage(path, os.path.getsize(path) if start is None else start, str(error))
            is_in_damage = True
            if last is None and start is not None:
                start = _next(path, start + 1)


def _records(path: str, start: int) -> Iterator[tuple[Any, int]]:
    """(record, where it begins)."""
    from fastwarc.warc import ArchiveIterator

    with open(path, "rb") as file:
        file.seek(start)
        for record in ArchiveIterator(file, parse_http=False):
            position = record.stream_pos
            yield record, position if position >= start else start + position


def _cut_off(path: str, last: int) -> int | None:
    """Where a member of gzip begins that has no end, from a member on; FastWARC takes what gives
    no byte yet for the end of the file.
    """
    with open(path, "rb") as file:
        file.seek(last)
        rest = file.read(_CHUNK)
        if not rest.startswith(GZIP_MAGIC):
            return None
        start, member = last, zlib.decompressobj(GZIP_WINDOW)
        while rest:
            try:
                member.decompress(rest)
            except zlib.error:
                return start
            rest = member.unused_data
            if member.eof:
                start, member = file.tell() - len(rest), zlib.decompressobj(GZIP_WINDOW)
            rest = rest or file.read(_CHUNK)
    return None if start == os.path.getsize(path) else start


def _was_edited(path: str) -> bool:
    """Whether lines end as an editor leaves them, so that no length is right any more."""
    with open(path, "rb") as file:
        first = file.readline(_LONGEST_VERSION)
    return first.startswith(b"WARC/") and not first.endswith(b"\r\n")


def _edited_pages(path: str) -> Iterator[Page]:
    """Those of a WET file whose records are told apart by their first lines alone."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for record in _VERSION.split(file.read()):
            head, _, text = record.lstrip("\n").partition("\n\n")
            headers = dict(line.split(": ", 1) for line in head.split("\n") if ": " in line)
            if headers.get("WARC-Type") == "conversion":
                url, date = headers.get("WARC-Target-URI", ""), headers.get("WARC-Date", "")
                yield Page(text=from_lines(text), url=url, timestamp=date)


def _next(path: str, start: int) -> int | None:
    """Where a record may begin, from a byte on."""
    if start >= os.path.getsize(path):
        return None
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        expression = _MEMBER if content[:2] == GZIP_MAGIC else _RECORD
        found = expression.search(content, start)
        return found.end() if found and expression is _RECORD else found and found.start()


def _page(path: str, record: Any, position: int) -> Iterator[Page | Damage]:
    """One, or none if the record is no page."""
    from fastwarc.warc import WarcRecordType as Kind

    if "Content-Length" not in record.headers:
        yield Damage(path, position, "cut off within its headers")
        return
    if record.record_type not in (Kind.conversion, Kind.response, Kind.resource):
        return
    url = (record.headers.get("WARC-Target-URI") or "").strip("<> ")
    if not url.lower().startswith(("http:", "https:")):
        return
    length = record.content_length
    record.freeze()
    if record.content_length < length:
        why = f"cut off: {record.content_length:,} of {length:,} bytes"
        yield Damage(path, position, why)
        return
    digest = record.headers.get("WARC-Block-Digest") or ""
    if digest.lower().startswith("sha1:") and not record.verify_block_digest():
        yield Damage(path, position, f"the digest of {url} differs", is_skipped=False)
    known = {"url": url, "timestamp": record.headers.get("WARC-Date") or ""}
    more: dict[str, Any] = {}
    try:
        if record.record_type == Kind.conversion:
            text = record.reader.read().decode("utf-8", "replace")
        else:
            found = _of_the_web(record, more)
            if found is None:
                return
            text = found
    except (OSError, ValueError) as error:
        yield Damage(path, position, f"{url}: {error}")
        return
    yield Page(text=from_lines(text), **known, more=more)


def _of_the_web(record: Any, more: dict[str, Any]) -> str | None:
    """The text of what a server answered; None if it is no page."""
    headers = None
    if record.is_http:
        record.parse_http(auto_decode="transfer", quirks_mode=True)
        headers = record.http_headers
        if headers is None or headers.status_code != _OK:
            return None
        content_type = record.http_content_type or ""
    else:
        content_type = (record.headers.get("Content-Type") or "").partition(";")[0].strip()
    if content_type not in (*_HTML, _PLAIN):
        return None
    content = record.reader.read()
    if headers is not None:
        content = decompressed(content, headers.get("Content-Encoding") or "")
    if headers is not None and (robots := headers.get("X-Robots-Tag")):
        more["robots"] = robots
    charset = record.http_charset if record.is_http else None
    if content_type == _PLAIN:
        return content.decode(charset or "utf-8", "replace")
    html = decoded(content, charset)
    more |= html_fields(html)
    return html_text(html)
