"""A vocabulary is found and compared before it is read."""

import pytest

from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.tokenizer import named_tokenizer, what_decides_ids
from t5x_lite.text.vocabulary_paths import digest, naming_file


def write(folder, files):
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.fixture
def folders(byte_pair, word_pieces, vocabulary_path, tmp_path):
    """Of every kind, ours and Hugging Face's, whole and with the newest or older files alone."""
    t5 = SentencePieceTokenizer(vocabulary_path.read_bytes(), 100)
    found = {}
    for tokenizer in (t5, byte_pair, word_pieces(cased=True)):
        theirs = huggingface_files(tokenizer)
        newest = {"tokenizer.json": theirs["tokenizer.json"]}
        older = {name: theirs[name] for name in theirs.keys() - newest.keys()}
        for files in (tokenizer.files(), theirs, newest, older):
            found[write(tmp_path / str(len(found)), files)] = tokenizer
    return found


def test_the_file_names_what_the_folder_holds(folders):
    for folder, tokenizer in folders.items():
        found = named_tokenizer(naming_file(folder))
        assert what_decides_ids(found.files()) == what_decides_ids(tokenizer.files()), folder


def test_the_same_pieces_under_other_rules_give_other_ids(word_pieces):
    uncased, cased = (word_pieces(cased=cased).files() for cased in (False, True))
    assert uncased["vocab.txt"] == cased["vocab.txt"]
    assert what_decides_ids(uncased) != what_decides_ids(cased)


def test_a_folder_without_a_file_has_none(tmp_path):
    """As ByT5's, whose vocabulary is the bytes."""
    assert naming_file(tmp_path / "nothing") is None
    assert naming_file(write(tmp_path / "bytes", ByteTokenizer().files())) is None


def test_a_digest_is_that_of_all_that_is_read(folders, vocabulary_path, tmp_path):
    """The same elsewhere, and another after any change; a file beside is no part of it."""
    ours = next(folder for folder in folders if (folder / "vocabulary.json").is_file())
    for folder in folders:
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        elsewhere = write(tmp_path / f"copy{folder.name}", files | {"README": b"x"})
        assert digest(elsewhere) == digest(folder)
        for name in files:
            changed = write(tmp_path / f"{folder.name}{name}", files | {name: files[name] + b" "})
            assert digest(changed) != digest(folder)
    assert digest(ours / "vocabulary.json") == digest(ours)
    (tmp_path / "other.model").write_bytes(vocabulary_path.read_bytes())
    assert digest(tmp_path / "other.model") == digest(vocabulary_path)
