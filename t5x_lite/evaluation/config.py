"""An evaluation job as one frozen value (no JAX)."""

import dataclasses
import enum

from t5x_lite.bounds import BELOW_ONE, FINITE, MAX_COUNT, POSITIVE, SEED, check_bounds
from t5x_lite.data.config import DatasetConfig
from t5x_lite.inference.config import PredictionConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatisticsConfig:
    """Bootstrap intervals: `num_resamples` draws of the examples, the same for the same `seed`.

    The metrics of a task together take at most `max_seconds`, a call or two of each beside it. One
    that has to be computed anew for each draw may get fewer draws, which are stated beside the
    interval; where there is no time for 100 there is no interval.
    """

    num_resamples: int = 1000
    confidence: float = 0.95
    seed: int = 0
    max_seconds: float | int = 30.0

    def __post_init__(self) -> None:
        check_bounds(
            self,
            num_resamples=(1, MAX_COUNT),
            confidence=(POSITIVE, BELOW_ONE),
            seed=SEED,
            max_seconds=(0.0, FINITE),
        )


class OptionScore(enum.Enum):
    """How the options of a prompt are ranked: by the mean log-probability of their tokens, by its
    sum, by the sum less that behind a neutral prompt (Brown et al. 2020, section 2.4), or not at
    all: then a text is generated, which may be one of them.
    """

    PER_TOKEN = "per_token"
    SUM = "sum"
    NEUTRAL = "neutral"
    GENERATE = "generate"


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvalConfig(PredictionConfig):
    """Everything `t5x_lite eval` needs.

    `reuse_decodes` takes the answers that an earlier evaluation of the same checkpoint kept for the
    same examples under the same decoding settings. `option_score` answers prompts that have
    options.
    """

    dataset: DatasetConfig
    statistics: StatisticsConfig = dataclasses.field(default_factory=StatisticsConfig)
    reuse_decodes: bool = True
    option_score: OptionScore = OptionScore.PER_TOKEN
