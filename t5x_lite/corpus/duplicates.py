"""What stands more than once in a corpus: found by hashes, taken out of all pages but one.

As released it is a line, kept on the page whose URL has the smallest md5, and there once. In the
paper it is a span of three sentences: of each that recurs one is kept, by the same choice, and what
is in a span that is kept stays, whatever else it is part of.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from t5x_lite.corpus import urls
from t5x_lite.corpus.config import Dedup
from t5x_lite.corpus.sentences import Punkt

SENTENCES_A_SPAN = 3
_HASH_BYTES = 8
# Of one unit: its hash, the place of its page in the order by which one is chosen, and where it is.
UNIT = np.dtype(
    [("hash", "<u8"), ("rank", "<u8"), ("part", "<u4"), ("page", "<u4"), ("unit", "<u4")]
)
# Where a unit is that recurs, and whether it is the one that stays.
CHOICE = np.dtype([("part", "<u4"), ("page", "<u4"), ("unit", "<u4"), ("stays", "?")])


class Sentence(NamedTuple):
    """Where one is."""

    line: int
    start: int
    end: int


def rank(address: str) -> int:
    """Where a page stands in the order by which one is chosen: no domain is preferred."""
    return int(urls.digest(address)[: 2 * _HASH_BYTES], 16)


def hash_of(text: str) -> int:
    """64 bits; equal in every run and on every machine."""
    content = text.encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=_HASH_BYTES).digest(), "little")


def units(text: str, kind: Dedup, punkt: Punkt) -> list[int]:
    """The hashes of a page's lines or spans, in their order."""
    if kind is Dedup.LINE:
        return [hash_of(line.strip().lower()) for line in text.split("\n")]
    lines = text.split("\n")
    said = [lines[each.line][each.start : each.end].lower() for each in sentences(text, punkt)]
    return [
        hash_of("\n".join(said[start : start + SENTENCES_A_SPAN]))
        for start in range(len(said) - SENTENCES_A_SPAN + 1)
    ]


def sentences(text: str, punkt: Punkt) -> list[Sentence]:
    """Of all lines, each line by itself."""
    return [
        Sentence(number, start, end)
        for number, line in enumerate(text.split("\n"))
        for start, end in punkt.spans(line)
    ]


def choose(rows: np.ndarray) -> np.ndarray:
    """Which of the units stay and which go, of those that recur; all with one hash are here.

    Args:
        rows: of UNIT, in any order.

    Returns:
        Rows of CHOICE, in the order of pages.
    """
    keys = [rows[name] for name in ("unit", "page", "part", "rank", "hash")]
    rows = rows[np.lexsort(keys)]
    is_first = np.ones(len(rows), bool)
    is_first[1:] = rows["hash"][1:] != rows["hash"][:-1]
    # The last of a group is followed by the first of another.
    recurs = ~(is_first & np.append(is_first[1:], True))
    found = np.empty(int(recurs.sum()), CHOICE)
    for name in ("part", "page", "unit"):
        found[name] = rows[name][recurs]
    found["stays"] = is_first[recurs]
    return found[np.lexsort([found["unit"], found["page"], found["part"]])]


def without_lines(text: str, gone: Collection[int]) -> str:
    """A page without lines of these numbers."""
    kept = [line for number, line in enumerate(text.split("\n")) if number not in gone]
    return "\n".join(kept)


def without_spans(text: str, gone: Collection[int], stay: Collection[int], punkt: Punkt) -> str:
    """A page without the sentences of spans that go, but for those of spans that stay."""
    lines = text.split("\n")
    places = sentences(text, punkt)
    dropped = _members(gone) - _members(stay)
    for line in {places[number].line for number in dropped}:
        numbers = [number for number, place in enumerate(places) if place.line == line]
        lines[line] = _joined(lines[line], [(places[each], each in dropped) for each in numbers])
    return "\n".join(line for line in lines if line)


def _members(spans: Collection[int]) -> set[int]:
    return {start + each for start in spans for each in range(SENTENCES_A_SPAN)}


def _joined(line: str, places: Sequence[tuple[Sentence, bool]]) -> str:
    """What is left of a line, given which of its sentences are dropped."""
    kept, last = "", None
    for number, (place, is_dropped) in enumerate(places):
        if is_dropped:
            continue
        if last is not None:
            kept += line[places[last][0].end : place.start] if last == number - 1 else " "
        kept += line[place.start : place.end]
        last = number
    return kept
