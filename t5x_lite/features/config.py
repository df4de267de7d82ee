"""Which ids have a meaning to a model, as a frozen value (standard library only)."""

import dataclasses

from t5x_lite.bounds import MAX_VOCABULARY, check_bounds


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpecialTokens:
    """Ids that are no text, of a model and its vocabulary alike; the defaults are T5's.

    A decoder starts from `start` and ends with `end`; GPT-2 has one id for both. `padding` fills
    rows: segment ids say where it stands, so it may be a piece of text as well. `unknown` is None
    where every text has ids. `start_before_prompts` is whether a language model reads `start`
    before a prompt that it continues, or only where there is no prompt; `end_after_inputs` whether
    inputs end with `end`, as T5's do, or go on in the target.
    """

    padding: int = 0
    start: int = 0
    end: int = 1
    unknown: int | None = 2
    start_before_prompts: bool = True
    end_after_inputs: bool = True

    def __post_init__(self) -> None:
        last = MAX_VOCABULARY - 1
        check_bounds(self, padding=(0, last), start=(0, last), end=(0, last), unknown=(0, last))
