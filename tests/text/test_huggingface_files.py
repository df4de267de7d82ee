"""Hugging Face directories: what transformers writes is read, what we write the library reads."""

import json

import pytest
import tokenizers
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from t5x_lite.errors import UserError
from t5x_lite.text.byte_pair import BytePairTokenizer
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.tokenizer import load_tokenizer, named_tokenizer

# Without "<pad>" and the like, which the library looks for in texts and SentencePiece does not.
T5_TEXTS = [
    "",
    " ",
    "the cat sat on a mat",
    "  two  spaces\tand a tab\n",
    "und <extra_id_0> lief <extra_id_99> weg",
    "na\u00efve \u2603 \u2028 \u5b57 \ufb01 \u00a0 \uff21",
]


@pytest.fixture(scope="module")
def t5(vocabulary_path):
    return SentencePieceTokenizer(vocabulary_path.read_bytes(), 100)


def write(folder, files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def only(files, *names):
    return {name: files[name] for name in names}


def library(files):
    return tokenizers.Tokenizer.from_str(files["tokenizer.json"].decode())


@pytest.mark.parametrize(
    "names", [["tokenizer.json"], ["spiece.model"], ["spiece.model", "tokenizer_config.json"]]
)
def test_t5_of_any_age_has_the_same_ids(t5, names, tmp_path):
    """transformers 5 writes tokenizer.json alone, older ones SentencePiece's model."""
    again = load_tokenizer(write(tmp_path, only(huggingface_files(t5), *names)))
    assert (again.num_ids, again.first_sentinel) == (t5.num_ids, t5.first_sentinel)
    for text in [*T5_TEXTS, "</s> <pad> <unk>", "jel<extra_id_3>ly"]:
        assert again.encode(text) == t5.encode(text)
        assert again.decode(again.encode(text)) == t5.decode(t5.encode(text))


@given(text=st.text(max_size=30))
@settings(deadline=None, max_examples=200)
def test_t5s_json_keeps_every_id(t5, text):
    """A vocabulary that went through JSON is the same vocabulary."""
    from t5x_lite.text.unigram_json import json_of_sentencepiece, sentencepiece_of_json

    again = sentencepiece_of_json(json_of_sentencepiece(t5), "given")
    assert again.encode(text) == t5.encode(text)


def test_the_library_reads_t5s_json(t5):
    """End token and sentinels included."""
    theirs = library(huggingface_files(t5))
    assert theirs.get_vocab_size() == t5.num_ids
    for text in T5_TEXTS:
        assert theirs.encode(text).ids == [*t5.encode(text), 1]


def test_the_number_of_sentinels_is_that_of_the_directory(vocabulary_path, tmp_path):
    """T5's 100 are the default only."""
    for number, names in enumerate((["tokenizer.json"], ["spiece.model", "tokenizer_config.json"])):
        ours = SentencePieceTokenizer(vocabulary_path.read_bytes(), 7)
        folder = write(tmp_path / str(number), only(huggingface_files(ours), *names))
        assert load_tokenizer(folder).num_ids == ours.num_ids


def test_sentinels_among_the_pieces_stay_the_last_ids(vocabulary_path, tmp_path):
    """mT5's model holds them."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(vocabulary_path.read_bytes())
    for index in reversed(range(100)):
        proto.pieces.add(piece=f"\u2581<extra_id_{index}>", score=0.0, type=4)
    mt5 = SentencePieceTokenizer(proto.SerializeToString(), 0)
    files = huggingface_files(mt5)
    again = load_tokenizer(write(tmp_path, only(files, "tokenizer.json")))
    text = "the <extra_id_0> cat <extra_id_99>"
    assert again.encode(text) == mt5.encode(text)
    assert [*mt5.encode(text), 1] == library(files).encode(text).ids


def test_a_model_that_json_cannot_say_is_kept_as_it_is(vocabulary_path):
    """Pieces of its own, or spaces that count."""
    own = sentencepiece_model_pb2.ModelProto.FromString(vocabulary_path.read_bytes())
    own.pieces.add(piece="<mine>", score=0.0, type=4)
    spaces = sentencepiece_model_pb2.ModelProto.FromString(vocabulary_path.read_bytes())
    spaces.normalizer_spec.remove_extra_whitespaces = False
    for proto in (own, spaces):
        model = proto.SerializeToString()
        files = huggingface_files(SentencePieceTokenizer(model, 100))
        assert files.keys() == {"spiece.model", "tokenizer_config.json"}
        assert files["spiece.model"] == model


@pytest.mark.parametrize(
    "names",
    [["tokenizer.json"], ["tokenizer.json", "tokenizer_config.json"], ["vocab.json", "merges.txt"]],
)
def test_gpt2_of_any_age_is_the_same(byte_pair, names, tmp_path):
    """Old directories have OpenAI's files, new ones tokenizer.json; both say the end token."""
    folder = write(tmp_path, only(huggingface_files(byte_pair), *names))
    for name in (folder, *(folder / name for name in names[:1])):
        again = named_tokenizer(name)
        assert type(again) is BytePairTokenizer
        assert again.files() == byte_pair.files()


def test_the_library_reads_gpt2s_json(byte_pair, hostile_texts):
    """Sentinels are special tokens to it, with the same ids."""
    ours = BytePairTokenizer(byte_pair.pieces, byte_pair.merges, byte_pair.special, extra_ids=3)
    theirs = library(huggingface_files(ours))
    assert theirs.get_vocab_size() == ours.num_ids
    assert theirs.encode("<extra_id_0><|endoftext|>").ids == [402, 399]
    for text in hostile_texts[:-1]:
        if "<" not in text:
            assert theirs.encode(text).ids == ours.encode(text)
            assert theirs.decode(ours.encode(text)) == text


def test_pairs_and_special_tokens_as_older_versions_wrote_them(byte_pair, tmp_path):
    """Pairs were strings, special tokens had a file, and an object each."""
    files = huggingface_files(byte_pair)
    values = json.loads(files["tokenizer.json"])
    values["model"]["merges"] = [" ".join(pair) for pair in values["model"]["merges"]]
    del values["pre_tokenizer"]["use_regex"]
    end = {"content": "!", "lstrip": False}
    special = {"bos_token": "?", "eos_token": end}
    written = {
        "tokenizer.json": json.dumps(values | {"added_tokens": []}).encode(),
        "special_tokens_map.json": json.dumps(special).encode(),
        "tokenizer_config.json": b'{"eos_token": null}',
    }
    again = load_tokenizer(write(tmp_path, written))
    pieces = again.pieces
    assert (again.special.start, again.special.end) == (pieces["?"], pieces["!"])
    assert again.encode("the cat's") == byte_pair.encode("the cat's")


def test_bytes_need_no_file_but_the_one_that_says_so(tmp_path):
    ours = ByteTokenizer(125)
    again = load_tokenizer(write(tmp_path, huggingface_files(ours)))
    assert again.files() == ours.files()


def change(path, value):
    """A change of a JSON value at a path of names."""

    def made(values):
        *parents, last = path
        inner = values
        for name in parents:
            inner = inner[name]
        inner[last] = value
        return values

    return made


OTHERS = {
    "another model": ("bpe", change(["model", "type"], "WordLevel"), "a model of type 'WordLevel'"),
    "no model": ("bpe", change(["model"], None), "a model of type None"),
    "unknown token": ("bpe", change(["model", "unk_token"], "!"), "its unk_token is another one"),
    "prefix": ("bpe", change(["pre_tokenizer", "add_prefix_space"], True), "pre_tokenizer"),
    "split": ("bpe", change(["pre_tokenizer"], {"type": "Split"}), "pre_tokenizer"),
    "lower case": ("bpe", change(["normalizer"], {"type": "Lowercase"}), "without a normalizer"),
    "merges": ("bpe", change(["model", "merges"], [["a"]]), "vocab or merges are damaged"),
    "vocab": ("bpe", change(["model", "vocab"], 3), "vocab or merges are damaged"),
    "ids": ("bpe", change(["model", "vocab", "!"], None), "'!' has the id None"),
    "added text": (
        "bpe",
        change(["added_tokens"], [{"id": 400, "content": "USER", "special": False}]),
        "'USER' was added to the vocabulary as text",
    ),
    "added": ("bpe", change(["added_tokens"], [{"id": 400}]), "added_tokens are damaged"),
    "words": ("t5", change(["pre_tokenizer"], {"type": "Whitespace"}), "its pre_tokenizer"),
    "no words": ("t5", change(["pre_tokenizer"], None), "its pre_tokenizer"),
    "no steps": ("t5", change(["pre_tokenizer", "pretokenizers"], 3), "its pre_tokenizer"),
    "rules": ("t5", change(["normalizer"], {"type": "Lowercase"}), "its normalizer"),
    "table": ("t5", change(["normalizer", "precompiled_charsmap"], "?"), "charsmap is damaged"),
    "pieces": ("t5", change(["model", "vocab"], ["a"]), "its vocab is not pieces with scores"),
    "no text": ("t5", change(["model", "vocab", 5], ["\ud800", -1]), "is not pieces with scores"),
    "none": ("t5", change(["model", "vocab"], []), "its unk_id is 2, and it has 0 pieces"),
    "special ids": ("t5", change(["model", "unk_id"], 5), "needed are 0, 1, 2"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_would_give_other_ids_is_refused(name, t5, byte_pair, tmp_path):
    """A vocabulary read wrongly trains without any error."""
    kind, made, message = OTHERS[name]
    files = huggingface_files({"t5": t5, "bpe": byte_pair}[kind])
    values = made(json.loads(files["tokenizer.json"]))
    write(tmp_path, {"tokenizer.json": json.dumps(values).encode()})
    with pytest.raises(UserError, match=message):
        load_tokenizer(tmp_path)


def test_an_end_token_that_has_no_id_is_named(byte_pair, tmp_path):
    files = huggingface_files(byte_pair) | {"tokenizer_config.json": b'{"eos_token": "</s>"}'}
    with pytest.raises(UserError, match="its eos_token '</s>' has no id"):
        load_tokenizer(write(tmp_path, files))


@pytest.mark.test_data
def test_the_published_vocabularies(test_data_dir, tmp_path):
    """T5's through JSON, on real text and letters of most scripts; GPT-2's of OpenAI's files."""
    t5 = named_tokenizer(test_data_dir / "vocab" / "t5_sentencepiece.model")
    files = huggingface_files(t5)
    again = load_tokenizer(write(tmp_path, only(files, "tokenizer.json")))
    theirs = library(files)
    text = (test_data_dir / "text" / "grimm" / "tales.txt").read_text()[:100_000]
    scripts = "".join(chr(i) for i in range(0xA0, 0x3000) if chr(i).isalpha())
    for line in [*text.splitlines(), scripts, *T5_TEXTS]:
        assert again.encode(line) == t5.encode(line)
    for line in text.splitlines():
        assert theirs.encode(line, add_special_tokens=False).ids == t5.encode(line)
    gpt2 = named_tokenizer(test_data_dir / "vocab" / "gpt2")
    assert (gpt2.num_ids, gpt2.special.start, gpt2.special.end) == (50_257, 50_256, 50_256)
