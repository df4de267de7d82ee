"""The tokens that a `tokenizer.json` of the `tokenizers` library adds to its model's pieces."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from t5x_lite.errors import UserError

SENTINEL = re.compile(r"▁?<extra_id_(\d+)>")


def sentinels(extra_ids: int) -> list[str]:
    """`extra_ids` sentinels in the order of their ids: <extra_id_0> is the last."""
    return [f"<extra_id_{index}>" for index in reversed(range(extra_ids))]


def num_trailing_sentinels(pieces: Sequence[str]) -> int:
    """How many of the last pieces are sentinels in that order."""
    count = 0
    for piece in reversed(pieces):
        found = SENTINEL.fullmatch(piece)
        if found is None or int(found[1]) != count:
            break
        count += 1
    return count


def read_added(values: Mapping[str, Any], source: object) -> dict[str, int]:
    """Token -> id.

    Raises:
        UserError: one of them stands for text, which no other vocabulary would make an id of.
    """
    try:
        tokens = [(str(t["content"]), int(t["id"]), t["special"]) for t in _added(values)]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source}: its added_tokens are damaged: {error!r}") from None
    if text := [content for content, _, special in tokens if not special]:
        raise UserError(
            f"{source}: {text[0]!r} was added to the vocabulary as text; needed is one whose added "
            "tokens are special ones, as those of T5 and GPT-2 are."
        )
    return {content: i for content, i, _ in tokens}


def written(tokens: Iterable[tuple[str, int]]) -> list[dict[str, Any]]:
    """Special tokens and their ids as `tokenizer.json` states them."""
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    return [{"id": i, "content": token, **flags, "special": True} for token, i in tokens]


def _added(values: Mapping[str, Any]) -> Sequence[Any]:
    return values.get("added_tokens") or ()
