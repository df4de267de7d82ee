"""Which vocabulary a process uses. No TensorFlow here.

A task registers long before anyone says which vocabulary a run uses, and all tasks of a mixture
must have the same one. So a process has one default vocabulary: the command line sets its path,
tasks name it without knowing the path (`seqio_vocabulary.DefaultVocabulary`).
"""

from etils import epath

from t5x_lite.errors import UserError

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
            "(t5x_lite inspect and cache: --vocabulary=...); `t5x_lite vocab` builds one."
        )
    if not _path.exists():
        raise UserError(
            f"The vocabulary {_path} does not exist. Name an existing SentencePiece model with "
            "--gin.VOCABULARY=/path/to/vocabulary.model; `t5x_lite vocab` builds one."
        )
    return _path
