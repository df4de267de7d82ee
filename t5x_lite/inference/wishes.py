"""What each example asks of its own output, besides what the decoder is told of all."""

import dataclasses
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.examples import FREE
from t5x_lite.decoding.strategies import SampleConfig
from t5x_lite.errors import UserError
from t5x_lite.inference.batching import Ids
from t5x_lite.inference.generate import FORCED_TOKENS, LENGTH, TEMPERATURE


@dataclasses.dataclass(frozen=True)
class Wishes:
    """For each prompt the ids that its output begins with, none of them an end token, the
    temperature that it is sampled with, and how many tokens it has, the end token counted in. None
    asks for nothing.
    """

    forced: Sequence[Ids] | None = None
    temperatures: Sequence[float] | None = None
    lengths: Sequence[int] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Of the features that there are."""
        features = (FORCED_TOKENS, TEMPERATURE, LENGTH)
        pairs = zip(features, vars(self).values(), strict=True)
        return tuple(name for name, given in pairs if given is not None)

    def part(self, start: int, end: int) -> "Wishes":
        """Those of the prompts from `start` up to `end`."""
        kept = (given if given is None else given[start:end] for given in vars(self).values())
        return Wishes(*kept)

    def check(self, decoding: DecodingConfig, count: int) -> None:
        """Whether they fit `count` prompts.

        Raises:
            UserError: there are more or fewer, a beginning leaves no room for a token of the
                model's own, a length is none that may be, or a temperature is none, or of a decoder
                that does not draw tokens one by one.
        """
        names: dict[str, Sequence[Any] | None] = {
            "prefixes": self.forced,
            "temperatures": self.temperatures,
            "lengths": self.lengths,
        }
        for name, given in names.items():
            if given is not None and len(given) != count:
                raise UserError(f"{len(given)} {name} for {count} inputs: needed is one for each.")
        for place in range(count):
            self._check_length(decoding, place)
            self._check_beginning(decoding, place)
            self._check_temperature(decoding, place)

    def _check_length(self, decoding: DecodingConfig, place: int) -> None:
        if self.lengths is None:
            return
        low = max(decoding.strategy.least_length(), decoding.min_decode_length)
        high = decoding.max_decode_length
        if not low <= self.lengths[place] <= high:
            raise UserError(
                f"length={self.lengths[place]} of the output of input {place}: needed is a number "
                f"of tokens from {low} to {high}, max_decode_length (--gin.MAX_DECODE_LENGTH)."
            )

    def _check_beginning(self, decoding: DecodingConfig, place: int) -> None:
        if self.forced is None:
            return
        if decoding.strategy.refines:
            raise UserError(
                f"beginnings of outputs with strategy={decoding.strategy.name!r}, which improves "
                "whole targets and keeps no token: needed are none (`prefixes`, "
                "--gin.PROMPT_WITH_TARGETS=False)."
            )
        longest, name = decoding.max_decode_length, "max_decode_length"
        if self.lengths is not None:
            longest, name = self.lengths[place], "its length"
        count = len(self.forced[place])
        if count >= longest:
            raise UserError(
                f"the output of input {place} is to begin with {count} tokens, and {name}="
                f"{longest} leaves no room behind them: needed is {count + 1} at least "
                "(--gin.MAX_DECODE_LENGTH)."
            )

    def _check_temperature(self, decoding: DecodingConfig, place: int) -> None:
        if self.temperatures is None:
            return
        if not isinstance(decoding.strategy, SampleConfig):
            raise UserError(
                f"a temperature for each input with strategy={decoding.strategy.name!r}: "
                "needed is strategy='sample', which alone draws each token once."
            )
        if not 0 < self.temperatures[place] < math.inf:
            raise UserError(
                f"temperature={self.temperatures[place]} of input {place}: needed is a positive "
                "number."
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
        if self.lengths is not None:
            features[LENGTH] = np.full(rows, FREE, np.int32)
            features[LENGTH][: len(places)] = [self.lengths[place] for place in places]
        return features


NO_WISHES = Wishes()


def numbers_of(given: Any, name: str, kind: type) -> list[Any] | None:
    """A list of numbers, which may have been an array; of whole ones, none is rounded to be one.

    Raises:
        UserError: it is none.
    """
    if given is None:
        return None
    values = given.tolist() if isinstance(given, np.ndarray) else given
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    if not is_list or not all(isinstance(each, kind) and each is not True for each in values):
        word = "whole numbers" if kind is numbers.Integral else "numbers"
        raise UserError(
            f"{name}={given!r}: needed is a list of {word}, one for each of the inputs."
        )
    return [each.item() if isinstance(each, np.generic) else each for each in values]
