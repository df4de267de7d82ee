"""WordPiece against BERT's own algorithm, written down slowly; folders, and bad ones."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.tokenizer import Tokenizer, load_tokenizer, named_tokenizer
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules, parse_lines


@pytest.fixture(scope="module", params=[False, True], ids=["uncased", "cased"])
def tokenizer(request, word_pieces):
    return word_pieces(cased=request.param)


def test_a_text_by_hand(word_pieces):
    """Capitals and accents go or count, a mark is a word, and a word without pieces is unknown."""
    text = "The cats' NA\u00cfVE\u5b57 \u20dd."
    for cased, expected in (
        (False, "the cat ##s ' na ##i ##v ##e \u5b57 [UNK] ."),
        (True, "The cat ##s ' [UNK] \u5b57 [UNK] ."),
    ):
        made = word_pieces(cased=cased)
        assert [made.names[i] for i in made.encode(text)] == expected.split()


@given(data=st.data())
@settings(deadline=None, max_examples=300)
def test_any_text_has_the_ids_of_berts_code(tokenizer, settled_text, slow_word_pieces, data):
    """Characters that are known for long; of later ones the library knows less than Python."""
    text = data.draw(settled_text)
    assert tokenizer.encode(text) == slow_word_pieces(tokenizer, text)


def test_words_are_cut_at_a_hundred_characters(tokenizer):
    """Characters, not bytes: one more and the word is unknown."""
    for character in ("c", "\U0001f642"):
        word = character * 100
        assert (len(tokenizer.encode(word)) == 100) == (character == "c")
        assert tokenizer.encode(word + "c") == [1]


def test_special_tokens_are_no_text(tokenizer):
    """As in BERT's own code; what is no character is left out."""
    assert [tokenizer.names[i] for i in tokenizer.encode("[mask]")] == ["[", "mask", "]"]
    assert tokenizer.encode("c\ud800at\udcff\x00\u200b") == tokenizer.encode("cat")


def test_decoding_joins_what_was_a_word(tokenizer):
    """Up to the first end; around it special ids and those that are no piece are left out."""
    ids = tokenizer.encode("the cats.")
    assert tokenizer.decode([2, *ids, 4, 0, 9999, 3, *ids]) == "the cats."
    assert tokenizer.decode([1]) == "[UNK]" and tokenizer.decode([]) == ""


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_folder_gives_the_tokenizer_back(tokenizer, tmp_path, hostile_words):
    folder = write(tmp_path, tokenizer.files())
    for name in (folder, folder / "vocabulary.json", folder / "vocab.txt"):
        again = named_tokenizer(name)
        assert isinstance(again, Tokenizer) and type(again) is WordPieceTokenizer
        assert again.files() == tokenizer.files()
    for text in hostile_words:
        assert again.encode(text) == tokenizer.encode(text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pieces": {"a": 0, "b": 2}}, "ids of the 2 pieces are not 0, 1, 2"),
        ({"pieces": {"a": "0"}}, "the piece 'a' has the id '0'"),
        ({"special": SpecialTokens(unknown=None)}, "has no unknown token"),
        ({"special": SpecialTokens(mask=7)}, "the mask token is 7, but there are 5 pieces"),
    ],
)
def test_what_is_no_vocabulary_is_refused(change, message):
    given_ = {"pieces": dict(zip("abcde", range(5))), "special": SpecialTokens()}
    with pytest.raises(UserError, match=message):
        WordPieceTokenizer(**(given_ | change))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("vocab.txt", "a\nb\na\n", "line 3: 'a' is on line 1 as well"),
        ("vocabulary.json", '{"kind": "wordpiece", "special": {}}', "special={}; needed is"),
        ("rules", '"rules": {"lower_case": 1}', "rules={'lower_case': 1}; needed is an object"),
        ("template", '"template": {"single": "A"}', r"template={'single': 'A'}; needed is"),
    ],
)
def test_a_damaged_folder_is_refused(word_pieces, tmp_path, name, content, message):
    files = word_pieces(cased=True).files()
    if not content.startswith('"'):
        files[name] = content.encode()
    else:
        begin = files["vocabulary.json"].index(f'"{name}"'.encode())
        rest = files["vocabulary.json"][begin:]
        end = begin + rest.index(b"}") + 1
        whole = files["vocabulary.json"]
        files["vocabulary.json"] = whole[:begin] + content.encode() + whole[end:]
    with pytest.raises(UserError, match=message):
        load_tokenizer(write(tmp_path, files))


def test_lines_of_any_system():
    assert parse_lines("a\r\nb\r\n\n", "it") == {"a": 0, "b": 1, "": 2}


@pytest.mark.test_data
def test_the_published_vocabulary_on_real_text(test_data_dir, slow_word_pieces):
    """BERT's ids for tales; a file of pieces alone says that it is an uncased one."""
    bert = named_tokenizer(test_data_dir / "vocab" / "bert_uncased_vocab.txt")
    assert (bert.num_ids, bert.rules) == (30_522, WordRules())
    assert bert.special == SpecialTokens(padding=0, unknown=100, start=101, end=102, mask=103)
    text = (test_data_dir / "text" / "grimm" / "tales.txt").read_text()[:50_000]
    for line in text.splitlines():
        assert bert.encode(line) == slow_word_pieces(bert, line)
