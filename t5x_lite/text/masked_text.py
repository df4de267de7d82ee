"""A text in which masks stand for tokens that are to be found: "Paris is the <mask> of France."."""

from t5x_lite.errors import UserError
from t5x_lite.text.tokenizer import Tokenizer


def encode_masked(tokenizer: Tokenizer, text: str) -> list[int]:
    """The ids of a text whose masks are masks, by the name that its vocabulary gives them.

    The blank before a mask is part of it: pieces that begin a word hold theirs.

    Raises:
        UserError: the vocabulary has no mask.
    """
    mask = tokenizer.special.mask
    if mask is None:
        raise UserError(
            "the vocabulary has no mask; needed is an encoder's, such as BERT's, in which one "
            "stands for a token that is to be found."
        )
    *before, last = text.split(tokenizer.name_of(mask))
    ids: list[int] = []
    for part in before:
        ids += [*tokenizer.encode(part.rstrip()), mask]
    return ids + tokenizer.encode(last)
