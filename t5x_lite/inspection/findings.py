"""Everything that `inspect` shows, as values: what the terminal and the page are made of."""

import dataclasses
from collections.abc import Mapping, Sequence

from t5x_lite.data.pieces import Piece
from t5x_lite.data.prompts import Prompt
from t5x_lite.data.samples import Fill
from t5x_lite.inspection.statistics import FeatureStatistics


@dataclasses.dataclass(frozen=True)
class ShownFeature:
    """One feature of an example as a model reads it."""

    pieces: Sequence[Piece]
    ids: Sequence[int | float]
    limit: int


@dataclasses.dataclass(frozen=True)
class ShownExample:
    """`others` are the features that no model reads, such as labels, as text; `prompt` has the
    parts of an example that is one.
    """

    features: Mapping[str, ShownFeature]
    others: Mapping[str, str]
    prompt: Prompt | None = None


@dataclasses.dataclass(frozen=True)
class TaskFindings:
    """One task; `features` are statistics of `sample_size` examples, None where none were asked
    for. `is_all` says that these are the whole split.
    """

    name: str
    num_source_examples: int | None
    vocabulary: str
    examples: Sequence[ShownExample]
    features: Mapping[str, FeatureStatistics]
    sample_size: int
    is_all: bool
    unknown_characters: Mapping[str, int]


@dataclasses.dataclass(frozen=True)
class Share:
    """One task of a mixture: its rate, the share of the examples that follows, what `num_draws`
    real draws came to, and the share of the tokens, inputs and targets, that a model sees.
    """

    name: str
    rate: float
    share: float
    drawn: float
    tokens: float | None


@dataclasses.dataclass(frozen=True)
class Findings:
    """A task by itself, or a mixture's; `lengths_note` says where lengths come from if nobody gave
    them.
    """

    name: str
    split: str
    lengths: Mapping[str, int]
    lengths_note: str
    tasks: Sequence[TaskFindings]
    fill: Fill | None
    shares: Sequence[Share]
    num_draws: int

    @property
    def is_mixture(self) -> bool:
        """Whether there are shares to show."""
        return bool(self.shares)

    @property
    def padding_unpacked(self) -> Mapping[str, float]:
        """The share of each feature's positions that is padding with one example in a row; of a
        mixture, at the shares of its tasks.
        """
        shares = {share.name: share.share for share in self.shares}
        return {
            name: sum(
                shares.get(task.name, 1.0) * task.features[name].padding_unpacked
                for task in self.tasks
            )
            for name in self.tasks[0].features
        }
