"""What an example says of itself beside its ids if it is a prompt: the item that is asked, the
demonstrations before it, and the options there are to choose from.

Tasks make such examples (`t5x_lite.tasks.few_shot`), evaluation ranks their options, inspection
shows them. All of it is text under names that no model reads.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from t5x_lite.errors import UserError

ITEM = "prompt/item"  # the text that is asked, without demonstrations
SHOWN = "prompt/demonstrations"  # those that fit, as they stand before it
SEPARATOR = "prompt/separator"
DRAWN = "prompt/drawn"  # how many demonstrations were asked for
TOKENS = "prompt/tokens"  # of the item alone, its end token included
OPTIONS = "prompt/options"  # texts as targets; none where a text is generated
RIGHT = "prompt/right"  # the place of the right option, -1 if it is not known
NEUTRAL = "prompt/neutral"  # inputs that say nothing of the item
NAMES = frozenset({ITEM, SHOWN, SEPARATOR, DRAWN, TOKENS, OPTIONS, RIGHT, NEUTRAL})


@dataclasses.dataclass(frozen=True)
class Prompt:
    """The parts of a prompt. `drawn` demonstrations were asked for, those in `shown` fit."""

    item: str
    shown: Sequence[str]
    separator: str
    drawn: int
    options: Sequence[str]
    right: int
    neutral: str


def prompt_of(example: Mapping[str, Any]) -> Prompt | None:
    """None of an example that is no prompt."""
    if ITEM not in example:
        return None
    return Prompt(
        item=str(example[ITEM]),
        shown=[str(each) for each in example[SHOWN]],
        separator=str(example[SEPARATOR]),
        drawn=int(example[DRAWN]),
        options=[str(each) for each in example[OPTIONS]],
        right=int(example[RIGHT]),
        neutral=str(example[NEUTRAL]),
    )


def check_fit(
    name: str, examples: Sequence[Mapping[str, Any]], lengths: Mapping[str, int] | None
) -> None:
    """Refuses items that are cut even without a demonstration: what is asked stands at their end.

    Raises:
        UserError: with the longest of them.
    """
    limit = (lengths or {}).get("inputs")
    longest = max((int(each[TOKENS]) for each in examples if ITEM in each), default=0)
    if limit is not None and longest > limit:
        raise UserError(
            f"{name}: a prompt has {longest} tokens without any demonstration, and inputs may have "
            f"{limit}: needed is room for it, --gin.TASK_FEATURE_LENGTHS=\"{{'inputs': {longest}, "
            '...}" (t5x_lite inspect: --lengths), or a shorter template.'
        )
