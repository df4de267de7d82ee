"""WordPiece in Hugging Face directories: theirs are read, and ours are read by the library."""

import json

import pytest
import tokenizers

from t5x_lite.errors import UserError
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.template import TWO_ENDS
from t5x_lite.text.tokenizer import load_tokenizer
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules

ONLY_ACCENTS = WordRules(lower_case=False, strip_accents=True, split_chinese=False)


@pytest.fixture(params=["uncased", "cased", "rules"])
def tokenizer(request, word_pieces):
    made = word_pieces(cased=request.param == "cased")
    if request.param == "rules":
        return WordPieceTokenizer(made.pieces, made.special, ONLY_ACCENTS, TWO_ENDS)
    return made


def write(folder, files):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    "names",
    [
        ["tokenizer.json"],
        ["tokenizer.json", "tokenizer_config.json", "vocab.txt"],
        ["vocab.txt", "tokenizer_config.json"],
    ],
)
def test_of_any_age_it_has_the_same_ids(tokenizer, names, tmp_path, hostile_words):
    """transformers 5 writes tokenizer.json, older ones a piece a line."""
    files = huggingface_files(tokenizer)
    again = load_tokenizer(write(tmp_path, {name: files[name] for name in names}))
    assert (again.special, again.rules) == (tokenizer.special, tokenizer.rules)
    if "tokenizer.json" in names:
        assert again.files() == tokenizer.files()
    for text in hostile_words:
        assert again.encode(text) == tokenizer.encode(text)


def test_the_library_reads_our_json(tokenizer, hostile_words):
    """Special tokens and types of a pair included; only special tokens in a text differ."""
    theirs = tokenizers.Tokenizer.from_str(huggingface_files(tokenizer)["tokenizer.json"].decode())
    assert theirs.get_vocab() == tokenizer.pieces
    assert theirs.encode("[MASK]", add_special_tokens=False).ids == [tokenizer.special.mask]
    for text in hostile_words[:-1]:
        if "[" in text or not text.isprintable():
            continue
        ids = tokenizer.encode(text)
        assert theirs.encode(text, add_special_tokens=False).ids == ids
        for texts in ([text], [text, "cat"]):
            found = theirs.encode(*texts)
            framed = tokenizer.template.frame(tokenizer.special, *map(tokenizer.encode, texts))
            assert (found.ids, found.type_ids) == framed
        assert theirs.decode(ids, skip_special_tokens=False) == tokenizer.decode(ids)


def test_pieces_alone_say_whether_capitals_count(word_pieces, tmp_path):
    """As in the directory of bert-base-cased of the first years, which had no other file."""
    content = huggingface_files(word_pieces(cased=True))["vocab.txt"].decode()
    for text, rules in (
        (content, WordRules(lower_case=False, strip_accents=False)),
        ("\n".join(p for p in content.split("\n") if p == p.lower() or p[0] == "["), WordRules()),
    ):
        (tmp_path / "vocab.txt").write_text(text)
        assert load_tokenizer(tmp_path).rules == rules


def test_special_tokens_are_those_that_the_directory_names(word_pieces, tmp_path):
    """An older file has them, each a token or an object; without a mask there is none."""
    files = huggingface_files(word_pieces(cased=False))
    lines = files["vocab.txt"].replace(b"[CLS]", b"<begin>").replace(b"[MASK]", b"[MAP]")
    special = {"cls_token": {"content": "<begin>", "lstrip": False}, "sep_token": "[SEP]"}
    write(tmp_path, {"vocab.txt": lines, "special_tokens_map.json": json.dumps(special).encode()})
    found = load_tokenizer(tmp_path).special
    assert (found.start, found.end, found.mask) == (2, 3, None)
    (tmp_path / "special_tokens_map.json").write_text('{"cls_token": "[CLASS]"}')
    with pytest.raises(UserError, match=r"its cls_token '\[CLASS\]' has no id"):
        load_tokenizer(tmp_path)
    (tmp_path / "special_tokens_map.json").write_text('{"cls_token": 3}')
    with pytest.raises(UserError, match="cls_token is 3; needed is a token"):
        load_tokenizer(tmp_path)


OTHERS = {
    "prefix": (["model", "continuing_subword_prefix"], "@@", "continuing_subword_prefix '@@' is"),
    "longest": (["model", "max_input_chars_per_word"], 50, "max_input_chars_per_word 50 is"),
    "words": (["pre_tokenizer"], {"type": "Whitespace"}, "pre_tokenizer .* is another one"),
    "vocab": (["model", "vocab"], [], r"its vocab is '\[\]'"),
    "text": (["normalizer", "type"], "NFC", "changes text in another way than BERT's"),
    "control": (["normalizer", "clean_text"], False, "needed is BertNormalizer with clean_text"),
    "switch": (["normalizer", "lowercase"], "yes", "its lowercase is 'yes'; needed is true or"),
    "added": (["added_tokens", 0, "special"], False, "was added to the vocabulary as text"),
    "around": (["post_processor", "type"], "Other", "its post_processor is of type 'Other'"),
    "token": (["post_processor", "single", 0, "SpecialToken", "id"], "[X]", "is damaged"),
    "role": (
        ["post_processor", "special_tokens", "[CLS]", "ids"],
        [4],
        r"it adds '\[CLS\]'; needed are tokens that start or end texts",
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_would_give_other_ids_is_refused(name, word_pieces, tmp_path):
    """A vocabulary read wrongly trains without any error."""
    (*parents, last), value, message = OTHERS[name]
    values = json.loads(huggingface_files(word_pieces(cased=False))["tokenizer.json"])
    inner = values
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    (tmp_path / "tokenizer.json").write_text(json.dumps(values))
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path)


def test_older_rules_that_are_others_are_refused(word_pieces, tmp_path):
    files = huggingface_files(word_pieces(cased=False))
    write(tmp_path, {"vocab.txt": files["vocab.txt"]})
    for values, message in (
        ({"do_basic_tokenize": False}, "has do_basic_tokenize=False; needed is True"),
        ({"never_split": ["cat"]}, r"has never_split=\['cat'\]; needed is None"),
        ({"do_lower_case": 1}, "its do_lower_case is 1; needed is true or false"),
    ):
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(values))
        with pytest.raises(UserError, match=message):
            load_tokenizer(tmp_path)


def test_older_post_processors_are_read(word_pieces, tmp_path):
    """A kind of its own, and none at all, as converters left it."""
    values = json.loads(huggingface_files(word_pieces(cased=False))["tokenizer.json"])
    expected = load_tokenizer(write(tmp_path, {"tokenizer.json": json.dumps(values).encode()}))
    for older in ({"type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2]}, None):
        content = json.dumps(values | {"post_processor": older}).encode()
        again = load_tokenizer(write(tmp_path, {"tokenizer.json": content}))
        assert again.template == expected.template
