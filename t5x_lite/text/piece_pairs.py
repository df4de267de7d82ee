"""Which pairs a BPE merges until a piece is whole: without them it would not come to be."""

import itertools
from collections.abc import Callable, Iterable, Iterator

Pair = tuple[str, str]


def pairs_of(piece: str, rank: Callable[[Pair], float | None]) -> Iterator[Pair]:
    """The pairs that are merged one after another, of one character each at the beginning. Within a
    longer text they are the same: what ends as one piece was never merged across its borders.

    Args:
        rank: the lowest is merged first, the leftmost of several; None is no pair.
    """
    symbols = list(piece)
    while len(symbols) > 1:
        pairs = enumerate(itertools.pairwise(symbols))
        ranked = [(rank(pair), place) for place, pair in pairs]
        known = [(found, place) for found, place in ranked if found is not None]
        if not known:
            return
        _, place = min(known)
        yield symbols[place], symbols[place + 1]
        symbols[place : place + 2] = ["".join(symbols[place : place + 2])]


def all_pairs(pieces: Iterable[str], rank: Callable[[Pair], float | None]) -> set[Pair]:
    """The pairs of all these pieces."""
    return {pair for piece in pieces for pair in pairs_of(piece, rank)}
