"""Special tokens by name, as the files of a Hugging Face directory have them."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens

# What Hugging Face calls them: a class token where we say what a text starts with.
_ROLES = {
    "padding": "pad_token",
    "unknown": "unk_token",
    "start": "cls_token",
    "end": "sep_token",
    "mask": "mask_token",
}
_NEEDED = ("padding", "start", "end")


@dataclasses.dataclass(frozen=True)
class SpecialNames:
    """The pieces of an encoder's special ids."""

    padding: str
    unknown: str
    start: str
    end: str
    mask: str

    def said(self, given: Mapping[str, Any]) -> "SpecialNames":
        """The same but for what `tokenizer_config.json`, or the like, says.

        Raises:
            UserError: it says something else than a token.
        """
        found = {}
        for role, key in _ROLES.items():
            token = given.get(key)
            token = token.get("content") if isinstance(token, Mapping) else token
            if token is not None and not isinstance(token, str):
                raise UserError(f"{key} is {given[key]!r}; needed is a token.")
            if token is not None:
                found[role] = token
        return dataclasses.replace(self, **found)

    def ids(self, pieces: Mapping[str, int], source: object) -> SpecialTokens:
        """The special ids; there may be no unknown token, and no mask.

        Raises:
            UserError: another one has no piece.
        """
        names = dataclasses.asdict(self)
        if missing := [role for role in _NEEDED if names[role] not in pieces]:
            raise UserError(
                f"{source}: its {_ROLES[missing[0]]} {names[missing[0]]!r} has no id; needed is "
                "one of its pieces, named in tokenizer_config.json."
            )
        return SpecialTokens(
            **{role: pieces[names[role]] for role in _NEEDED},
            unknown=pieces.get(self.unknown),
            mask=pieces.get(self.mask),
        )


# BERT's, which DistilBERT and ELECTRA have as well, RoBERTa's, ALBERT's and XLNet's.
BRACKETS = SpecialNames("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
TAGS = SpecialNames("<pad>", "<unk>", "<s>", "</s>", "<mask>")
TAGS_AND_BRACKETS = SpecialNames("<pad>", "<unk>", "[CLS]", "[SEP]", "[MASK]")
CLASS_TAGS = SpecialNames("<pad>", "<unk>", "<cls>", "<sep>", "<mask>")


def config_of(pieces: list[str], special: SpecialTokens) -> dict[str, Any]:
    """Special tokens as `tokenizer_config.json` names them."""
    ids = dataclasses.asdict(special)
    named = {key: ids[role] for role, key in _ROLES.items() if ids[role] is not None}
    return {key: pieces[i] for key, i in named.items()}
