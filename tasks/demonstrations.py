"""Examples shown before an item: drawn from the training split, never the item itself.

A draw is a function of the seed, the item's own text and the training examples, so it does not
depend on the order of the items, their number or who else reads them. Those of a smaller K are the
first of a larger one.
"""

import dataclasses
import functools
import random
from collections import Counter
from collections.abc import Sequence

from t5x_lite.data.config import FewShotConfig
from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True)
class Pool:
    """Training examples: the texts of the items, and each with its answer behind it."""

    name: str
    items: Sequence[str]
    texts: Sequence[str]

    def draw(self, item: str, config: FewShotConfig) -> list[int]:
        """The places of `config.k` examples whose items are not this one, in the order in which
        they are shown.

        Raises:
            UserError: there are not so many.
        """
        there = len(self.items) - self._times[item]
        if config.k > there:
            raise UserError(
                f"FEW_SHOT_K={config.k}, but {self.name} has only {there} training examples that "
                f"are not the item itself: needed is at most --gin.FEW_SHOT_K={there} "
                "(t5x_lite inspect: --few_shot_k)."
            )
        # A text seeds alike on every machine, unlike its hash.
        drawn = random.Random(f"{config.seed} {'' if config.shared else item}")
        places: dict[int, None] = {}
        while len(places) < config.k:
            place = drawn.randrange(len(self.items))
            if self.items[place] != item:
                places[place] = None
        return list(places)

    @functools.cached_property
    def _times(self) -> Counter[str]:
        return Counter(self.items)
