"""A trimmed vocabulary cuts what it was trimmed for as the whole one does, whatever its kind."""

import io

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from sentencepiece import sentencepiece_model_pb2

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text import trimming
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.encoder_unigram_json import unigram_of_model
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.piece_pairs import pairs_of
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer, with_sentinels
from t5x_lite.text.tokenizer import load_tokenizer
from t5x_lite.text.trimming import characters, trim
from t5x_lite.text.word_piece import WordPieceTokenizer

KINDS = {
    "unigram": {},
    "unigram with bytes": {"byte_fallback": True, "vocab_size": 330},
    "merged": {"model_type": "bpe"},
    "merged with bytes": {"model_type": "bpe", "byte_fallback": True, "vocab_size": 400},
}
OTHERS = ("own sentinels", "albert", "xlnet", "byte pairs", "word pieces", "cased word pieces")


def trained(sentences, **settings):
    content = io.BytesIO()
    sentencepiece.SentencePieceTrainer.Train(
        sentence_iterator=iter(sentences),
        model_writer=content,
        minloglevel=2,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        hard_vocab_limit=False,
        **{"vocab_size": 100, **settings},
    )
    return SentencePieceTokenizer(content.getvalue(), extra_ids=7)


def with_own_sentinels(tokenizer):
    """As mT5's: the last pieces of its file."""
    proto = sentencepiece_model_pb2.ModelProto.FromString(tokenizer.model)
    for index in reversed(range(5)):
        proto.pieces.add(piece=f"▁<extra_id_{index}>", score=0.0, type=4)
    return with_sentinels(proto.SerializeToString(), extra_ids=7, source="given")


@pytest.fixture(scope="module")
def tokenizers(sentences, unigram_model, byte_pair, word_pieces):
    own = {name: trained(sentences, **settings) for name, settings in KINDS.items()}
    own["own sentinels"] = with_own_sentinels(own["unigram"])
    encoders = {
        name: unigram_of_model(unigram_model(name), {}, name) for name in ("albert", "xlnet")
    }
    words = {name: word_pieces(cased=name[0] == "c") for name in OTHERS[-2:]}
    return own | encoders | {"byte pairs": byte_pair} | words


@pytest.fixture(scope="module", params=[*KINDS, *OTHERS])
def tokenizer(request, tokenizers):
    return tokenizers[request.param]


def used_by(tokenizer, texts):
    return {i for text in texts for i in tokenizer.encode(text)}


def names(tokenizer, ids):
    return [tokenizer.name_of(i) for i in ids]


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_corpus_is_cut_as_before(tokenizer, sentences, hostile_words, data):
    """Piece for piece; of each id the one it was is known, and decoding gives the same text."""
    if isinstance(tokenizer, SentencePieceTokenizer):  # which reads UTF-8 alone
        hostile_words = [text for text in hostile_words if "\udcff" not in text]
    few = st.lists(st.sampled_from([*sentences, *hostile_words]), min_size=1, max_size=5)
    texts = data.draw(few)
    smaller, ids = trim(tokenizer, used_by(tokenizer, texts))
    assert smaller.num_ids == len(ids) <= tokenizer.num_ids
    for text in texts:
        found, expected = smaller.encode(text), tokenizer.encode(text)
        assert [ids[i] for i in found] == expected
        assert smaller.decode(found) == tokenizer.decode(expected)
    assert names(smaller, range(smaller.num_ids)) == names(tokenizer, ids)


def test_what_is_no_text_keeps_its_meaning(tokenizer):
    """Special tokens, sentinels behind all others, bytes; nothing else of any size."""
    smaller, ids = trim(tokenizer, ())
    for role in ("padding", "start", "end", "unknown", "mask"):
        ours, theirs = (getattr(each.special, role) for each in (smaller, tokenizer))
        assert theirs is None if ours is None else ids[ours] == theirs
    count = tokenizer.num_ids - tokenizer.first_sentinel
    assert smaller.num_ids - smaller.first_sentinel == count
    assert list(ids[smaller.first_sentinel :]) == [
        *range(tokenizer.first_sentinel, tokenizer.num_ids)
    ]
    text = [i for i in ids if len(tokenizer.name_of(i).strip("▁#")) > 1]
    normal = [n for n in names(tokenizer, text) if n.isalpha()]
    assert len(normal) <= 1, "the unlikeliest of a unigram"


def test_trimming_again_changes_nothing(tokenizer, sentences):
    texts = sentences[:3]
    once = trim(tokenizer, used_by(tokenizer, texts)).tokenizer
    again, ids = trim(once, used_by(once, texts))
    assert ids == tuple(range(once.num_ids)) and again.files() == once.files()
    assert once.num_ids < tokenizer.num_ids


def test_files_of_ours_and_of_hugging_face_hold_it(tokenizer, sentences, tmp_path):
    """What is read of either cuts as what was written."""
    smaller = trim(tokenizer, used_by(tokenizer, sentences[:20])).tokenizer
    for name, files in (("ours", smaller.files()), ("theirs", huggingface_files(smaller))):
        folder = tmp_path / name
        folder.mkdir()
        for file, content in files.items():
            (folder / file).write_bytes(content)
        read = load_tokenizer(folder)
        assert read.num_ids == smaller.num_ids and read.special == smaller.special
        for text in (*sentences[:30], "<extra_id_0> x ☃"):
            assert read.encode(text) == smaller.encode(text)


@settings(max_examples=40, deadline=None)
@given(text=st.text("acdehilmnorstu \u00e9\u5b57x1,", max_size=30))
def test_with_characters_no_text_gets_more_unknown_ones(tokenizer, sentences, text):
    used = used_by(tokenizer, sentences[:2]) | characters(tokenizer)
    smaller, ids = trim(tokenizer, used)
    unknown = tokenizer.special.unknown
    before = tokenizer.encode(text).count(unknown)
    assert [ids[i] for i in smaller.encode(text)].count(unknown) == before


def test_special_tokens_behind_placeholders_keep_their_ids():
    """As BERT's; what stands behind them goes like all that nobody uses."""
    special = SpecialTokens(padding=0, unknown=3, start=4, end=5, mask=6)
    names = "[PAD] [unused0] [unused1] [UNK] [CLS] [SEP] [MASK] [unused2] a b".split()
    whole = WordPieceTokenizer({name: i for i, name in enumerate(names)}, special)
    smaller, ids = trim(whole, whole.encode("b"))
    assert smaller.special == special and ids == (*range(7), 9)


def test_of_bytes_nothing_can_go():
    with pytest.raises(UserError, match="no piece to leave out; needed is a model with"):
        trim(ByteTokenizer(125), ())


def scored(pieces):
    proto = sentencepiece_model_pb2.ModelProto()
    kinds = proto.SentencePiece
    special = {"<pad>": kinds.CONTROL, "</s>": kinds.CONTROL, "<unk>": kinds.UNKNOWN}
    for piece, kind in special.items():
        proto.pieces.add(piece=piece, score=0.0, type=kind)
    for piece, score in pieces.items():
        proto.pieces.add(piece=piece, score=score, type=kinds.NORMAL)
    spec = proto.trainer_spec
    spec.model_type, spec.pad_id, spec.eos_id, spec.unk_id, spec.bos_id = spec.UNIGRAM, 0, 1, 2, -1
    spec.pad_piece, spec.eos_piece, spec.unk_piece = special
    for rule in ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces"):
        setattr(proto.normalizer_spec, rule, True)
    return SentencePieceTokenizer(proto.SerializeToString(), extra_ids=0)


def test_the_unlikeliest_piece_decides_what_is_unknown_and_stays():
    """No text has it, and without it these would be cut in another way."""
    whole = scored({"▁": -1, "xy": -20, "z": -20, "yz": -1, "q": -50})
    texts = ["xyz", "yz"]
    used = used_by(whole, texts)
    assert "q" not in names(whole, used)
    smaller, ids = trim(whole, used)
    assert [[ids[i] for i in smaller.encode(text)] for text in texts] == [
        whole.encode(text) for text in texts
    ]
    without = [i for i in ids if whole.name_of(i) != "q"]
    poorer = SentencePieceTokenizer(trimming._with_pieces(whole.model, without), extra_ids=0)
    cut = [names(poorer, poorer.encode(text)) for text in texts]
    assert cut != [names(whole, whole.encode(text)) for text in texts]


def test_pairs_are_those_that_are_merged():
    ranks = {("a", "b"): 0, ("b", "c"): 1, ("ab", "c"): 2, ("ab", "ab"): 3}
    assert list(pairs_of("abc", ranks.get)) == [("a", "b"), ("ab", "c")]
    assert list(pairs_of("abab", ranks.get)) == [("a", "b"), ("a", "b"), ("ab", "ab")]
    assert list(pairs_of("cx", ranks.get)) == []
