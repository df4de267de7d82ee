"""Which ids have a meaning to a model, and what stands around a prompt (standard library only)."""

import dataclasses
import enum
from collections.abc import Collection

from t5x_lite.bounds import MAX_VOCABULARY, check_bounds
from t5x_lite.errors import UserError


class Attribute(enum.Enum):
    """What a written sequence may have. ANYTHING has every one. NOT_EMPTY: a token stands before
    the end. NO_REPETITION: no four tokens in a row stand twice. COMPLETE: it ends, and was not cut.
    """

    ANYTHING = "anything"
    NOT_EMPTY = "not_empty"
    NO_REPETITION = "no_repetition"
    COMPLETE = "complete"

    @property
    def is_exact(self) -> bool:
        """Whether any prefix that has not ended tells of all that begin so."""
        return self in (Attribute.ANYTHING, Attribute.NOT_EMPTY)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """Ids that are no text, of a model and its vocabulary alike; the defaults are T5's.

    A decoder starts from `start` and ends with `end`; GPT-2 has one id for both. An encoder by
    itself reads them around texts: BERT's [CLS] and [SEP]. `padding` fills rows: segment ids say
    where it stands, so it may be a piece of text as well. `unknown` is None where every text has
    ids, `mask`, which stands for tokens that are to be found, where there is none.
    """

    padding: int = 0
    start: int = 0
    end: int = 1
    unknown: int | None = 2
    mask: int | None = None

    def __post_init__(self) -> None:
        names = [field.name for field in dataclasses.fields(self)]
        check_bounds(self, **dict.fromkeys(names, (0, MAX_VOCABULARY - 1)))


# What a decoder depends on; of masks, and of all but padding, an encoder knows nothing.
OF_DECODERS = ("padding", "start", "end", "unknown")


def check_special(
    model: SpecialTokens,
    vocabulary: SpecialTokens,
    source: object,
    names: Collection[str] = OF_DECODERS,
) -> None:
    """Refuses a vocabulary whose special ids are not those of the model.

    Args:
        names: of the ids that the model depends on.

    Raises:
        UserError: with both.
    """
    differing = [n for n in names if getattr(model, n) != getattr(vocabulary, n)]
    if differing:
        ours = ", ".join(f"{name}={getattr(model, name)}" for name in differing)
        theirs = ", ".join(f"{name}={getattr(vocabulary, name)}" for name in differing)
        flags = " ".join(f"--gin.SpecialTokens.{n}={getattr(vocabulary, n)}" for n in differing)
        raise UserError(
            f"the model has the special ids {ours}, the vocabulary {source} {theirs}: needed are "
            f"the same. A model made for this vocabulary is told: {flags}"
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class PromptConfig:
    """What stands around the inputs that a model is given to continue or to answer.

    `end_token` is whether they end with the end token, as T5's do, or go on in the target.
    `start_token` is whether a language model reads its start token before them, as it does in
    training; GPT-2's users leave it out. Where there are no inputs it is always read.
    """

    start_token: bool = True
    end_token: bool = True
