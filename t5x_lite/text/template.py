"""What stands around a text, or around a pair of texts, for an encoder that reads them at once."""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens

_TEXTS = ("A", "B")
_TOKENS = ("start", "end")


class Part(NamedTuple):
    """One of the texts "A" and "B", or a token by its name in `SpecialTokens`, and its type."""

    name: str
    token_type: int

    @property
    def is_text(self) -> bool:
        """Whether it is as long as a text, not one token."""
        return self.name in _TEXTS


class Framed(NamedTuple):
    """Ids of texts and of what stands around them, and the type of each token."""

    ids: list[int]
    token_types: list[int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Template:
    """Of one text and of a pair the parts in their order, with blanks between them. The type of a
    part's tokens stands behind a colon and is 0 where none does: "start A end B:1 end:1" is BERT's
    pair (Devlin et al. 2018, section 3).

    Raises:
        UserError: a part is none, or a text is missing or there twice.
    """

    single: str
    pair: str

    def __post_init__(self) -> None:
        for name, expected in (("single", _TEXTS[:1]), ("pair", _TEXTS)):
            texts = [part.name for part in self.parts(is_pair=name == "pair") if part.is_text]
            if sorted(texts) != list(expected):
                raise UserError(
                    f"the template {name}={getattr(self, name)!r} has the texts {texts}; needed "
                    f"is each of {', '.join(expected)} once."
                )

    @functools.cached_property
    def _parts(self) -> Mapping[bool, tuple[Part, ...]]:
        return {False: _parse(self.single), True: _parse(self.pair)}

    def parts(self, *, is_pair: bool) -> tuple[Part, ...]:
        """In their order."""
        return self._parts[is_pair]

    def num_tokens(self, *, is_pair: bool) -> int:
        """How many tokens stand around the texts."""
        return sum(not part.is_text for part in self.parts(is_pair=is_pair))

    @property
    def num_types(self) -> int:
        """One more than the highest type of a token."""
        every = self.parts(is_pair=False) + self.parts(is_pair=True)
        return 1 + max(part.token_type for part in every)

    def frame(
        self, special: SpecialTokens, first: Sequence[int], second: Sequence[int] | None = None
    ) -> Framed:
        """The ids of a text, or of a pair, with what stands around them."""
        texts: dict[str, Sequence[int]] = {"A": first, "B": second or []}
        found = Framed([], [])
        for part in self.parts(is_pair=second is not None):
            ids = texts[part.name] if part.is_text else [getattr(special, part.name)]
            found.ids.extend(ids)
            found.token_types.extend([part.token_type] * len(ids))
        return found


def _parse(template: str) -> tuple[Part, ...]:
    found = []
    for word in template.split():
        name, colon, number = word.partition(":")
        if name not in _TEXTS + _TOKENS or (colon and not number.isdecimal()):
            raise UserError(
                f"the template {template!r} has the part {word!r}; needed is one of "
                f"{', '.join(_TEXTS + _TOKENS)}, with the type of its tokens as in B:1."
            )
        found.append(Part(name, int(number or 0)))
    return tuple(found)


# How a decoder, and an encoder before one, read a text, by whether it ends with an end token.
PLAIN = Template(single="A", pair="A B")
WITH_END = Template(single="A end", pair="A end B end")
# BERT's; RoBERTa's, which has two ends between texts and no types; XLNet's.
START_AND_END = Template(single="start A end", pair="start A end B:1 end:1")
TWO_ENDS = Template(single="start A end", pair="start A end end B end")
START_LAST = Template(single="A end start:2", pair="A end B:1 end:1 start:2")
