"""Where the vocabulary of a folder is and what it is made of, before anything of it is read."""

import hashlib

from etils import epath

from t5x_lite.text.byte_pair import MERGES_FILE, PIECES_FILE
from t5x_lite.text.huggingface_files import CONFIG, SENTENCEPIECE, SPECIAL, TOKENIZER
from t5x_lite.text.sentencepiece_tokenizer import SENTENCEPIECE_FILE
from t5x_lite.text.vocabulary_file import VOCABULARY_FILE
from t5x_lite.text.word_piece import WORD_PIECES_FILE

_NAMING = (SENTENCEPIECE_FILE, SENTENCEPIECE, TOKENIZER, PIECES_FILE, WORD_PIECES_FILE)
_ALL = (*_NAMING, MERGES_FILE, VOCABULARY_FILE, CONFIG, SPECIAL)


def naming_file(folder: epath.PathLike) -> epath.Path | None:
    """The file by which `tokenizer.named_tokenizer` finds the vocabulary of a folder, a
    SentencePiece model if there is one; None where there is none, as in one of bytes.
    """
    paths = (epath.Path(folder) / name for name in _NAMING)
    return next((path for path in paths if path.is_file()), None)


def digest(path: epath.PathLike) -> str:
    """The SHA-256 of a vocabulary, wherever it lies: of a model's file, or of all files that are
    read where a folder is named, or a JSON file in one.
    """
    path = epath.Path(path)
    if not path.is_dir() and path.suffix != ".json" and path.name != WORD_PIECES_FILE:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    folder, found = path if path.is_dir() else path.parent, hashlib.sha256()
    for name in _ALL:
        if (folder / name).is_file():
            found.update(name.encode() + (folder / name).read_bytes())
    return found.hexdigest()
