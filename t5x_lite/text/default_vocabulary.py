"""Which vocabulary a process uses, and how many ids come of it. No TensorFlow here.

A task registers long before anyone says which vocabulary a run uses, and all tasks of a mixture
must have the same one. So a process has one default vocabulary: the command line sets its path,
tasks name it without knowing the path (`seqio_vocabulary.DefaultVocabulary`).
"""

from etils import epath

from t5x_lite.errors import UserError

NUM_SENTINELS = 100
_MULTIPLE = 128

_path: epath.Path | None = None


def set_default_vocabulary(path: epath.PathLike | None) -> None:
    """Makes what is at `path` the vocabulary of every task of this process: a SentencePiece model,
    or what `tokenizer.named_tokenizer` finds there.
    """
    global _path
    _path = None if path is None else epath.Path(path)


def default_vocabulary_path() -> epath.Path:
    """The path given to `set_default_vocabulary`, known to exist."""
    if _path is None:
        raise UserError(
            "No vocabulary was given, and the task needs one. Name a SentencePiece model, "
            "or a folder with a byte-level BPE: --gin.VOCABULARY=/path/to/vocabulary.model "
            "(t5x_lite inspect: --vocabulary=...); `t5x_lite vocab` builds one."
        )
    if not _path.exists():
        raise UserError(
            f"The vocabulary {_path} does not exist. Name an existing SentencePiece model with "
            "--gin.VOCABULARY=/path/to/vocabulary.model; `t5x_lite vocab` builds one."
        )
    return _path


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
