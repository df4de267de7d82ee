"""A vocabulary that is no whole SentencePiece model is refused wherever it is read."""

import pytest
import seqio
from sentencepiece import sentencepiece_model_pb2

from t5x_lite.data import checks
from t5x_lite.errors import UserError
from t5x_lite.text.default_vocabulary import set_default_vocabulary
from t5x_lite.text.sentencepiece_files import read_sentencepiece
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary
from t5x_lite.text.tokenizer import named_tokenizer

LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 791656\n"
BAD = {
    "empty": (lambda model: b"", "but empty"),
    "text": (lambda model: b"the cat\n", "but text"),
    "page": (lambda model: b"<!DOCTYPE html><html>", "but a page of the web"),
    "pointer": (lambda model: LFS, "git lfs pull"),
    "json": (lambda model: b'{"error": 404}', "but JSON"),
    "zip": (lambda model: b"PK\x03\x04" + bytes(40), "but a zip archive"),
    "half": (lambda model: model[: len(model) // 2], "not a SentencePiece model"),
    "a byte less": (lambda model: model[:-1], "not a SentencePiece model"),
    "piece": (
        lambda model: model.replace(b"<unk>", b"<un\xff>"),
        "but damaged, cut off or of another kind",
    ),
    "bytes": (lambda model: bytes(range(1, 256)), "but damaged, cut off or of another kind"),
}


@pytest.fixture(params=BAD)
def bad(request, vocabulary_path, tmp_path):
    """A file, and what has to be said of it."""
    make, message = BAD[request.param]
    path = tmp_path / "bad.model"
    path.write_bytes(make(vocabulary_path.read_bytes()))
    return path, message


def test_it_is_said_what_the_file_is_instead(bad):
    """By every way in: the tokenizer of inference and both of SeqIO."""
    path, message = bad
    set_default_vocabulary(path)
    for read in (read_sentencepiece, named_tokenizer, lambda _: DefaultVocabulary().vocab_size):
        with pytest.raises(UserError, match=message):
            read(path)


def test_a_file_that_ends_between_two_pieces_is_told_from_a_whole_one(vocabulary_path, tmp_path):
    """SentencePiece loads it without a word, with fewer pieces."""
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(vocabulary_path.read_bytes())
    beginning = sentencepiece_model_pb2.ModelProto(pieces=proto.pieces[:10])
    (tmp_path / "x.model").write_bytes(beginning.SerializeToString())
    with pytest.raises(UserError, match="but its beginning"):
        read_sentencepiece(tmp_path / "x.model")


def test_a_folder_is_no_model(tmp_path):
    with pytest.raises(UserError, match="is a folder; needed is a file"):
        read_sentencepiece(tmp_path)


def test_a_whole_one_is_read(vocabulary_path):
    assert read_sentencepiece(vocabulary_path) == vocabulary_path.read_bytes()


def test_a_users_own_vocabulary_is_looked_at_too(tmp_path):
    """SentencePiece's RuntimeError names a line of its own code."""
    (tmp_path / "own.model").write_bytes(b"")
    vocabulary = seqio.SentencePieceVocabulary(str(tmp_path / "own.model"))
    name = "of_a_broken_vocabulary"
    source = seqio.FunctionDataSource(lambda split, shuffle_files: None, splits=["train"])
    features = {"targets": seqio.Feature(vocabulary)}
    seqio.TaskRegistry.add(name, source, preprocessors=[], output_features=features)
    try:
        with pytest.raises(UserError, match="own.model is not a SentencePiece model, but empty"):
            checks.check_vocabulary(name, 128)
    finally:
        seqio.TaskRegistry.remove(name)
