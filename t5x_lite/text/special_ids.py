"""Rows of ids as models read and write them: what in them is text."""

from collections.abc import Iterable

from t5x_lite.features.config import SpecialTokens


def until_end(ids: Iterable[int], special: SpecialTokens) -> list[int]:
    """Ids before the first end token, without padding, which must be no piece of text."""
    kept = []
    for i in map(int, ids):
        if i == special.end:
            break
        if i != special.padding:
            kept.append(i)
    return kept
