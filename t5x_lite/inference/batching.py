"""Examples of any lengths as batches of few shapes, so that few programs are compiled."""

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int32

from t5x_lite.features.config import SpecialTokens

Ids = Sequence[int] | Int32[np.ndarray, " _length"]

_SHORTEST = 16


@dataclasses.dataclass(frozen=True)
class Group:
    """Examples that are run together, by their places in the list, and the shape of their batch."""

    places: tuple[int, ...]
    rows: int
    width: int


def groups(
    lengths: Sequence[int], *, batch_size: int, rows_divide_by: int = 1, width: int | None = None
) -> Iterator[Group]:
    """Each example in exactly one group.

    Args:
        lengths: of the examples.
        batch_size: rows of a group at most, a multiple of `rows_divide_by`.
        rows_divide_by: pieces that a batch is split into.
        width: length of all rows, with all groups of `batch_size` rows in the order given. None
            sorts the examples by length and makes widths powers of two, rows as well.
    """
    order: Sequence[int] = range(len(lengths))
    if width is None:
        order = sorted(order, key=lambda place: lengths[place])
    for start in range(0, len(lengths), batch_size):
        places = tuple(order[start : start + batch_size])
        if width is not None:
            yield Group(places, batch_size, width)
            continue
        rows = rows_divide_by
        while rows < len(places):
            rows *= 2
        yield Group(places, min(rows, batch_size), bucket(max(lengths[i] for i in places)))


def bucket(length: int) -> int:
    """The power of two from 16 on that holds `length`."""
    return max(_SHORTEST, 1 << (max(length, 1) - 1).bit_length())


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
