"""A page: its text, and what is known about it."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from t5x_lite.corpus import urls


@dataclasses.dataclass(frozen=True)
class Page:
    """A document on its way.

    Attributes:
        url: as it was crawled; empty where a document has none.
        timestamp: in ISO 8601, so that a later one is larger; may be empty.
        id: which others know it by; empty: made of its URL or text.
        more: fields that are passed through, such as license and robots.
    """

    text: str
    url: str = ""
    timestamp: str = ""
    id: str = ""
    more: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def key(self) -> str:
        """What tells it from others: its normalized URL, its id, or a hash of its text."""
        return urls.normalized(self.url) or self.id or urls.digest(self.text)


def from_lines(text: str) -> str:
    """The text of a page as the release reads it: lines without blanks around them, none empty."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return "\n".join([line for each in text.split("\n") if (line := each.strip())])


def num_bytes(text: str) -> int:
    """Of a text in UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))
