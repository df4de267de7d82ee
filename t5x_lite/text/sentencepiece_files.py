"""SentencePiece's files, read and known to be whole: the one place where bad ones are refused."""

from typing import Any

import sentencepiece
from etils import epath
from sentencepiece import sentencepiece_model_pb2

from t5x_lite.errors import UserError
from t5x_lite.text_files import kind_of, read_bytes

_MAX_BYTES = 2**28  # T5's has 800 kB, the largest there are some MB


def read_sentencepiece(path: epath.PathLike) -> bytes:
    """The content of a SentencePiece model.

    Raises:
        OSError: it cannot be read.
        UserError: it is no file, or no whole SentencePiece model.
    """
    content = read_bytes(path, most=_MAX_BYTES)
    parse_sentencepiece(content, path)
    return content


def parse_sentencepiece(content: bytes, source: object) -> Any:
    """The ModelProto of a SentencePiece model, which SentencePiece can load.

    Args:
        source: where it is from, for an error.

    Raises:
        UserError: it is none, or ends in the middle.
    """
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    try:
        proto.ParseFromString(content)
        # Of a file that ends between two pieces all that is missing is what stands behind them.
        whole = proto.HasField("trainer_spec") and proto.HasField("normalizer_spec")
        sentencepiece.SentencePieceProcessor().LoadFromSerializedProto(content)
        for piece in proto.pieces:
            if isinstance(piece.piece, bytes):
                piece.piece.decode()  # protobuf gives bytes where they are no UTF-8
    except Exception as error:  # protobuf's own class differs from one backend to the other
        raise _not_a_model(source, kind_of(content)) from error
    if not whole:
        raise _not_a_model(source, "its beginning")
    return proto


def content(model: bytes) -> tuple[Any, ...]:
    """What of a model decides the ids of a text: not how it was trained, which it states as well,
    and which one that was made of a `tokenizer.json` cannot know.
    """
    proto = parse_sentencepiece(model, "the vocabulary")
    normal, trainer = proto.normalizer_spec, proto.trainer_spec
    rules = normal.add_dummy_prefix, normal.remove_extra_whitespaces, normal.escape_whitespaces
    kind = trainer.model_type, trainer.byte_fallback, trainer.treat_whitespace_as_suffix
    pieces = tuple((piece.piece, piece.score, piece.type) for piece in proto.pieces)
    return pieces, normal.precompiled_charsmap, rules, kind


def _not_a_model(source: object, kind: str) -> UserError:
    return UserError(
        f"{source} is not a SentencePiece model, but {kind}; needed is a file as `t5x_lite vocab` "
        "writes it (sentencepiece.model, spiece.model)."
    )
