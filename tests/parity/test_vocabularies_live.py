"""transformers and t5x_lite read the vocabularies that either writes, id for id, live."""

import shutil

import pytest

from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.tokenizer import load_tokenizer, named_tokenizer
from t5x_lite.text.trimming import characters, trim

pytestmark = [
    pytest.mark.parity,
    pytest.mark.test_data,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")

TEXTS = [
    "",
    "translate English to German: That is good.",
    "   three, two  and\ttabs\n\n\n  at  the end   ",
    "I'll say they've 'said it's fine'S 's ''s",
    "\U0001f642 \U0001f469\u200d\U0001f469\u200d\U0001f467 e\u0301 \xe9 12 345\u2154 \u5b57",
    "und <extra_id_0> lief <extra_id_99> weg",
]


@pytest.fixture(params=["t5", "gpt2"])
def published(request, test_data_dir, tmp_path_factory):
    """A published vocabulary, ours and theirs."""
    folder = test_data_dir / "vocab"
    if request.param == "gpt2":
        theirs = transformers.GPT2Tokenizer.from_pretrained(folder / "gpt2")
        return named_tokenizer(folder / "gpt2"), theirs
    older = tmp_path_factory.mktemp("t5")
    shutil.copy(folder / "t5_sentencepiece.model", older / "spiece.model")
    return load_tokenizer(older), transformers.T5Tokenizer.from_pretrained(older)


def assert_same(ours, theirs):
    for text in TEXTS:
        if ours.num_ids > 50_000 and "<" in text:
            continue  # GPT-2 has no sentinels
        ids = ours.encode(text)
        assert theirs(text, add_special_tokens=False).input_ids == ids, text
    assert len(theirs) == ours.num_ids
    assert theirs.eos_token_id == ours.special.end


def test_ours_reads_what_they_write(published, tmp_path):
    """tokenizer.json and tokenizer_config.json."""
    ours, theirs = published
    theirs.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert_same(again, theirs)
    assert (again.num_ids, again.special) == (ours.num_ids, ours.special)
    for text in TEXTS:
        assert again.encode(text) == ours.encode(text)


@pytest.mark.parametrize("json", [True, False], ids=["json", "older files"])
def test_they_read_what_we_write(published, tmp_path, json):
    """By the class that the directory names; the older files alone as well."""
    ours, _ = published
    for name, content in huggingface_files(ours).items():
        if json or name != "tokenizer.json":
            (tmp_path / name).write_bytes(content)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert_same(ours, theirs)
    sentence = TEXTS[1]
    assert theirs.decode(ours.encode(sentence)) == sentence == ours.decode(ours.encode(sentence))


def test_they_read_what_is_trimmed(published, tmp_path):
    """Texts of the corpus and others, all of whose characters have pieces, are cut alike."""
    ours, _ = published
    used = {i for text in TEXTS[:3] for i in ours.encode(text)}
    smaller, kept = trim(ours, used | characters(ours))
    for name, content in huggingface_files(smaller).items():
        (tmp_path / name).write_bytes(content)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    assert len(theirs) == smaller.num_ids < ours.num_ids
    for text in (*TEXTS[:3], "Something else: what nobody wrote, 1984."):
        assert theirs(text, add_special_tokens=False).input_ids == smaller.encode(text), text
    assert [kept[i] for i in theirs(TEXTS[1], add_special_tokens=False).input_ids] == ours.encode(
        TEXTS[1]
    )


def test_bytes(tmp_path):
    for name, content in huggingface_files(named_tokenizer("bytes")).items():
        (tmp_path / name).write_bytes(content)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path)
    for text in TEXTS[:-1]:
        expected = named_tokenizer("bytes").encode(text)
        assert theirs(text, add_special_tokens=False).input_ids == expected
