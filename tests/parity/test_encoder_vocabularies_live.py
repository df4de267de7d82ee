"""transformers and t5x_lite read the encoders' vocabularies that either writes, id for id, live."""

import json
import shutil

import pytest

from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.masked_text import encode_masked
from t5x_lite.text.tokenizer import load_tokenizer

pytestmark = [
    pytest.mark.parity,
    pytest.mark.test_data,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),
]
REASON = "is not installed: `make parity` installs the extra 'parity'"
transformers = pytest.importorskip("transformers", reason=f"transformers {REASON}")

TEXTS = [
    "",
    "That is good.",
    "   three, two  and\ttabs\n\n\n  at  the end   ",
    "I'll say they've 'said it's fine'S 's ''s, ``quoted''",
    "\U0001f642 \U0001f469\u200d\U0001f469\u200d\U0001f467 e\u0301 \xe9 12,345\u2154 \u5b57\u5b58",
    "NA\u00cfVE \u0130stanbul \u1e9e \ufb01 \uff21\uff0c a\u200bb\u00ad \u20ac5#cat##ing \ufeff",
    "x" * 100 + " " + "x" * 101 + " \u0928\u092e\u0938\u094d\u0924\u0947 \u05e9\u05b0 \u0e01\u0e34",
]


def bert(folder, data, **config):
    shutil.copy(data / "vocab" / "bert_uncased_vocab.txt", folder / "vocab.txt")
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return transformers.BertTokenizer.from_pretrained(folder)


def roberta(folder, data):
    """GPT-2's pieces under RoBERTa's special tokens, numbered as in its files."""
    pieces = json.loads((data / "vocab" / "gpt2" / "vocab.json").read_text())
    names = ["<s>", "<pad>", "</s>", "<unk>", *pieces, "<mask>"]
    (folder / "vocab.json").write_text(json.dumps({name: i for i, name in enumerate(names)}))
    shutil.copy(data / "vocab" / "gpt2" / "merges.txt", folder)
    return transformers.RobertaTokenizer.from_pretrained(folder)


def sentencepiece(folder, data, cls, *, control, **config):
    """Of a text whose numbers have no commas, which transformers 5 would leave to them; and without
    pieces that somebody defined, of which it makes tokens that are no text.
    """
    import sentencepiece

    special = {"pad_id": -1, "bos_id": -1, "eos_id": -1, "unk_id": 0} | config.pop("special", {})
    sentencepiece.SentencePieceTrainer.Train(
        input=str(data / "text" / "wikitext-2" / "valid.txt"),
        input_sentence_size=1_000,
        model_prefix=str(folder / "spiece"),
        vocab_size=800,
        control_symbols=control,
        minloglevel=2,
        **special,
    )
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return cls.from_pretrained(folder)


def albert(folder, data, **config):
    return sentencepiece(
        folder,
        data,
        transformers.AlbertTokenizer,
        control=["[CLS]", "[SEP]", "[MASK]"],
        special={"pad_id": 0, "unk_id": 1},
        **config,
    )


def xlnet(folder, data, **config):
    control = ["<s>", "</s>", "<cls>", "<sep>", "<pad>", "<mask>", "<eod>", "<eop>"]
    return sentencepiece(folder, data, transformers.XLNetTokenizer, control=control, **config)


MADE = {
    "ALBERT": albert,
    "ALBERT with accents": lambda folder, data: albert(folder, data, keep_accents=True),
    "ALBERT with capitals": lambda folder, data: albert(folder, data, do_lower_case=False),
    "XLNet": xlnet,
    "byte-level BPE": roberta,
    "uncased": lambda folder, data: bert(folder, data, do_lower_case=True),
    # The pieces are BERT's uncased ones, so capitals are unknown and accents are seldom there.
    "cased": lambda folder, data: bert(folder, data, do_lower_case=False),
    "accents": lambda folder, data: bert(folder, data, do_lower_case=True, strip_accents=False),
    "no Chinese": lambda folder, data: bert(folder, data, tokenize_chinese_chars=False),
}


@pytest.fixture(params=MADE)
def both(request, test_data_dir, tmp_path_factory):
    """A directory as older versions wrote it, read by us and by them."""
    folder = tmp_path_factory.mktemp("older")
    theirs = MADE[request.param](folder, test_data_dir)
    return load_tokenizer(folder), theirs


def assert_same(ours, theirs):
    """Texts by themselves and in pairs, types of tokens and special tokens."""
    assert len(theirs) == ours.num_ids
    special = ours.special
    assert (
        theirs.pad_token_id,
        theirs.cls_token_id,
        theirs.sep_token_id,
        theirs.mask_token_id,
    ) == (
        special.padding,
        special.start,
        special.end,
        special.mask,
    )
    for text in TEXTS:
        ids = ours.encode(text)
        assert theirs(text, add_special_tokens=False).input_ids == ids, text
        masked = f"a{theirs.mask_token}b {text}"
        assert theirs(masked, add_special_tokens=False).input_ids == encode_masked(ours, masked)
        for second in (None, TEXTS[1]):
            found = theirs(text, second, return_token_type_ids=True)
            both = (ids,) if second is None else (ids, ours.encode(second))
            framed = ours.template.frame(special, *both)
            assert (found.input_ids, found.token_type_ids) == framed, text


def test_ours_reads_what_they_read(both):
    assert_same(*both)


def test_ours_reads_what_they_write(both, tmp_path):
    """tokenizer.json and tokenizer_config.json."""
    ours, theirs = both
    theirs.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    assert_same(again, theirs)
    assert (again.special, again.template) == (ours.special, ours.template)
    if "sentencepiece.model" not in ours.files():  # which says how it was trained, too
        assert again.files() == ours.files()


@pytest.mark.parametrize("json", [True, False], ids=["json", "older files"])
def test_they_read_what_we_write(both, tmp_path, json):
    """By the class that the directory names; the older files alone as well."""
    ours, _ = both
    for name, content in huggingface_files(ours).items():
        if json or name != "tokenizer.json":
            (tmp_path / name).write_bytes(content)
    assert_same(ours, transformers.AutoTokenizer.from_pretrained(tmp_path))
