"""UTF-8 bytes as ids, ByT5's vocabulary (Xue et al. 2021)."""

from collections.abc import Iterable

from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.added_tokens import sentinels
from t5x_lite.text.special_ids import until_end
from t5x_lite.text.template import WITH_END
from t5x_lite.text.vocabulary_file import VOCABULARY_FILE, description

_NUM_BYTES = 256
_NUM_SPECIAL = 3


class ByteTokenizer:
    """UTF-8 bytes, each three ids higher; sentinels stand behind them and are no text (ByT5)."""

    special = SpecialTokens()
    template = WITH_END

    def __init__(self, extra_ids: int = 0):
        self._extra_ids = extra_ids

    @property
    def num_ids(self) -> int:
        """Padding, end, unknown, the bytes, sentinels."""
        return self.first_sentinel + self._extra_ids

    @property
    def first_sentinel(self) -> int:
        """Behind the bytes."""
        return _NUM_SPECIAL + _NUM_BYTES

    def name_of(self, i: int) -> str:
        """The token of an id; bytes have their number."""
        special = ("<pad>", "</s>", "<unk>")
        every = [*special, *(f"<0x{byte:02X}>" for byte in range(_NUM_BYTES))]
        return [*every, *sentinels(self._extra_ids)][i]

    def encode(self, text: str) -> list[int]:
        """Ids without an end token."""
        return [byte + _NUM_SPECIAL for byte in text.encode("utf-8")]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of ids up to the first end token; bytes that are no UTF-8 are left out."""
        bounds = range(_NUM_SPECIAL, self.first_sentinel)
        kept = [i - _NUM_SPECIAL for i in until_end(ids, self.special) if i in bounds]
        return bytes(kept).decode("utf-8", errors="ignore")

    def files(self) -> dict[str, bytes]:
        """There is nothing to keep but the kind."""
        return {VOCABULARY_FILE: description("bytes", self._extra_ids)}
