"""Vocabularies of any size that need no file: a SentencePiece model as T5's, of characters and of
made-up words behind them, and a byte-level BPE as GPT-2's, of bytes and of pairs of them.
"""

import itertools

from sentencepiece import sentencepiece_model_pb2

from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.byte_pair import BYTE_CHARACTERS, END_OF_TEXT, BytePairTokenizer
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.special_ids import NUM_SENTINELS, model_vocab_size

_SPECIAL = (("<pad>", "CONTROL"), ("</s>", "CONTROL"), ("<unk>", "UNKNOWN"))
# Printable ASCII and the letters of Western Europe, so that text of tasks is read letter by letter.
_CHARACTERS = [chr(code) for code in (*range(0x21, 0x7F), *range(0xC0, 0x180))]


def num_pieces(vocab_size: int) -> int:
    """Pieces whose model, sentinels and padding included, has `vocab_size` ids; 32,000 for T5's."""
    return vocab_size - (model_vocab_size(32_000) - 32_000)


def ordinary(vocab_size: int) -> range:
    """Ids of pieces of text: neither special tokens nor sentinels nor padding of the table."""
    return range(len(_SPECIAL), num_pieces(vocab_size))


def made_up(vocab_size: int) -> SentencePieceTokenizer:
    """A SentencePiece model with sentinels, every piece of which is another text."""
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    for piece, kind in _SPECIAL:
        proto.pieces.add(piece=piece, score=0.0, type=getattr(proto.SentencePiece, kind))
    for piece in ("▁", *_CHARACTERS):
        proto.pieces.add(piece=piece, score=-10.0)
    for number in range(num_pieces(vocab_size) - len(proto.pieces)):
        proto.pieces.add(piece=f"▁word{number}", score=-20.0)
    trainer = proto.trainer_spec
    trainer.pad_id, trainer.eos_id, trainer.unk_id, trainer.bos_id = 0, 1, 2, -1
    trainer.vocab_size = len(proto.pieces)
    proto.normalizer_spec.name = "identity"
    return SentencePieceTokenizer(proto.SerializeToString(), NUM_SENTINELS)


def ordinary_byte_pairs(vocab_size: int) -> range:
    """Ids of pieces of text: all but <|endoftext|>, the last."""
    return range(vocab_size - 1)


def made_up_byte_pairs(vocab_size: int) -> BytePairTokenizer:
    """A byte-level BPE whose pieces are bytes, pairs of bytes in their order, and <|endoftext|>, so
    that every piece is another text; at most 65,793.
    """
    pairs = itertools.product(BYTE_CHARACTERS, BYTE_CHARACTERS)
    merges = list(itertools.islice(pairs, vocab_size - len(BYTE_CHARACTERS) - 1))
    pieces = [*BYTE_CHARACTERS, *map("".join, merges), END_OF_TEXT]
    end = vocab_size - 1
    special = SpecialTokens(padding=end, start=end, end=end, unknown=None)
    return BytePairTokenizer(
        {piece: number for number, piece in enumerate(pieces)}, merges, special, source="made up"
    )
