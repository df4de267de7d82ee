"""A vocabulary of any size that needs no file: characters, and made-up words behind them."""

from sentencepiece import sentencepiece_model_pb2

from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.special_ids import NUM_SENTINELS, model_vocab_size

_SPECIAL = (("<pad>", "CONTROL"), ("</s>", "CONTROL"), ("<unk>", "UNKNOWN"))
# Printable ASCII and the letters of Western Europe, so that text of tasks is read letter by letter.
_CHARACTERS = [chr(code) for code in (*range(0x21, 0x7F), *range(0xC0, 0x180))]
FIRST_ORDINARY = len(_SPECIAL)


def num_pieces(vocab_size: int) -> int:
    """Pieces whose model, sentinels and padding included, has `vocab_size` ids; 32,000 for T5's."""
    return vocab_size - (model_vocab_size(32_000) - 32_000)


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
