"""Examples of any lengths as batches of few shapes, so that few programs are compiled."""

import collections
import dataclasses
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int32

from t5x_lite.features.config import SpecialTokens

Ids = Sequence[int] | Int32[np.ndarray, " _length"]

_SHORTEST = 16
_MOST_WIDTHS = 4
# On a CPU a small model reads about so many tokens while a program for one more width is compiled.
_TOKENS_PER_PROGRAM = 2**14


@dataclasses.dataclass(frozen=True)
class Group:
    """Examples that are run together, by their places in the list, and the shape of their batch."""

    places: tuple[int, ...]
    rows: int
    width: int


def groups(lengths: Sequence[int], *, batch_size: int, rows_divide_by: int = 1) -> Iterator[Group]:
    """Each example in exactly one group, sorted by length; widths and rows are powers of two.

    Args:
        lengths: of the examples.
        batch_size: rows of a group at most, a multiple of `rows_divide_by`.
        rows_divide_by: pieces that a batch is split into.
    """
    order = sorted(range(len(lengths)), key=lambda place: lengths[place])
    for start in range(0, len(lengths), batch_size):
        places = tuple(order[start : start + batch_size])
        rows = rows_divide_by
        while rows < len(places):
            rows *= 2
        yield Group(places, min(rows, batch_size), bucket(max(lengths[i] for i in places)))


def bucket(length: int) -> int:
    """The power of two from 16 on that holds `length`."""
    return max(_SHORTEST, 1 << (max(length, 1) - 1).bit_length())


def widths_for(lengths: Sequence[int]) -> tuple[int, ...]:
    """The widths of a job of many examples, each of which goes to the first that holds it: as few
    that padding costs less than another program would, and four at most. All are powers of two, but
    the last may be cut to a quarter of the way to it, so that other jobs have few widths as well.

    >>> widths_for([10] * 5000 + [60] * 5 + [500] * 500)
    (16, 512)
    """
    longest = max(lengths, default=0)
    step = max(_SHORTEST, bucket(longest) // 8)
    last = max(-(-longest // step) * step, _SHORTEST)
    counts = collections.Counter(min(bucket(length), last) for length in lengths)
    kept = sorted(counts)
    while len(kept) > 1:
        added = [counts[own] * (wider - own) for own, wider in itertools.pairwise(kept)]
        least = min(range(len(added)), key=added.__getitem__)
        if len(kept) <= _MOST_WIDTHS and added[least] > _TOKENS_PER_PROGRAM:
            break
        counts[kept[least + 1]] += counts[kept.pop(least)]
    return tuple(kept)


def by_width(lengths: Sequence[int], widths: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Each width with the places of the examples that no smaller one holds, the longest first: they
    are likely to have long answers, which would otherwise be waited for at the end.
    """
    order = np.argsort(-np.asarray(lengths, int), kind="stable")
    numbers = np.searchsorted(widths, lengths)[order]
    for number, width in reversed(list(enumerate(widths))):
        places = order[numbers == number].tolist()
        if places:
            yield width, places


def padded(
    sequences: Sequence[Ids], *, rows: int, width: int, special: SpecialTokens
) -> tuple[Int32[np.ndarray, "rows width"], Int32[np.ndarray, "rows width"]]:
    """Ids, cut or padded to `width`, and their segment ids. Rows behind the last hold an end token
    alone: one without any token would attend to nothing.
    """
    tokens = np.full((rows, width), special.padding, np.int32)
    segments = np.zeros((rows, width), np.int32)
    tokens[len(sequences) :, 0] = special.end
    segments[len(sequences) :, 0] = 1
    for row, sequence in enumerate(sequences):
        cut = sequence[:width]
        tokens[row, : len(cut)], segments[row, : len(cut)] = cut, 1
    return tokens, segments
