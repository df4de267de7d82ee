"""Batches that grow: how many rows each has. No TensorFlow here.

The number of rows is a function of the number of the batch, so a position is still how many batches
were read. All sizes are multiples of one, which is what the streams of examples give at a time.
"""

import bisect
import dataclasses
import math
from typing import NamedTuple

from t5x_lite.data.config import DatasetConfig


class Stage(NamedTuple):
    """From batch `first` of the run on, counted from 0, a batch has so many rows."""

    first: int
    rows: int


@dataclasses.dataclass(frozen=True)
class Ramp:
    """The sizes of all batches of a run; one stage, where none grows."""

    stages: tuple[Stage, ...]

    @property
    def rows_at_once(self) -> int:
        """What all sizes are multiples of."""
        return math.gcd(*(stage.rows for stage in self.stages))

    def rows_of(self, number: int) -> int:
        """Of batch `number` of the run, counted from 0."""
        return self.stages[bisect.bisect_right(self._firsts, number) - 1].rows

    def rows_of_first(self, count: int) -> int:
        """Of the first `count` batches of the run together."""
        total = 0
        for stage, end in zip(self.stages, [*self._firsts[1:], count], strict=True):
            total += stage.rows * max(0, min(end, count) - stage.first)
        return total

    @property
    def _firsts(self) -> list[int]:
        return [stage.first for stage in self.stages]

    def __str__(self) -> str:
        (_, rows), *later = self.stages
        return f"{rows} rows" + "".join(f", {n} from step {first + 1}" for first, n in later)


ONE_SIZE = Ramp((Stage(0, 1),))


def make_ramp(config: DatasetConfig) -> Ramp:
    """The sizes of a training run's batches: each that comes before the last lasts until its share
    of the rows of the ramp is read.
    """
    ramp = config.batch_ramp
    if ramp is None:
        return Ramp((Stage(0, config.batch_size),))
    sizes = range(ramp.start, config.batch_size, ramp.increment)
    stages, first = [], 0
    for rows in sizes:
        stages.append(Stage(first, rows))
        first += -(-ramp.rows // (len(sizes) * rows))
    return Ramp((*stages, Stage(first, config.batch_size)))
