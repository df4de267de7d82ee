"""Vocabularies small enough to train in each session, and byte-level BPE as it is written."""

import unicodedata

import pytest
from hypothesis import strategies as st

from t5x_lite.text import default_vocabulary
from t5x_lite.text.byte_pair_training import train_byte_pair
from t5x_lite.text.tokenizer import load_tokenizer
from t5x_lite.text.training import train_sentencepiece

WORDS = "the cat sat on a mat und der Hund lief weg translate English to German".split()
SYLLABLES = "ka lo mi tu ren sor vel dax".split()


@pytest.fixture(scope="session")
def sentences():
    words = WORDS + [a + b for a in SYLLABLES for b in SYLLABLES]
    return [" ".join(words[(i * k) % len(words)] for k in range(1, 9)) for i in range(1, 300)]


@pytest.fixture(scope="session")
def vocabulary_path(tmp_path_factory, sentences):
    path = tmp_path_factory.mktemp("vocabulary") / "tiny.model"
    train_sentencepiece({"words": sentences}, path, vocab_size=60, report_progress=lambda _: None)
    return path


@pytest.fixture(autouse=True)
def _no_default_vocabulary():
    """The default belongs to the process: no test inherits it from another."""
    before = default_vocabulary._path
    default_vocabulary.set_default_vocabulary(None)
    yield
    default_vocabulary.set_default_vocabulary(before)


@pytest.fixture(scope="session")
def byte_pair(tmp_path_factory, sentences):
    """A byte-level BPE of 400 pieces, some of them runs of blanks and parts of characters."""
    texts = [f"{s}.\n\n  {s}'ll, it's 12\t\u5b57\u5b58\u00e9\u00e8 \U0001f642!" for s in sentences]
    folder = tmp_path_factory.mktemp("byte_pair")
    train_byte_pair({"texts": texts}, folder, vocab_size=400, report_progress=lambda _: None)
    return load_tokenizer(folder)


HOSTILE = [
    "",
    " ",
    "  ",
    "\n",
    "the cat sat on a mat",
    "   three, two  and\ttabs\n\n\n  at  the end   ",
    "a\n b\n  c \n d\r\n e \t f\u00a0 g \u3000\u3000h\x0b\x85i",
    "I'll say they've 'said it's fine'S 's ''s 'sam's's 'll'l 've're'ree'",
    "'",
    "''",
    "x'",
    "x's",
    " 's",
    "\n's",
    "'s's'm",
    "5'd",
    "'re",
    "'r",
    "'lll",
    "!'s",
    "12 345\u2154 \u2460x x2y 3\u00b2 \u096a",
    "\U0001f642 \U0001f469\u200d\U0001f469\u200d\U0001f467 \U0001f1e9\U0001f1ea e\u0301 \u00e9",
    "\u5b57\u5b58 \u0928\u092e\u0938\u094d\u0924\u0947 \u05e9\u05dc\u05d5\u05dd",
    "<|endoftext|> <extra_id_0> </s> <pad>",
    "\x00\x01 \x7f\ufeff\ufffd\uffff\ue000\U0010ffff\u2028",
    "\ufeffat the beginning",
    "aaaaaaaaaaaaaaaaaaaaaaa " * 3 + "cat" * 50,
    "\udcff \udce2\udc82 a\udc80b \udcf0\udc9f\udc99 1\udc80'\udcc3('s  \udc85",
]


@pytest.fixture(scope="session")
def hostile_texts():
    """Where byte-level BPEs differ; the last holds bytes that are no UTF-8, as Python does."""
    return HOSTILE


def _class(character):
    """L and N for letters and numbers, a blank for white space, O for all others."""
    if character.isspace() and not "\x1c" <= character <= "\x1f":
        return " "
    category = unicodedata.category(character)[0]
    return category if category in "LN" else "O"


# Characters that this Python knows: of those that came later the library may know more.
_KNOWN = st.characters(exclude_categories=["Cs", "Cn"])
_TRICKY = st.sampled_from([*" \n\t\u00a0'a1!", "  ", "'s", "'ll", "ve", "re"])
_ESCAPED = st.integers(0x80, 0xFF).map(lambda byte: chr(0xDC00 + byte))


@pytest.fixture(scope="session")
def any_text():
    """Texts that are mostly borders between words; some hold bytes that are no UTF-8."""
    parts = st.one_of(_TRICKY, _TRICKY, st.text(_KNOWN, max_size=4), _ESCAPED)
    joined = st.lists(parts, max_size=12).map("".join)
    # Escaped bytes that happen to be UTF-8 are no text that Python would make of bytes.
    return joined.map(lambda t: t.encode(errors="surrogateescape").decode(errors="surrogateescape"))


def _end_of_word(text, i):
    """Where the word that begins at `i` ends: GPT-2's rules in their order."""
    for contraction in ("'s", "'t", "'re", "'ve", "'m", "'ll", "'d"):
        if text.startswith(contraction, i):
            return i + len(contraction)

    def run(start, kind):
        end = start
        while end < len(text) and _class(text[end]) == kind:
            end += 1
        return end

    begin = i + (text[i] == " ")
    for kind in "LNO":
        if (end := run(begin, kind)) > begin:
            return end
    end = run(i, " ")
    return end if end == len(text) or end == i + 1 else end - 1


def _merged(symbols, ranks):
    while pairs := [p for p in zip(symbols, symbols[1:]) if p in ranks]:
        first = min(pairs, key=ranks.__getitem__)
        merged, i = [], 0
        while i < len(symbols):
            is_first = tuple(symbols[i : i + 2]) == first
            merged.append("".join(first) if is_first else symbols[i])
            i += 2 if is_first else 1
        symbols = merged
    return symbols


@pytest.fixture(scope="session")
def slow_encode():
    """(tokenizer, text) -> ids, from its pieces and merges alone, as the paper's code does it."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in printable]
    character = {byte: chr(byte) for byte in printable}
    character |= {byte: chr(256 + n) for n, byte in enumerate(others)}

    def encode(tokenizer, text):
        ranks = {pair: rank for rank, pair in enumerate(tokenizer.merges)}
        ids, i = [], 0
        while i < len(text):
            end = _end_of_word(text, i)
            word = text[i:end].encode(errors="surrogateescape")
            symbols = _merged([character[byte] for byte in word], ranks)
            ids += [tokenizer.pieces[symbol] for symbol in symbols]
            i = end
        return ids

    return encode
