"""Ids that are no text: special ones, and the sentinels behind the pieces."""

from collections.abc import Iterable

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens

NUM_SENTINELS = 100
_MULTIPLE = 128


def until_end(ids: Iterable[int], special: SpecialTokens) -> list[int]:
    """Ids before the first end token, without padding, which must be no piece of text."""
    kept = []
    for i in map(int, ids):
        if i == special.end:
            break
        if i != special.padding:
            kept.append(i)
    return kept


def model_vocab_size(num_pieces: int, num_sentinels: int = NUM_SENTINELS) -> int:
    """Rows of an embedding for `num_pieces` pieces and the sentinels, a multiple of 128.

    >>> model_vocab_size(32_000)
    32128
    """
    return -(-(num_pieces + num_sentinels) // _MULTIPLE) * _MULTIPLE


def check_special_ids(pad_id: int, eos_id: int, unk_id: int, *, source: object) -> None:
    """Refuses a vocabulary whose padding, end and unknown pieces are not 0, 1 and 2."""
    if (pad_id, eos_id, unk_id) != (0, 1, 2):
        raise UserError(
            f"The vocabulary {source} has pad_id={pad_id}, eos_id={eos_id}, unk_id={unk_id}; "
            "needed are 0, 1, 2, because batches are padded with 0 and texts end with 1. Train it "
            "with --pad_id=0 --eos_id=1 --unk_id=2 --bos_id=-1, or with `t5x_lite vocab`."
        )
