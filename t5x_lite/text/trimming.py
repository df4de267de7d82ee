"""A vocabulary without the pieces that nobody uses: a text of kept pieces is cut into the same ones
as before, and each keeps its place among them.

What has to stay beside the used pieces differs by the kind of vocabulary: special tokens, sentinels
and bytes of all; of a unigram the unlikeliest piece, by which SentencePiece says what an unknown
character costs; of a BPE all that the used ones are merged of. Of WordPiece nothing: the longest
piece that was found is still the longest.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text.byte_pair import BytePairTokenizer
from t5x_lite.text.piece_pairs import Pair, all_pairs
from t5x_lite.text.sentencepiece_files import parse_sentencepiece
from t5x_lite.text.sentencepiece_tokenizer import SentencePieceTokenizer
from t5x_lite.text.tokenizer import Tokenizer
from t5x_lite.text.unigram import UnigramTokenizer
from t5x_lite.text.word_piece import WordPieceTokenizer

_PLACEHOLDER = re.compile(r"\[unused\d+\]")
_TRAINED_IDS = ("unk_id", "bos_id", "eos_id", "pad_id")


class Trimmed(NamedTuple):
    """A vocabulary, and of each of its ids the one that it was before."""

    tokenizer: Tokenizer
    ids: tuple[int, ...]


def trim(tokenizer: Tokenizer, used: Collection[int]) -> Trimmed:
    """The vocabulary with the used ids and what has to stay.

    Raises:
        UserError: as `check_kind`.
    """
    check_kind(tokenizer)
    kind = next(each for each in _KINDS if isinstance(tokenizer, each))
    return _KINDS[kind](tokenizer, used)


def check_kind(tokenizer: Tokenizer) -> None:
    """Refuses a vocabulary that cannot be trimmed.

    Raises:
        UserError: it is one of bytes, of which none can go.
    """
    if not isinstance(tokenizer, tuple(_KINDS)):
        raise UserError(
            f"a vocabulary of {tokenizer.num_ids} bytes and sentinels has no piece to leave out; "
            "needed is a model with SentencePiece, a BPE or WordPiece."
        )


def characters(tokenizer: Tokenizer) -> set[int]:
    """The pieces of one character, at the beginning of a word or within one: what they spell is
    never unknown.
    """
    names = map(tokenizer.name_of, range(tokenizer.num_ids))
    return {i for i, n in enumerate(names) if len(n.removeprefix("▁").removeprefix("##")) <= 1}


def moved(special: SpecialTokens, ids: Sequence[int]) -> SpecialTokens:
    """The special ids among those that are left."""
    place = {old: new for new, old in enumerate(ids)}
    old = dataclasses.asdict(special)
    new: dict[str, Any] = {name: None if i is None else place[i] for name, i in old.items()}
    return SpecialTokens(**new)


def _sentencepiece(tokenizer: SentencePieceTokenizer, used: Collection[int]) -> Trimmed:
    kept = _kept_pieces(parse_sentencepiece(tokenizer.model, "the vocabulary"), used)
    model = _with_pieces(tokenizer.model, kept)
    behind = range(tokenizer.num_ids - tokenizer.extra_ids, tokenizer.num_ids)
    return Trimmed(SentencePieceTokenizer(model, tokenizer.extra_ids), (*kept, *behind))


def _unigram(tokenizer: UnigramTokenizer, used: Collection[int]) -> Trimmed:
    """Its scores are those by which text is cut, not those of the file."""
    named = _special_ids(tokenizer.special)
    proto = parse_sentencepiece(tokenizer.scored_model, "the vocabulary")
    kept = _kept_pieces(proto, {*used, *named})
    model, special = _with_pieces(tokenizer.model, kept), moved(tokenizer.special, kept)
    trimmed = UnigramTokenizer(model, special, tokenizer.rules, tokenizer.template)
    return Trimmed(trimmed, tuple(kept))


def _word_piece(tokenizer: WordPieceTokenizer, used: Collection[int]) -> Trimmed:
    """BERT's has "[unused0]" and others in front of its special tokens. They stay, so that these
    keep the ids that Hugging Face's files of a model take for granted.
    """
    special = _special_ids(tokenizer.special)
    in_front = {i for i in range(max(special)) if _PLACEHOLDER.fullmatch(tokenizer.names[i])}
    kept = sorted({*used, *special, *in_front})
    pieces, ids = {tokenizer.names[old]: new for new, old in enumerate(kept)}, tuple(kept)
    of_texts = tokenizer.rules, tokenizer.template
    return Trimmed(WordPieceTokenizer(pieces, moved(tokenizer.special, ids), *of_texts), ids)


def _byte_pair(tokenizer: BytePairTokenizer, used: Collection[int]) -> Trimmed:
    """Pieces that no pair makes are bytes or no text, and stay."""
    names, ranks = list(tokenizer.pieces), {pair: i for i, pair in enumerate(tokenizer.merges)}
    made = {left + right for left, right in ranks}
    wanted = [names[i] for i in used if i < len(names) and names[i] in made]
    pairs = all_pairs(wanted, ranks.get)
    stays = {left + right for left, right in pairs} | set(wanted)
    kept = [i for i, name in enumerate(names) if name not in made or name in stays]
    trimmed = BytePairTokenizer(
        {names[old]: new for new, old in enumerate(kept)},
        [pair for pair in tokenizer.merges if pair in pairs],
        moved(tokenizer.special, kept),
        tokenizer.extra_ids,
        tokenizer.template,
    )
    return Trimmed(trimmed, (*kept, *range(len(names), tokenizer.num_ids)))


_KINDS: Mapping[type, Callable[[Any, Collection[int]], Trimmed]] = {
    SentencePieceTokenizer: _sentencepiece,
    UnigramTokenizer: _unigram,
    WordPieceTokenizer: _word_piece,
    BytePairTokenizer: _byte_pair,
}


def _special_ids(special: SpecialTokens) -> set[int]:
    return {i for i in dataclasses.asdict(special).values() if i is not None}


def _kept_pieces(proto: Any, used: Iterable[int]) -> list[int]:
    """The ids of a SentencePiece model that stay; what is behind its pieces is not among them."""
    normal = [i for i, p in enumerate(proto.pieces) if p.type == proto.SentencePiece.NORMAL]
    kept = {i for i in used if i < len(proto.pieces)}
    kept |= set(range(len(proto.pieces))) - set(normal)
    kind = proto.trainer_spec.model_type
    if kind == proto.trainer_spec.UNIGRAM and normal:
        kept.add(min(normal, key=lambda i: proto.pieces[i].score))
    if kind == proto.trainer_spec.BPE:
        kept |= _merged_on_the_way(proto, kept)
    return sorted(kept)


def _merged_on_the_way(proto: Any, kept: Iterable[int]) -> set[int]:
    """A SentencePiece BPE merges what gives the piece with the highest score."""
    ids = {piece.piece: i for i, piece in enumerate(proto.pieces)}

    def rank(pair: Pair) -> float | None:
        i = ids.get("".join(pair))
        return None if i is None else -proto.pieces[i].score

    kinds = (proto.SentencePiece.NORMAL, proto.SentencePiece.UNUSED)
    names = [proto.pieces[i].piece for i in kept if proto.pieces[i].type in kinds]
    return {ids[left + right] for left, right in all_pairs(names, rank)}


def _with_pieces(model: bytes, kept: Sequence[int]) -> bytes:
    """The model with these of its pieces. What else it holds goes: test texts, whose pieces may."""
    proto = parse_sentencepiece(model, "the vocabulary")
    left, place = type(proto)(), {old: new for new, old in enumerate(kept)}
    left.pieces.extend(proto.pieces[i] for i in kept)
    for name in ("trainer_spec", "normalizer_spec", "denormalizer_spec"):
        if proto.HasField(name):
            getattr(left, name).CopyFrom(getattr(proto, name))
    left.trainer_spec.vocab_size = len(kept)
    for name in _TRAINED_IDS:
        setattr(left.trainer_spec, name, place.get(getattr(proto.trainer_spec, name), -1))
    return left.SerializeToString()
