"""What each example asks of its own output, besides what the decoder is told of all."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t5x_lite.decoding.config import DecodingConfig, Strategy
from t5x_lite.decoding.examples import FREE
from t5x_lite.errors import UserError
from t5x_lite.inference.batching import Ids
from t5x_lite.inference.generate import FORCED_TOKENS, TEMPERATURE


@dataclasses.dataclass(frozen=True)
class Wishes:
    """For each prompt the ids that its output begins with, none of them an end token, and the
    temperature that it is sampled with; None asks for nothing.
    """

    forced: Sequence[Ids] | None = None
    temperatures: Sequence[float] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features that there are."""
        return tuple(name for name, given in self._given if given is not None)

    @property
    def _given(self) -> tuple[tuple[str, Sequence[Any] | None], ...]:
        return ((FORCED_TOKENS, self.forced), (TEMPERATURE, self.temperatures))

    def part(self, start: int, end: int) -> "Wishes":
        """Those of the prompts from `start` up to `end`."""
        kept = (given if given is None else given[start:end] for _, given in self._given)
        return Wishes(*kept)

    def check(self, decoding: DecodingConfig, count: int) -> None:
        """Whether they fit `count` prompts.

        Raises:
            UserError: there are more or fewer, a beginning leaves no room for a token of the
                model's own, or a temperature is none, or of a decoder that draws nothing.
        """
        for name, given in (("prefixes", self.forced), ("temperatures", self.temperatures)):
            if given is not None and len(given) != count:
                raise UserError(f"{len(given)} {name} for {count} inputs: needed is one for each.")
        for place, ids in enumerate(self.forced or ()):
            if len(ids) >= decoding.max_decode_length:
                raise UserError(
                    f"the output of input {place} is to begin with {len(ids)} tokens, and "
                    f"max_decode_length={decoding.max_decode_length} leaves no room behind them: "
                    f"needed is {len(ids) + 1} at least (--gin.MAX_DECODE_LENGTH)."
                )
        if self.temperatures is None:
            return
        if decoding.strategy is not Strategy.SAMPLE:
            raise UserError(
                f"a temperature for each input with strategy={decoding.strategy.value!r}, which "
                "draws nothing: needed is strategy='sample'."
            )
        for place, temperature in enumerate(self.temperatures):
            if not 0 < temperature < math.inf:
                raise UserError(
                    f"temperature={temperature} of input {place}: needed is a positive number."
                )

    def features(
        self, places: Sequence[int], rows: int, decoding: DecodingConfig
    ) -> Mapping[str, np.ndarray]:
        """Those of a batch of so many rows, the first of which hold the prompts at `places`."""
        features: dict[str, np.ndarray] = {}
        if self.forced is not None:
            forced = np.full((rows, decoding.max_decode_length), FREE, np.int32)
            for row, place in enumerate(places):
                forced[row, : len(self.forced[place])] = self.forced[place]
            features[FORCED_TOKENS] = forced
        if self.temperatures is not None:
            features[TEMPERATURE] = np.ones(rows, np.float32)
            features[TEMPERATURE][: len(places)] = [self.temperatures[place] for place in places]
        return features


NO_WISHES = Wishes()
