"""The vocabulary of a Hugging Face directory, as transformers 5 and older versions write it."""

import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from t5x_lite.errors import UserError
from t5x_lite.text.added_tokens import read_added
from t5x_lite.text.byte_pair import MERGES_FILE, PIECES_FILE, BytePairTokenizer, parse_merges
from t5x_lite.text.byte_pair_json import byte_pair_of_json, byte_pair_tokenizer, json_of_byte_pair
from t5x_lite.text.byte_tokenizer import ByteTokenizer
from t5x_lite.text.encoder_unigram_json import (
    is_of_encoder,
    json_of_unigram,
    unigram_config,
    unigram_of_json,
    unigram_of_model,
)
from t5x_lite.text.sentencepiece_files import read_sentencepiece
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer, with_sentinels
from t5x_lite.text.special_ids import NUM_SENTINELS
from t5x_lite.text.special_names import config_of
from t5x_lite.text.unigram import UnigramTokenizer
from t5x_lite.text.unigram_json import json_of_sentencepiece, sentencepiece_of_json
from t5x_lite.text.vocabulary_file import read_extra_ids
from t5x_lite.text.word_piece import (
    WORD_PIECES_FILE,
    WordPieceTokenizer,
    lines_of,
    parse_lines,
)
from t5x_lite.text.word_piece_json import (
    json_of_word_piece,
    word_piece_config,
    word_piece_of_json,
    word_piece_of_lines,
)
from t5x_lite.text_files import read_json_object, read_text

SENTENCEPIECE = "spiece.model"
TOKENIZER = "tokenizer.json"
CONFIG = "tokenizer_config.json"
SPECIAL = "special_tokens_map.json"
FILES = f"{SENTENCEPIECE}, {TOKENIZER}, {WORD_PIECES_FILE}, or {PIECES_FILE} and {MERGES_FILE}"
_BYT5_SENTINELS = 125
_Known = (
    SentencePieceTokenizer
    | ByteTokenizer
    | BytePairTokenizer
    | WordPieceTokenizer
    | UnigramTokenizer
)


def read_tokenizer(folder: epath.Path) -> _Known | None:
    """The tokenizer of a Hugging Face directory; None where there is none that is known.

    Raises:
        UserError: its files are damaged, or of a kind that is not read.
    """
    if (folder / SENTENCEPIECE).is_file():
        return _sentencepiece(folder)
    if (folder / TOKENIZER).is_file():
        return _of_json(folder)
    if (folder / PIECES_FILE).is_file() and (folder / MERGES_FILE).is_file():
        path = folder / MERGES_FILE
        merges = parse_merges(read_text(path), path)
        return byte_pair_tokenizer(
            read_json_object(folder / PIECES_FILE), merges, _special_tokens(folder), folder
        )
    if (path := folder / WORD_PIECES_FILE).is_file():
        pieces = parse_lines(read_text(path), path)
        return word_piece_of_lines(pieces, _special_tokens(folder), path)
    return _byt5(folder)


def huggingface_files(tokenizer: object) -> dict[str, bytes]:
    """File name -> content of what transformers 5 needs of a vocabulary, and older versions too.

    Empty for a tokenizer that is none of ours.
    """
    if isinstance(tokenizer, SentencePieceTokenizer):
        files = {SENTENCEPIECE: tokenizer.model, CONFIG: _content(_t5_config(tokenizer.extra_ids))}
        values = json_of_sentencepiece(tokenizer)
        return files if values is None else {TOKENIZER: _content(values), **files}
    if isinstance(tokenizer, UnigramTokenizer):
        values, config = json_of_unigram(tokenizer), unigram_config(tokenizer)
        files = {TOKENIZER: _content(values), CONFIG: _content(config)}
        # Who reads the model alone takes the rule of commas for granted.
        older = {SENTENCEPIECE: tokenizer.model} if tokenizer.rules.split_digit_commas else {}
        return files | older
    if isinstance(tokenizer, BytePairTokenizer):
        values, config = json_of_byte_pair(tokenizer), _byte_pair_config(tokenizer)
        files = {TOKENIZER: _content(values), CONFIG: _content(config)}
        return files | tokenizer.openai_files()
    if isinstance(tokenizer, WordPieceTokenizer):
        values, config = json_of_word_piece(tokenizer), word_piece_config(tokenizer)
        files = {TOKENIZER: _content(values), CONFIG: _content(config)}
        return files | {WORD_PIECES_FILE: lines_of(tokenizer.names)}
    if isinstance(tokenizer, ByteTokenizer):
        return {CONFIG: _content(_byt5_config(tokenizer))}
    return {}


def _sentencepiece(folder: epath.Path) -> SentencePieceTokenizer | UnigramTokenizer:
    """An encoder's by its special tokens. T5's alone does not say how many sentinels stand behind
    it.
    """
    path, config = folder / SENTENCEPIECE, folder / CONFIG
    model = read_sentencepiece(path)
    if (found := unigram_of_model(model, _special_tokens(folder), path)) is not None:
        return found
    extra_ids = read_extra_ids(config, NUM_SENTINELS) if config.is_file() else NUM_SENTINELS
    return with_sentinels(model, extra_ids, source=path)


def _of_json(folder: epath.Path) -> _Known:
    path = folder / TOKENIZER
    values = read_json_object(path)
    model = values.get("model")
    kind = model.get("type") if isinstance(model, Mapping) else None
    if kind == "Unigram":
        if is_of_encoder(read_added(values, path)):
            return unigram_of_json(values, _special_tokens(folder), path)
        return sentencepiece_of_json(values, path)
    if kind == "BPE":
        return byte_pair_of_json(values, _special_tokens(folder), path)
    if kind == "WordPiece":
        return word_piece_of_json(values, _special_tokens(folder), path)
    raise UserError(
        f"{path} holds a model of type {kind!r}; needed is Unigram, as T5's and ALBERT's are, a "
        "byte-level BPE, as GPT-2's is, or WordPiece, as BERT's is."
    )


def _special_tokens(folder: epath.Path) -> dict[str, Any]:
    """The names of special tokens, of which the older file has some where the newer has none."""
    found: dict[str, Any] = {}
    for name in (SPECIAL, CONFIG):
        values = read_json_object(folder / name) if (folder / name).is_file() else {}
        found |= {key: value for key, value in values.items() if value is not None}
    return found


def _byt5(folder: epath.Path) -> ByteTokenizer | None:
    """ByT5's vocabulary has no file but the two that describe it."""
    for name in (CONFIG, "config.json"):
        path = folder / name
        if path.is_file() and read_json_object(path).get("tokenizer_class") == "ByT5Tokenizer":
            return ByteTokenizer(read_extra_ids(path, _BYT5_SENTINELS))
    return None


def _t5_config(extra_ids: int) -> dict[str, Any]:
    return {
        "tokenizer_class": "T5Tokenizer",
        "pad_token": "<pad>",
        "eos_token": "</s>",
        "unk_token": "<unk>",
        "extra_ids": extra_ids,
    }


def _byt5_config(tokenizer: ByteTokenizer) -> dict[str, Any]:
    extra_ids = tokenizer.num_ids - tokenizer.first_sentinel
    return _t5_config(extra_ids) | {"tokenizer_class": "ByT5Tokenizer"}


def _byte_pair_config(tokenizer: BytePairTokenizer) -> dict[str, Any]:
    pieces, special = list(tokenizer.pieces), tokenizer.special
    if special.mask is not None:
        return {
            "tokenizer_class": "RobertaTokenizer",
            "bos_token": pieces[special.start],
            "eos_token": pieces[special.end],
            **config_of(pieces, special),
            "mask_token": _with_blank_before(pieces[special.mask]),
            "add_prefix_space": False,
        }
    return {
        "tokenizer_class": "GPT2Tokenizer",
        "bos_token": pieces[special.start],
        "eos_token": pieces[special.end],
        "unk_token": pieces[special.end],
        "pad_token": None,
        "add_prefix_space": False,
    }


def _with_blank_before(token: str) -> dict[str, Any]:
    """A token that takes the blank before it, as transformers writes one."""
    flags = dict.fromkeys(("single_word", "rstrip", "normalized"), False)
    return {"__type": "AddedToken", "content": token, "lstrip": True, **flags, "special": True}


def _content(values: Mapping[str, Any]) -> bytes:
    return (json.dumps(values, ensure_ascii=False, indent=2) + "\n").encode()
