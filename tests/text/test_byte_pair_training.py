"""A trained byte-level BPE: GPT-2's order of ids, the same files every time, nothing lost."""

import pytest

from t5x_lite.errors import UserError
from t5x_lite.text.byte_pair import BYTE_CHARACTERS, BytePairTokenizer
from t5x_lite.text.byte_pair_training import train_byte_pair
from t5x_lite.text.tokenizer import load_tokenizer


def train(sources, folder, **settings):
    settings = {"vocab_size": 300, "report_progress": lambda _: None} | settings
    return train_byte_pair(sources, folder, **settings)


def test_ids_are_in_gpt2s_order(sentences, tmp_path):
    """Printable bytes, the other bytes, what was merged first, and last the end of a text."""
    train({"words": sentences}, tmp_path)
    tokenizer = load_tokenizer(tmp_path)
    assert type(tokenizer) is BytePairTokenizer
    pieces = list(tokenizer.pieces)
    assert pieces[:256] == sorted(BYTE_CHARACTERS) and pieces[0] == "!"
    assert pieces[256:-1] == [left + right for left, right in tokenizer.merges]
    assert pieces[-1] == "<|endoftext|>" and len(pieces) == 300
    special = tokenizer.special
    assert (special.start, special.end, special.unknown) == (299, 299, None)


def test_the_same_text_gives_the_same_files(sentences, tmp_path):
    """Also where lines are sampled, and where pairs are equally frequent."""
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        train({"words": sentences}, folder, vocab_size=400, max_lines_per_source=150)
    first, second = ({f.name: f.read_bytes() for f in folder.iterdir()} for folder in folders)
    assert first == second and first.keys() == {"vocabulary.json", "vocab.json", "merges.txt"}


def test_white_space_and_every_byte_come_back(sentences, tmp_path):
    """Nothing is unknown and nothing is lost, whatever was in the text."""
    texts = [f"  {sentence}\n\n\n\t\u2603  x\r\n" for sentence in sentences]
    report = train({"words": texts}, tmp_path)
    assert report.whole.lossless_lines == report.whole.lines
    assert (report.whole.lost_characters, report.whole.unknown_fraction) == ("", 0)
    assert "300, padded to a multiple of 128 the model's vocab_size is 384" in str(report)
    assert "come back exactly\n" in str(report)
    tokenizer = load_tokenizer(tmp_path)
    assert "\u010a\u010a" in tokenizer.pieces, "empty lines are trained on with the line before"
    assert tokenizer.decode(tokenizer.encode("\u5b57\x00  \n")) == "\u5b57\x00  \n"


def test_lines_are_counted_with_the_empty_ones_behind_them(tmp_path):
    """A source is limited as for SentencePiece, by lines."""
    source = {"text": ["a b\n\nc d\n", "\n", "e f"] * 30}
    report = train(source, tmp_path, vocab_size=258, max_lines_per_source=50)
    assert report.lines_per_source == {"text": 50}
    assert train(source, tmp_path, vocab_size=258).lines_per_source == {"text": 90}


def test_a_size_the_text_cannot_give_says_so(tmp_path):
    with pytest.raises(UserError, match=r"1 lines have pairs for 26\d pieces, not for 5,000: ask"):
        train({"words": ["the cat"]}, tmp_path, vocab_size=5000)
    with pytest.raises(UserError, match="256 pieces are too few .* more than 256"):
        train({"words": ["the cat"]}, tmp_path, vocab_size=256)
    with pytest.raises(UserError, match="No text .*nothing"):
        train({"nothing": []}, tmp_path)
