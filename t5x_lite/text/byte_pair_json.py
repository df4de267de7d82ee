"""The byte-level BPE of `tokenizer.json`, of the `tokenizers` library, GPT-2's or RoBERTa's, <->
pieces and merges.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.added_tokens import num_trailing_sentinels, read_added, sentinels, written
from t5x_lite.text.byte_pair import END_OF_TEXT, BytePairTokenizer, check_ids
from t5x_lite.text.special_names import TAGS
from t5x_lite.text.template import PLAIN, TWO_ENDS
from t5x_lite.text.template_json import json_of_template, template_of_json

_BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True}
# What the model of GPT-2 leaves at these values; others give other ids.
_MODEL = {
    "dropout": None,
    "unk_token": None,
    "continuing_subword_prefix": "",
    "end_of_word_suffix": "",
    "fuse_unk": False,
    "byte_fallback": False,
    "ignore_merges": False,
}


def byte_pair_of_json(
    values: Mapping[str, Any], special: Mapping[str, Any], source: object
) -> BytePairTokenizer:
    """The tokenizer of a `tokenizer.json` whose model is a BPE.

    Args:
        special: as `byte_pair_tokenizer`.

    Raises:
        UserError: it changes or cuts text in another way than GPT-2's, or is damaged.
    """
    _check_text(values, source)
    model = values["model"]
    try:
        pieces = {str(piece): i for piece, i in model["vocab"].items()}
        # Before 2024 a pair was one string with a blank.
        pairs = [m.split(" ") if isinstance(m, str) else m for m in model["merges"]]
        merges = [(str(left), str(right)) for left, right in pairs]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{source}: its vocab or merges are damaged: {error!r}") from None
    pieces |= read_added(values, source)
    found = byte_pair_tokenizer(pieces, merges, special, source)
    template = template_of_json(values.get("post_processor"), found.special, source)
    if found.special.mask is None or template == PLAIN:
        return found  # whose template is that of its kind
    kept = found.pieces, found.merges, found.special, found.extra_ids
    return BytePairTokenizer(*kept, template, source=source)


def byte_pair_tokenizer(
    pieces: Mapping[str, Any],
    merges: list[tuple[str, str]],
    special: Mapping[str, Any],
    source: object,
) -> BytePairTokenizer:
    """The tokenizer of a Hugging Face directory.

    Args:
        pieces: with the sentinels, if it has any.
        special: `tokenizer_config.json` or what names `eos_token` and `bos_token`; without them
            both are "<|endoftext|>". Pieces with a mask, RoBERTa's, are an encoder's.

    Raises:
        UserError: a token that is named has no id, or one that is no number.
    """
    check_ids(pieces, source)
    names = TAGS.said(special)
    if names.mask in pieces:
        # No text is unknown to bytes, though there is a piece for it.
        tokens = dataclasses.replace(names.ids(pieces, source), unknown=None)
        template = TWO_ENDS
    else:
        end = _id_of("eos_token", special, pieces, source)
        start = _id_of("bos_token", special, pieces, source) if special.get("bos_token") else end
        tokens = SpecialTokens(padding=end, start=start, end=end, unknown=None)
        template = PLAIN
    by_id = sorted(pieces, key=lambda piece: pieces[piece])
    extra_ids = num_trailing_sentinels(by_id)
    kept = {piece: pieces[piece] for piece in by_id[: len(by_id) - extra_ids]}
    return BytePairTokenizer(kept, merges, tokens, extra_ids, template, source=source)


def json_of_byte_pair(tokenizer: BytePairTokenizer) -> dict[str, Any]:
    """What `byte_pair_of_json` reads, as transformers 5 writes it."""
    pieces, special = list(tokenizer.pieces), tokenizer.special
    named = {special.start, special.end}
    if special.mask is not None:
        named |= {special.padding, special.mask}
        named |= {i for piece, i in tokenizer.pieces.items() if piece == TAGS.unknown}
    added = [(pieces[i], i) for i in sorted(named)]
    first = tokenizer.first_sentinel
    added += [(name, first + n) for n, name in enumerate(sentinels(tokenizer.extra_ids))]
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        # A mask takes the place of the blank before it, too.
        "added_tokens": [
            token | {"lstrip": token["id"] == special.mask} for token in written(added)
        ],
        "normalizer": None,
        "pre_tokenizer": {**_BYTE_LEVEL, "use_regex": True},
        "post_processor": None
        if tokenizer.template == PLAIN
        else json_of_template(tokenizer.template, special, pieces),
        "decoder": {**_BYTE_LEVEL, "use_regex": True},
        "model": {
            "type": "BPE",
            **_MODEL,
            "vocab": tokenizer.pieces,
            "merges": [list(pair) for pair in tokenizer.merges],
        },
    }


def _check_text(values: Mapping[str, Any], source: object) -> None:
    model, cut = values["model"], values.get("pre_tokenizer")
    is_cut = isinstance(cut, Mapping) and (
        (cut.get("type"), cut.get("add_prefix_space"), cut.get("use_regex", True))
        == ("ByteLevel", False, True)
    )
    other = [name for name, value in _MODEL.items() if model.get(name) not in (value, None)]
    if values.get("normalizer") is not None or not is_cut or other:
        what = other[0] if other else f"pre_tokenizer {str(cut)[:80]}"
        raise UserError(
            f"{source}: its {what} is another one than GPT-2's; needed is a byte-level BPE without "
            "a normalizer, whose pre_tokenizer is ByteLevel with add_prefix_space=false."
        )


def _id_of(role: str, special: Mapping[str, Any], pieces: Mapping[str, int], source: object) -> int:
    token = special.get(role) or END_OF_TEXT
    token = token.get("content") if isinstance(token, Mapping) else token
    if not isinstance(token, str) or token not in pieces:
        raise UserError(
            f"{source}: its {role} {token!r} has no id; needed is a token that ends a text, named "
            "in tokenizer_config.json."
        )
    return pieces[token]
