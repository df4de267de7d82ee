"""Vocabularies small enough to train in each session, and BPE and WordPiece as they are written."""

import functools
import io
import unicodedata

import pytest
import sentencepiece
from hypothesis import strategies as st

from t5x_lite.features.config import SpecialTokens
from t5x_lite.text import default_vocabulary
from t5x_lite.text.byte_pair_training import train_byte_pair
from t5x_lite.text.tokenizer import load_tokenizer
from t5x_lite.text.training import train_sentencepiece
from t5x_lite.text.word_piece import WordPieceTokenizer, WordRules

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


# Where the special tokens of encoders' SentencePiece models are, and what they are called.
_UNIGRAMS = {
    "albert": {
        "pad_id": 0,
        "unk_id": 1,
        "bos_id": -1,
        "eos_id": -1,
        "control_symbols": ["[CLS]", "[SEP]", "[MASK]"],
        "user_defined_symbols": ["(", ")", '"', "-", "."],
    },
    "xlnet": {
        "unk_id": 0,
        "bos_id": 1,
        "eos_id": 2,
        "pad_id": -1,
        "control_symbols": ["<cls>", "<sep>", "<pad>", "<mask>", "<eod>"],
        "user_defined_symbols": ["<eop>", ".", "(", ")"],
    },
}


@pytest.fixture(scope="session")
def unigram_model(sentences):
    """(albert or xlnet, with user-defined pieces or not) -> a SentencePiece model as theirs are."""

    @functools.cache
    def make(family, *, user_defined=True):
        own = _UNIGRAMS[family] | ({} if user_defined else {"user_defined_symbols": []})
        texts = [
            f'{s}, ({i},{i} or 1,2 and 3,4) "na\u00efve" - x.' for i, s in enumerate(sentences)
        ]
        content = io.BytesIO()
        sentencepiece.SentencePieceTrainer.Train(
            sentence_iterator=iter(texts + [t.title() for t in texts]),
            model_writer=content,
            vocab_size=160,
            minloglevel=2,
            **own,
        )
        return content.getvalue()

    return make


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


SPECIAL_PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
_WORD_PIECES = [
    *(prefix + c for c in "abcdefghijklmnopqrstuvwxyzT\u00e4\u00ebI123" for prefix in ("", "##")),
    *"!'.,[]()#<>$-\u2603\u5b57\u5b58\u20ac\u0e01\u1100\ud7a3",
    *("cat", "##cat", "the", "The", "sat", "##s", "##ing", "mask", "un", "##able", "sss", "na"),
    *("\u0130", "i\u0307", "##\u0301", "\u1e9e", "\u00df", "##\u0e34", "na\u00efve", "\U0001f642"),
]


@pytest.fixture(scope="session")
def word_pieces():
    """cased or not -> a small vocabulary, with capitals and accents, which a cased one uses."""
    names = list(dict.fromkeys([*SPECIAL_PIECES, *_WORD_PIECES]))
    pieces = {name: i for i, name in enumerate(names)}
    special = SpecialTokens(padding=0, unknown=1, start=2, end=3, mask=4)

    def make(*, cased):
        rules = WordRules(lower_case=not cased, strip_accents=not cased)
        return WordPieceTokenizer(pieces, special, rules)

    return make


HOSTILE_WORDS = [
    *HOSTILE,
    "[CLS] [MASK] [SEP] [PAD]",
    "The  NA\u00cfVE \u0130stanbul \u1e9e \u00c4\u00cb\u00e4 e\u0301\u0323 \ufb01 \u2126 \u212b",
    "x" * 100 + " " + "c" * 101 + " " + "\u00e4" * 100 + " " + "\u00e4" * 101 + " " + "cat" * 33,
    "don't(cat)cat.The,cats-sat$\u20ac5#cat##ing",
    "a\u200bb\u200dc\u00add\u2060e\ufefff\u061cg\u202eh\x00i\x7fj\x85k\u2028l\u2029m\u180en",
    "\u5b57a\u5b58\u3000\uf900\U0002f800\U00020000\u30ab\uac00\ud7a3\u1100\u1161",
    "\uff21\uff0c\u3002 \u3164a \u2fff",
    "\u0e01\u0e34 \u093f\u0947 \u05b0\u05d0 \u064b\u0627 \u302a\u5b57 \u0300 a\u0300\u0300",
    "\u00b2 \u2460 \u2160 \u02c6 \u00b4 \u0060 \u00a8 \u20dd a\u20dd \u1680 \u202f \u205f",
    "\U0001f3f4\U000e0067\U000e007f \u2764\ufe0f \U000e0100a \U00010400 \U0001d400 \ufffe\ufdd0",
]


@pytest.fixture(scope="session")
def hostile_words():
    """Where WordPieces differ, and where byte-level BPEs do."""
    return HOSTILE_WORDS


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


# Characters whose class no version of Unicode has changed since 3.2: the library knows another one
# than Python, and BERT's own code asks Python.
_OLD = unicodedata.ucd_3_2_0


def _is_old(character):
    category = unicodedata.category(character)
    return category not in ("Cn", "Co", "Cs") and category == _OLD.category(character)


_SETTLED = "".join(filter(_is_old, map(chr, range(0x20000)))).replace("\u166d", "")


@pytest.fixture(scope="session")
def settled_text():
    """Texts that are mostly borders between words, of characters that are known for long."""
    parts = st.one_of(
        st.sampled_from([*"catTCA \u00c4!'#\u0301\u5b57\u200b", "cat", "##", "ing", "\U00020000"]),
        st.text(st.sampled_from(_SETTLED), max_size=4),
    )
    return st.lists(parts, max_size=12).map("".join)


# The blocks that BERT's code calls Chinese.
_CHINESE = [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0xF900, 0xFAFF)]


def _words(text, *, cased):
    """BERT's basic tokenization, after its code."""
    clean = ""
    for c in text:
        category = unicodedata.category(c)
        if c in " \t\n\r" or category == "Zs":
            clean += " "
        elif category not in ("Cc", "Cf") and c not in "\ufffd\udcff":
            is_chinese = any(first <= ord(c) <= last for first, last in _CHINESE)
            clean += f" {c} " if is_chinese else c
    for word in clean.split():
        if not cased:
            apart = unicodedata.normalize("NFD", word)
            kept = (c for c in apart if unicodedata.category(c) != "Mn")
            # Each by itself: Python knows a last sigma, the library does not.
            word = "".join(c.lower() for c in kept)
        run = ""
        for c in word:
            is_mark = (c.isascii() and not c.isalnum()) or unicodedata.category(c)[0] == "P"
            if is_mark:
                yield from filter(None, (run, c))
                run = ""
            else:
                run += c
        if run:
            yield run


def _longest_pieces(word, pieces):
    ids, begin = [], 0
    while begin < len(word):
        prefix = "##" if begin else ""
        ends = range(len(word), begin, -1)
        end = next((end for end in ends if prefix + word[begin:end] in pieces), None)
        if end is None or len(word) > 100:
            return [pieces["[UNK]"]]
        ids.append(pieces[prefix + word[begin:end]])
        begin = end
    return ids


@pytest.fixture(scope="session")
def slow_word_pieces():
    """(tokenizer, text) -> ids, from its pieces alone, as the paper's code does it."""

    def encode(tokenizer, text):
        words = _words(text, cased=not tokenizer.rules.lower_case)
        return [i for word in words for i in _longest_pieces(word, tokenizer.pieces)]

    return encode
