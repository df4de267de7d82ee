"""An encoder's SentencePiece in a Hugging Face directory: `tokenizer.json`, or `spiece.model`, <->
pieces, rules and special tokens.
"""

from collections.abc import Mapping
from typing import Any

from sentencepiece import sentencepiece_model_pb2

from t5x_lite.errors import UserError
from t5x_lite.text.added_tokens import read_added, written
from t5x_lite.text.sentencepiece_files import parse_sentencepiece
from t5x_lite.text.special_names import CLASS_TAGS, TAGS_AND_BRACKETS, SpecialNames, config_of
from t5x_lite.text.template import START_AND_END, START_LAST, Template
from t5x_lite.text.template_json import json_of_template, template_of_json
from t5x_lite.text.unigram import QUOTES, UnigramRules, UnigramTokenizer
from t5x_lite.text.unigram_json import (
    METASPACE,
    RULES,
    WORDS,
    decoded_charsmap,
    is_words,
    other_text,
    precompiled,
    scored_pieces,
    steps_of,
)

# By the piece that stands for a text as a whole: its kin, what stands around texts, whether
# capitals go where nobody says, and what transformers calls it.
_KINDS: Mapping[str, tuple[SpecialNames, Template, bool, str]] = {
    "[CLS]": (TAGS_AND_BRACKETS, START_AND_END, True, "AlbertTokenizer"),
    "<cls>": (CLASS_TAGS, START_LAST, False, "XLNetTokenizer"),
}
_QUOTE_STEPS = [
    {"type": "Replace", "pattern": {"String": quote}, "content": '"'} for quote in QUOTES
]
_ACCENT_STEPS = [{"type": "NFKD"}, {"type": "StripAccents"}]
_LOWER_STEP = {"type": "Lowercase"}


def is_of_encoder(pieces: Mapping[str, int]) -> bool:
    """Whether a vocabulary has a piece that stands for a text as a whole."""
    return not pieces.keys().isdisjoint(_KINDS)


def unigram_of_model(
    model: bytes, given: Mapping[str, Any], source: object
) -> UnigramTokenizer | None:
    """The tokenizer of a `spiece.model`; None for one that is no encoder's.

    Args:
        given: `tokenizer_config.json` and what names special tokens.

    Raises:
        UserError: a special token has no piece, or a switch is none.
    """
    proto = parse_sentencepiece(model, source)
    pieces = {piece.piece: i for i, piece in enumerate(proto.pieces)}
    if not is_of_encoder(pieces):
        return None
    names, template, lower_case, _ = _kind(pieces)
    rules = UnigramRules(
        lower_case=_switch(given, "do_lower_case", lower_case, source),
        strip_accents=not _switch(given, "keep_accents", False, source),
    )
    special = names.said(given).ids(pieces, source)
    return UnigramTokenizer(model, special, rules, template, source=source)


def unigram_of_json(
    values: Mapping[str, Any], given: Mapping[str, Any], source: object
) -> UnigramTokenizer:
    """The tokenizer of a `tokenizer.json` of an encoder whose model is a Unigram one; the scores of
    pieces are as it says.

    Raises:
        UserError: it changes or cuts text in another way, or is damaged.
    """
    scored, unknown = scored_pieces(values["model"], source)
    pieces = {piece: i for i, (piece, _) in enumerate(scored)}
    added = read_added(values, source)
    rules, charsmap = _rules(values, source)
    names, *_ = _kind(pieces)
    special = names.said(given).ids(pieces, source)
    proto = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]
    kinds = proto.SentencePiece
    for i, (piece, score) in enumerate(scored):
        kind = kinds.CONTROL if piece in added else kinds.NORMAL
        proto.pieces.add(piece=piece, score=score, type=kinds.UNKNOWN if i == unknown else kind)
    trainer = proto.trainer_spec
    trainer.model_type, trainer.vocab_size = trainer.UNIGRAM, len(scored)
    trainer.unk_id, trainer.pad_id, trainer.bos_id, trainer.eos_id = unknown, -1, -1, -1
    trainer.unk_piece = scored[unknown][0]
    proto.normalizer_spec.precompiled_charsmap = charsmap
    for rule in RULES:
        setattr(proto.normalizer_spec, rule, True)
    template = template_of_json(values.get("post_processor"), special, source)
    return UnigramTokenizer(proto.SerializeToString(), special, rules, template, source=source)


def json_of_unigram(tokenizer: UnigramTokenizer) -> dict[str, Any]:
    """What `unigram_of_json` reads, as transformers 5 writes it."""
    proto = parse_sentencepiece(tokenizer.scored_model, "the vocabulary")
    kinds, rules = proto.SentencePiece, tokenizer.rules
    special = (kinds.CONTROL, kinds.UNKNOWN)
    names = [piece.piece for piece in proto.pieces]
    charsmap = precompiled(proto.normalizer_spec.precompiled_charsmap)
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": written(
            (p.piece, i) for i, p in enumerate(proto.pieces) if p.type in special
        ),
        "normalizer": {
            "type": "Sequence",
            "normalizers": [
                *_QUOTE_STEPS,
                *(_ACCENT_STEPS if rules.strip_accents else []),
                *([_LOWER_STEP] if rules.lower_case else []),
                *([] if charsmap is None else [charsmap]),
            ],
        },
        "pre_tokenizer": WORDS,
        "post_processor": json_of_template(tokenizer.template, tokenizer.special, names),
        "decoder": METASPACE,
        "model": {
            "type": "Unigram",
            "unk_id": tokenizer.special.unknown,
            "vocab": [[piece.piece, piece.score] for piece in proto.pieces],
            "byte_fallback": False,
        },
    }


def unigram_config(tokenizer: UnigramTokenizer) -> dict[str, Any]:
    """`tokenizer_config.json`, which older versions read beside `spiece.model`."""
    names = [tokenizer.name_of(i) for i in range(tokenizer.num_ids)]
    *_, kind = _kind(dict.fromkeys(names, 0))
    return {
        "tokenizer_class": kind,
        **config_of(names, tokenizer.special),
        "do_lower_case": tokenizer.rules.lower_case,
        "keep_accents": not tokenizer.rules.strip_accents,
    }


def _kind(pieces: Mapping[str, int]) -> tuple[SpecialNames, Template, bool, str]:
    return next(kind for piece, kind in _KINDS.items() if piece in pieces)


def _rules(values: Mapping[str, Any], source: object) -> tuple[UnigramRules, bytes]:
    """The rules, and SentencePiece's table of characters."""
    if not is_words(values.get("pre_tokenizer")):
        raise other_text(source, "pre_tokenizer", values.get("pre_tokenizer"))
    steps = [dict(step) for step in steps_of(values.get("normalizer"), "normalizers")]
    charsmap = b""
    if steps and steps[-1].get("pattern") == {"Regex": " {2,}"}:
        steps.pop()  # WhitespaceSplit takes any number of spaces for one
    if steps and steps[-1].get("type") == "Precompiled":
        charsmap = decoded_charsmap(steps.pop(), source)
    for strip_accents in (True, False):
        for lower_case in (True, False):
            expected = [
                *_QUOTE_STEPS,
                *(_ACCENT_STEPS if strip_accents else []),
                *([_LOWER_STEP] if lower_case else []),
            ]
            if steps == expected:
                # The scores say it already.
                rules = UnigramRules(
                    lower_case=lower_case, strip_accents=strip_accents, split_digit_commas=False
                )
                return rules, charsmap
    raise other_text(source, "normalizer", values.get("normalizer"))


def _switch(values: Mapping[str, Any], name: str, default: bool, source: object) -> bool:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise UserError(f"{source}: its {name} is {value!r}; needed is true or false.")
    return default if value is None else value
