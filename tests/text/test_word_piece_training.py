"""A trained WordPiece: BERT's order of ids, the same files every time, cased and uncased."""

import pytest

from t5x_lite.errors import UserError
from t5x_lite.text.tokenizer import load_tokenizer
from t5x_lite.text.word_piece import WordPieceTokenizer
from t5x_lite.text.word_piece_training import train_word_piece

NAMES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def train(sources, folder, **settings):
    settings = {"vocab_size": 130, "report_progress": lambda _: None} | settings
    return train_word_piece(sources, folder, **settings)


@pytest.mark.parametrize("cased", [False, True])
def test_ids_are_in_berts_order(sentences, tmp_path, cased):
    """Special ones, characters that begin words, those that continue some, and what was merged."""
    train({"words": sentences}, tmp_path, cased=cased)
    tokenizer = load_tokenizer(tmp_path)
    assert type(tokenizer) is WordPieceTokenizer and tokenizer.num_ids == 130
    assert tokenizer.names[:5] == NAMES and tokenizer.special.mask == 4
    assert (tokenizer.rules.lower_case, tokenizer.rules.strip_accents) == (not cased, not cased)
    characters = [name for name in tokenizer.names[5:] if len(name.removeprefix("##")) == 1]
    assert characters == tokenizer.names[5 : 5 + len(characters)]
    assert characters == sorted(characters, key=lambda name: (name[:2] == "##", name))
    assert ("E" in characters) == cased
    decoded = tokenizer.decode(tokenizer.encode("English cat"))
    assert decoded == ("English cat" if cased else "english cat")


def test_the_same_text_gives_the_same_files(sentences, tmp_path):
    """The library by itself numbers what continues words by chance."""
    found = []
    for name in "abc":
        train({"words": sentences}, tmp_path / name, max_lines_per_source=150)
        found.append({file.name: file.read_bytes() for file in (tmp_path / name).iterdir()})
    assert found[0] == found[1] == found[2]
    assert found[0].keys() == {"vocabulary.json", "vocab.txt"}


def test_the_report_compares_with_what_the_rules_leave(sentences, tmp_path):
    """Capitals that an uncased vocabulary drops are no loss."""
    report = train({"words": [each.upper() for each in sentences]}, tmp_path)
    assert report.whole.lossless_lines == report.whole.lines == len(sentences)
    assert (report.whole.lost_characters, report.whole.unknown_fraction) == ("", 0)
    assert "130, padded to a multiple of 128 the model's vocab_size is 256" in str(report)


def test_rare_characters_are_unknown(tmp_path):
    """A thousand are kept, as in BERT's vocabularies, so that words have pieces as well."""
    text = [f"\u05d0\u05d1 {chr(0x4E00 + i)}" for i in range(1100)]
    train({"words": text}, tmp_path, vocab_size=1007)
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.special.unknown in tokenizer.encode(text[-1])
    assert tokenizer.encode("\u05d0\u05d1") == [tokenizer.pieces["\u05d0\u05d1"]]


def test_a_size_the_text_cannot_give_says_so(tmp_path):
    with pytest.raises(UserError, match=r"1 lines have pairs for \d+ pieces, not for 5,000: ask"):
        train({"words": ["the cat"]}, tmp_path, vocab_size=5000)
    with pytest.raises(UserError, match=r"10 pieces are too few .* more than 14, \[PAD\], \[UNK"):
        train({"words": ["the cat"]}, tmp_path, vocab_size=10)
    with pytest.raises(UserError, match="No text .*nothing"):
        train({"nothing": []}, tmp_path)
