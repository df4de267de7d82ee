"""Ids are told apart by what they stand for."""

import numpy as np
import pytest
import seqio

from t5x_lite.data.pieces import Kind, Piece, Pieces
from t5x_lite.text.byte_pair_vocabulary import BytePairVocabulary
from t5x_lite.text.word_piece_vocabulary import WordPieceVocabulary


def split(vocabulary, ids):
    return Pieces(vocabulary).split(np.array(ids))


def test_text_is_decoded_between_special_pieces():
    """Byte a is 97 + 3; of 261 ids the last two are sentinels."""
    found = split(seqio.ByteVocabulary(extra_ids=2), [100, 101, 260, 259, 102, 1, 0, 300])
    assert found == [
        Piece(Kind.TEXT, "ab"),
        Piece(Kind.SENTINEL, "<extra_id_0>", 0),
        Piece(Kind.SENTINEL, "<extra_id_1>", 1),
        Piece(Kind.TEXT, "c"),
        Piece(Kind.END, "</s>"),
        Piece(Kind.PADDING, "<pad>"),
        Piece(Kind.OUTSIDE, "<no piece 300>"),
    ]


def test_of_a_byte_level_bpe_no_id_is_padding(bpe_folder):
    """Byte 0x21 is "!"; the end token has a name of its own, and no text is unknown."""
    vocabulary = BytePairVocabulary(bpe_folder)
    found = split(vocabulary, [*vocabulary.encode("a!"), 259, 256, 300])
    assert found == [
        Piece(Kind.TEXT, "a!"),
        Piece(Kind.SENTINEL, "<extra_id_0>", 0),
        Piece(Kind.END, "<|endoftext|>"),
        Piece(Kind.OUTSIDE, "<no piece 300>"),
    ]
    assert Pieces(vocabulary).num_unknown(np.array([0, 1])) == 0
    assert Pieces(vocabulary).unknown_characters(["\u2603"]) == {}
    assert Pieces(vocabulary).description == f"260 ids ({bpe_folder})"


def test_of_word_pieces_the_special_ones_have_their_names(tmp_path):
    """A word that goes on behind a mask shows where it was cut."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s"]
    (tmp_path / "vocab.txt").write_text("\n".join(names))
    found = split(WordPieceVocabulary(tmp_path), [2, 5, 6, 7, 4, 7, 1, 3, 0, 8])
    assert found == [
        Piece(Kind.START, "[CLS]"),
        Piece(Kind.TEXT, "the cats"),
        Piece(Kind.MASK, "[MASK]"),
        Piece(Kind.TEXT, "##s"),
        Piece(Kind.UNKNOWN, "[UNK]"),
        Piece(Kind.END, "[SEP]"),
        Piece(Kind.PADDING, "[PAD]"),
        Piece(Kind.OUTSIDE, "<no piece 8>"),
    ]


def test_ids_that_stand_for_nothing_are_shown_as_they_are():
    """Also 0, which is no padding among numbers."""
    assert split(seqio.PassThroughVocabulary(100, eos_id=1), [7, 0, 8, 1])[:1] == [
        Piece(Kind.TEXT, "7 0 8")
    ]


@pytest.mark.test_data
def test_a_sentencepiece_model_names_its_sentinels(test_data_dir):
    """T5's: <extra_id_0> is 32099; a backquote and a brace have no piece."""
    path = str(test_data_dir / "vocab" / "t5_sentencepiece.model")
    pieces = Pieces(seqio.SentencePieceVocabulary(path, extra_ids=100))
    ids = np.array([13959, 1566, 32099, 12, 2968, 32000, 2, 7, 1])
    assert [piece.text for piece in pieces.split(ids)] == [
        "translate English",
        "<extra_id_0>",
        " to German",
        "<extra_id_99>",
        "<unk>",
        "s",
        "</s>",
    ]
    assert pieces.sentinels(ids) == [0, 99]
    assert pieces.num_unknown(ids) == 1
    assert pieces.unknown_characters(["a `b`", "{c"]) == {"`": 2, "{": 1}


def test_text_that_is_to_be_found_stands_apart(tmp_path):
    """Runs of it, with the space in front that it had; special tokens are what they were."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "cat", "##s"]
    (tmp_path / "vocab.txt").write_text("\n".join(names))
    pieces = Pieces(WordPieceVocabulary(tmp_path))
    found = pieces.split(np.array([2, 5, 6, 7, 5, 3]), np.array([0, 0, 1, 1, 0, 1]))
    assert found == [
        Piece(Kind.START, "[CLS]"),
        Piece(Kind.TEXT, "the"),
        Piece(Kind.CHOSEN, " cats"),
        Piece(Kind.TEXT, " the"),
        Piece(Kind.END, "[SEP]"),
    ]
    assert pieces.split(np.array([5, 6])) == [Piece(Kind.TEXT, "the cat")]
    of_bytes = Pieces(seqio.ByteVocabulary()).split(np.array([100, 101]), np.array([0, 1]))
    assert [each.text for each in of_bytes] == ["a", "b"]
