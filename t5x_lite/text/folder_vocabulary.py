"""The vocabulary of a folder as SeqIO sees it, whatever its kind: what is the same for all."""

import abc
from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Generic, TypeVar, cast

import seqio
import tensorflow as tf
from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text.tokenizer import Tokenizer, named_tokenizer

_Kind = TypeVar("_Kind", bound=Tokenizer)


class FolderVocabulary(seqio.Vocabulary, Generic[_Kind]):
    """A vocabulary that is read when it is first used; its ids are those of its tokenizer.

    SeqIO pads with 0, which may be a piece of text here: segment ids tell padding from it.

    Args:
        path: a folder as `t5x_lite vocab` writes it, or Hugging Face's; or the file in one that
            names it.
    """

    kind: ClassVar[type]
    kind_name: ClassVar[str]
    # Whether what encodes has a state in TensorFlow's eyes: a function that calls it would have one
    # too, and no position of its data could be saved.
    has_state: ClassVar[bool] = False

    def __init__(self, path: epath.PathLike):
        super().__init__()
        self.path = str(path)
        self._tokenizer: _Kind | None = None
        # One graph, however many pipelines encode with it: tracing it takes most of their start.
        self._encode_graph = tf.function(
            self._encode_texts, [tf.TensorSpec([None], tf.string)], autograph=False
        )

    @property
    def tokenizer(self) -> _Kind:
        """The same ids outside of TensorFlow.

        Raises:
            OSError, UserError: there is none at the path.
        """
        if self._tokenizer is None:
            found: Any = named_tokenizer(self.path)
            if not isinstance(found, self.kind):
                needed, given = self.kind_name, type(found).__name__
                raise UserError(f"{self.path} is no {needed} but a {given}.")
            self._tokenizer = cast(_Kind, found)
        return self._tokenizer

    @property
    def bos_id(self) -> int:
        """What a text starts from."""
        return self.tokenizer.special.start

    @property
    def eos_id(self) -> int:
        """The end of a text."""
        return self.tokenizer.special.end

    @property
    def unk_id(self) -> int | None:
        """None where every text has ids."""
        return self.tokenizer.special.unknown

    @property
    def padding(self) -> int | None:
        """The id that is padding wherever it stands; None where it is a piece of text as well."""
        return self.tokenizer.special.padding

    @property
    def extra_ids(self) -> int:
        """Sentinels behind the pieces."""
        return self.tokenizer.num_ids - self.tokenizer.first_sentinel

    @property
    def _base_vocab_size(self) -> int:
        return self.tokenizer.first_sentinel

    @abc.abstractmethod
    def begins_word(self, i: int) -> bool:
        """Whether a word may begin with the piece of an id, which else continues one."""

    @abc.abstractmethod
    def _encode_texts(self, texts: tf.Tensor) -> tf.RaggedTensor:
        """[texts] -> [texts, (ids)], by TensorFlow's own operations."""

    def _encode(self, s: str) -> Sequence[int]:
        return self.tokenizer.encode(s)

    def _decode(self, ids: Iterable[int]) -> str:
        return self.tokenizer.decode(ids)

    @tf.autograph.experimental.do_not_convert
    def _encode_tf(self, s: tf.Tensor | tf.RaggedTensor) -> tf.Tensor | tf.RaggedTensor:
        """[...] texts to [..., (ids)]."""
        if isinstance(s, tf.RaggedTensor):
            return s.with_flat_values(self._encode_tf(s.flat_values))
        if s.shape.rank == 0:
            return self._encode_tf(s[None]).values
        if s.shape.rank > 1:
            return self._encode_tf(tf.RaggedTensor.from_tensor(s, ragged_rank=s.shape.rank - 1))
        return self._encode_texts(s) if self.has_state else self._encode_graph(s)

    def decode_tf(self, ids: tf.Tensor) -> tf.Tensor:
        """The bytes of ids up to the first end token; SeqIO's own would pad with text behind it."""
        is_end = tf.cast(ids == self.eos_id, tf.int32)
        return self._decode_tf(tf.where(tf.cumsum(is_end, axis=-1) > 0, self.eos_id, ids))

    def __getstate__(self) -> dict[str, str]:
        return {"path": self.path}

    def __setstate__(self, state: dict[str, str]) -> None:
        self.__init__(state["path"])  # type: ignore[misc]

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and self.path == other.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.path!r})"


def of_texts(words: tf.RaggedTensor, splits: tf.Tensor) -> tf.RaggedTensor:
    """[words, (ids)] and where texts begin among the words: [texts, (ids)]. Without the checks of
    `merge_dims`, which would make a graph one with a state.
    """
    return tf.RaggedTensor.from_row_splits(
        words.values, tf.gather(words.row_splits, splits), validate=False
    )
