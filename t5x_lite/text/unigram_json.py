"""T5's `tokenizer.json`, of the `tokenizers` library, <-> a SentencePiece model.

Both hold the same pieces, scores and table of characters. So SentencePiece makes the ids of either,
in Python as within tf.data, and an <extra_id_0> within a word stays the text that it always was.
"""

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from sentencepiece import sentencepiece_model_pb2

from t5x_lite.errors import UserError
from t5x_lite.text.added_tokens import (
    SENTINEL,
    num_trailing_sentinels,
    read_added,
    sentinels,
    written,
)
from t5x_lite.text.sentencepiece_files import parse_sentencepiece
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer

# As SentencePiece with T5's settings: white space parts words, and a word begins with "▁".
METASPACE = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}
WORDS = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, METASPACE]}
_BYTES = {f"<0x{byte:02X}>" for byte in range(256)}
RULES = ("add_dummy_prefix", "remove_extra_whitespaces", "escape_whitespaces")


def sentencepiece_of_json(values: Mapping[str, Any], source: object) -> SentencePieceTokenizer:
    """The tokenizer of a `tokenizer.json` whose model is a Unigram one.

    Raises:
        UserError: it changes or cuts text in another way than T5's, has other special ids, or is
            damaged.
    """
    model, special = values["model"], set(read_added(values, source).values())
    pieces, unknown = scored_pieces(model, source)
    extra_ids = num_trailing_sentinels([piece for piece, _ in pieces])
    pieces = pieces[: len(pieces) - extra_ids]
    if not 0 <= unknown < len(pieces) or len(pieces) < 3:
        raise UserError(f"{source}: its unk_id is {unknown}, and it has {len(pieces)} pieces.")
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    has_bytes = bool(model.get("byte_fallback"))
    for i, (piece, score) in enumerate(pieces):
        kind = _kind(piece, is_unknown=i == unknown, is_special=i in special, has_bytes=has_bytes)
        proto.pieces.add(piece=piece, score=score, type=proto.SentencePiece.Type.Value(kind))
    trainer = proto.trainer_spec
    trainer.model_type, trainer.vocab_size = trainer.UNIGRAM, len(pieces)
    trainer.pad_id, trainer.eos_id, trainer.unk_id, trainer.bos_id = 0, 1, unknown, -1
    trainer.pad_piece, trainer.eos_piece = pieces[0][0], pieces[1][0]
    trainer.unk_piece, trainer.byte_fallback = pieces[unknown][0], has_bytes
    proto.normalizer_spec.precompiled_charsmap = _charsmap(values, source)
    for rule in RULES:
        setattr(proto.normalizer_spec, rule, True)
    return SentencePieceTokenizer(proto.SerializeToString(), extra_ids, source=source)


def json_of_sentencepiece(tokenizer: SentencePieceTokenizer) -> dict[str, Any] | None:
    """What `sentencepiece_of_json` reads, as transformers 5 writes it; None for a model that JSON
    cannot say: of another kind than Unigram, or with pieces or rules of its own.
    """
    proto = parse_sentencepiece(tokenizer.model, "the vocabulary")
    kinds = proto.SentencePiece
    # The library looks for <extra_id_0> in the text; that "▁" stands before it is SentencePiece's.
    pieces = [(_without_space(p.piece), p.score, p.type) for p in proto.pieces]
    pieces += [(name, 0.0, kinds.USER_DEFINED) for name in sentinels(tokenizer.extra_ids)]
    own = (p for p, _, kind in pieces if kind == kinds.USER_DEFINED and not SENTINEL.fullmatch(p))
    rules = all(getattr(proto.normalizer_spec, rule) for rule in RULES)
    is_unigram = proto.trainer_spec.model_type == proto.trainer_spec.UNIGRAM
    if any(own) or not (rules and is_unigram):
        return None
    special = (kinds.CONTROL, kinds.UNKNOWN, kinds.USER_DEFINED)
    added = [(piece, i) for i, (piece, _, kind) in enumerate(pieces) if kind in special]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": written(added),
        "normalizer": precompiled(proto.normalizer_spec.precompiled_charsmap),
        "pre_tokenizer": WORDS,
        "post_processor": _with_end(pieces[tokenizer.special.end][0], tokenizer.special.end),
        "decoder": METASPACE,
        "model": {
            "type": "Unigram",
            "unk_id": tokenizer.special.unknown,
            "vocab": [[piece, score] for piece, score, _ in pieces],
            "byte_fallback": proto.trainer_spec.byte_fallback,
        },
    }


def scored_pieces(
    model: Mapping[str, Any], source: object
) -> tuple[Sequence[tuple[str, float]], int]:
    """Pieces with their scores, and the id of the unknown one."""
    try:
        pieces = [(str(piece), float(score)) for piece, score in model["vocab"]]
        "".join(piece for piece, _ in pieces).encode()  # JSON can say what is no text
        return pieces, int(model["unk_id"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{source}: its vocab is not pieces with scores, or its unk_id no id: {error!r}"
        ) from None


def _kind(piece: str, *, is_unknown: bool, is_special: bool, has_bytes: bool) -> str:
    if is_unknown:
        return "UNKNOWN"
    if SENTINEL.fullmatch(piece):
        return "USER_DEFINED"
    if has_bytes and piece in _BYTES:
        return "BYTE"
    return "CONTROL" if is_special else "NORMAL"


def _charsmap(values: Mapping[str, Any], source: object) -> bytes:
    """SentencePiece's table of characters, once it is known that nothing else changes the text."""
    if not is_words(values.get("pre_tokenizer")):
        raise other_text(source, "pre_tokenizer", values.get("pre_tokenizer"))
    normalizer = values.get("normalizer")
    found = b""
    for step in steps_of(normalizer, "normalizers"):
        kind = step.get("type")
        if kind == "Precompiled" and not found:
            found = decoded_charsmap(step, source)
        elif kind == "Replace" and step.get("pattern") == {"Regex": " {2,}"}:
            pass  # WhitespaceSplit takes any number of spaces for one
        elif kind != "Strip":
            raise other_text(source, "normalizer", step)
    return found


def precompiled(charsmap: bytes) -> dict[str, Any] | None:
    """SentencePiece's table of characters as a normalizer; None without one."""
    if not charsmap:
        return None
    return {
        "type": "Precompiled",
        "precompiled_charsmap": base64.b64encode(charsmap).decode(),
    }


def decoded_charsmap(step: Mapping[str, Any], source: object) -> bytes:
    """The table of a normalizer."""
    try:
        return base64.b64decode(step["precompiled_charsmap"], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source}: its precompiled_charsmap is damaged: {error!r}") from None


def is_words(pre_tokenizer: Any) -> bool:
    """Whether text is cut as SentencePiece cuts it with T5's settings."""
    steps = steps_of(pre_tokenizer, "pretokenizers")
    metaspace = steps[-1] if steps else {}
    # Older files say add_prefix_space where newer ones say prepend_scheme.
    prefix = metaspace.get("prepend_scheme", "always"), metaspace.get("add_prefix_space", True)
    kinds = [step.get("type") for step in steps]
    return kinds == ["WhitespaceSplit", "Metaspace"] and prefix == ("always", True)


def steps_of(value: Any, name: str) -> list[Mapping[str, Any]]:
    """The parts of a sequence, or the one thing that is there."""
    if not isinstance(value, Mapping):
        return []
    inner = value.get(name) if value.get("type") == "Sequence" else [value]
    steps = inner if isinstance(inner, list) else []
    return [step for step in steps if isinstance(step, Mapping)]


def other_text(source: object, name: str, value: Any) -> UserError:
    """What is said of a file that treats text in a way that is not ours."""
    return UserError(
        f"{source}: its {name} ({str(value)[:80]}) treats text in another way than T5's; needed is "
        "the vocabulary as a SentencePiece model (spiece.model)."
    )


def _without_space(piece: str) -> str:
    return piece.removeprefix("▁") if SENTINEL.fullmatch(piece) else piece


def _with_end(end: str, i: int) -> dict[str, Any]:
    token = {"SpecialToken": {"id": end, "type_id": 0}}
    first, second = ({"Sequence": {"id": name, "type_id": 0}} for name in "AB")
    return {
        "type": "TemplateProcessing",
        "single": [first, token],
        "pair": [first, token, second, token],
        "special_tokens": {end: {"id": end, "ids": [i], "tokens": [end]}},
    }
