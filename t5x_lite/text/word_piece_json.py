"""WordPiece in a Hugging Face directory: `tokenizer.json`, or `vocab.txt`, <-> pieces and rules."""

from collections.abc import Mapping
from typing import Any

from t5x_lite.errors import UserError
from t5x_lite.text.added_tokens import read_added, written
from t5x_lite.text.special_names import BRACKETS, config_of
from t5x_lite.text.template import PLAIN, START_AND_END
from t5x_lite.text.template_json import json_of_template, template_of_json
from t5x_lite.text.word_piece import CONTINUES, MAX_CHARACTERS, WordPieceTokenizer, WordRules

_MODEL = {"continuing_subword_prefix": CONTINUES, "max_input_chars_per_word": MAX_CHARACTERS}
_SWITCHES = {"lowercase": "lower_case", "handle_chinese_chars": "split_chinese"}
# What older directories may ask for beside the rules, and where it changes nothing.
_FIXED = {"do_basic_tokenize": True, "never_split": None}


def word_piece_of_json(
    values: Mapping[str, Any], given: Mapping[str, Any], source: object
) -> WordPieceTokenizer:
    """The tokenizer of a `tokenizer.json` whose model is WordPiece.

    Args:
        given: names of special tokens, as `tokenizer_config.json` says them.

    Raises:
        UserError: it changes or cuts text in another way than BERT's, or is damaged.
    """
    model = values["model"]
    _check_model(model, values.get("pre_tokenizer"), source)
    if not isinstance(model.get("vocab"), Mapping):
        given_vocab = str(model.get("vocab"))[:40]
        raise UserError(
            f"{source}: its vocab is {given_vocab!r}; needed are pieces with their ids."
        )
    pieces = {**model["vocab"], **read_added(values, source)}
    # The model says it where nobody names it.
    unknown = {"unk_token": model["unk_token"]} if "unk_token" in model else {}
    special = BRACKETS.said({**unknown, **given}).ids(pieces, source)
    rules = _rules_of_json(values.get("normalizer"), source)
    template = template_of_json(values.get("post_processor"), special, source)
    # Without a post_processor nobody has said what an encoder reads.
    template = START_AND_END if template == PLAIN else template
    return WordPieceTokenizer(pieces, special, rules, template, source=source)


def word_piece_of_lines(
    pieces: Mapping[str, int], given: Mapping[str, Any], source: object
) -> WordPieceTokenizer:
    """The tokenizer of a `vocab.txt`.

    Args:
        given: `tokenizer_config.json` and what names special tokens. Where it does not say whether
            capitals stay (`do_lower_case`), the pieces do: text is in lower case if all pieces are.

    Raises:
        UserError: text would be cut in another way than BERT's, or a special token has no id.
    """
    special = BRACKETS.said(given).ids(pieces, source)
    for name, value in _FIXED.items():
        if given.get(name, value) not in (value, None):
            raise UserError(
                f"{source}: tokenizer_config.json has {name}={given[name]!r}; needed is "
                f"{value!r}, text that is cut into words as BERT's is."
            )
    ids = {special.padding, special.unknown, special.start, special.end, special.mask}
    has_capitals = any(piece != piece.lower() for piece, i in pieces.items() if i not in ids)
    lower_case = _switch(given, "do_lower_case", not has_capitals, source)
    rules = WordRules(
        lower_case=lower_case,
        strip_accents=_switch(given, "strip_accents", lower_case, source),
        split_chinese=_switch(given, "tokenize_chinese_chars", True, source),
    )
    return WordPieceTokenizer(pieces, special, rules, source=source)


def json_of_word_piece(tokenizer: WordPieceTokenizer) -> dict[str, Any]:
    """What `word_piece_of_json` reads, as transformers 5 writes it."""
    names, special, rules = tokenizer.names, tokenizer.special, tokenizer.rules
    ids = {special.padding, special.unknown, special.start, special.end, special.mask} - {None}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": written((names[i], i) for i in sorted(i for i in ids if i is not None)),
        "normalizer": {
            "type": "BertNormalizer",
            "clean_text": True,
            "handle_chinese_chars": rules.split_chinese,
            "strip_accents": rules.strip_accents,
            "lowercase": rules.lower_case,
        },
        "pre_tokenizer": {"type": "BertPreTokenizer"},
        "post_processor": json_of_template(tokenizer.template, special, names),
        "decoder": {"type": "WordPiece", "prefix": CONTINUES, "cleanup": True},
        "model": {
            "type": "WordPiece",
            "unk_token": names[special.unknown] if special.unknown is not None else None,
            **_MODEL,
            "vocab": tokenizer.pieces,
        },
    }


def word_piece_config(tokenizer: WordPieceTokenizer) -> dict[str, Any]:
    """`tokenizer_config.json`, which older versions read beside `vocab.txt`."""
    rules = tokenizer.rules
    return {
        "tokenizer_class": "BertTokenizer",
        **config_of(tokenizer.names, tokenizer.special),
        "do_lower_case": rules.lower_case,
        "strip_accents": rules.strip_accents,
        "tokenize_chinese_chars": rules.split_chinese,
    }


def _check_model(model: Mapping[str, Any], cut: Any, source: object) -> None:
    other = [name for name, value in _MODEL.items() if model.get(name, value) != value]
    if other or not isinstance(cut, Mapping) or cut.get("type") != "BertPreTokenizer":
        what = f"{other[0]} {model[other[0]]!r}" if other else f"pre_tokenizer {str(cut)[:80]}"
        raise UserError(
            f"{source}: its {what} is another one than BERT's; needed is a WordPiece whose "
            f"pre_tokenizer is BertPreTokenizer, with {_MODEL}."
        )


def _rules_of_json(normalizer: Any, source: object) -> WordRules:
    given = normalizer if isinstance(normalizer, Mapping) else {}
    if given.get("type") != "BertNormalizer" or given.get("clean_text", True) is not True:
        raise UserError(
            f"{source}: its normalizer ({str(normalizer)[:80]}) changes text in another way than "
            "BERT's; needed is BertNormalizer with clean_text=true."
        )
    found = {ours: _switch(given, theirs, True, source) for theirs, ours in _SWITCHES.items()}
    accents = _switch(given, "strip_accents", found["lower_case"], source)
    return WordRules(**found, strip_accents=accents)


def _switch(values: Mapping[str, Any], name: str, default: bool, source: object) -> bool:
    value = values.get(name)
    if value is not None and not isinstance(value, bool):
        raise UserError(f"{source}: its {name} is {value!r}; needed is true or false.")
    return default if value is None else value
