"""How text is generated, as a frozen value (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_BATCH, MAX_LENGTH, check_bounds
from t5x_lite.decoding.strategies import BeamConfig, GreedyConfig, SampleConfig, StrategyConfig
from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """What is written whatever the strategy: at most `max_decode_length` tokens, the end token
    included, and `num_decodes` outputs for each input, best first.

    No output ends before `min_decode_length` tokens, the end token included, nor has a run of
    `no_repeat_ngram` tokens twice (0: it may); `forbid_sentinels` never writes <extra_id_...>.
    """

    strategy: StrategyConfig = dataclasses.field(
        default_factory=GreedyConfig,
        metadata={
            "formerly_named": {each.name: each for each in (GreedyConfig, SampleConfig, BeamConfig)}
        },
    )
    max_decode_length: int = 128
    num_decodes: int = 1
    min_decode_length: int = 0
    no_repeat_ngram: int = 0
    forbid_sentinels: bool = False

    def __post_init__(self) -> None:
        check_bounds(
            self,
            max_decode_length=(1, MAX_LENGTH),
            num_decodes=(1, MAX_BATCH),
            min_decode_length=(0, MAX_LENGTH),
            no_repeat_ngram=(0, MAX_LENGTH),
        )
        if self.min_decode_length > self.max_decode_length:
            raise UserError(
                f"min_decode_length={self.min_decode_length} and max_decode_length="
                f"{self.max_decode_length}: needed is a minimum that is no more: "
                "--gin.MIN_DECODE_LENGTH=... --gin.MAX_DECODE_LENGTH=..."
            )
        if self.strategy.refines and (self.min_decode_length > 1 or self.no_repeat_ngram):
            raise UserError(
                f"min_decode_length={self.min_decode_length} and no_repeat_ngram="
                f"{self.no_repeat_ngram} with strategy={self.strategy.name!r}, which writes whole "
                "targets at once: needed is 0 of both; `lengths` of generate() ask for a length: "
                "--gin.MIN_DECODE_LENGTH=0 --gin.NO_REPEAT_NGRAM=0"
            )
        self.strategy.check(self.max_decode_length)
        at_most = self.strategy.most_decodes()
        if at_most is not None and self.num_decodes > at_most:
            raise UserError(
                f"num_decodes={self.num_decodes}: strategy={self.strategy.name!r} gives at most "
                f"{at_most}; several outputs for an input come from strategy='sample' or from "
                "'beam' with a beam_size as large (decoding/sample.gin, decoding/beam4.gin)."
            )

    def describe(self) -> str:
        """The settings that have an effect, in one line."""
        words = f"{self.strategy.describe()}, max_decode_length={self.max_decode_length}"
        words += f", num_decodes={self.num_decodes}"
        if self.min_decode_length > 1:
            words += f", min_decode_length={self.min_decode_length}"
        if self.no_repeat_ngram:
            words += f", no_repeat_ngram={self.no_repeat_ngram}"
        return words + (", sentinels forbidden" if self.forbid_sentinels else "")
