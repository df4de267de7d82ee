"""How text is generated, as frozen values (no JAX)."""

import dataclasses
import enum

from t5x_lite.bounds import (
    FINITE,
    MAX_BATCH,
    MAX_COUNT,
    MAX_LENGTH,
    POSITIVE,
    SEED,
    check_bounds,
)
from t5x_lite.errors import UserError


class Strategy(enum.Enum):
    """GREEDY takes the likeliest token, SAMPLE draws one, BEAM keeps several hypotheses, EXACT
    finds the likeliest sequence of all.
    """

    GREEDY = "greedy"
    SAMPLE = "sample"
    BEAM = "beam"
    EXACT = "exact"


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingConfig:
    """How tokens are chosen, for at most `max_decode_length` of them, the end token included.

    `num_decodes` outputs are given for each input, best first. Sampling divides the logits by
    `temperature`, then keeps the `top_k` likeliest tokens (0: all), then the fewest of these whose
    probabilities sum to `top_p`; example i always draws the same numbers of `seed`, whatever the
    batch. Beam search keeps `beam_size` hypotheses; `alpha` is the exponent of its length penalty.
    The exact search looks at `max_nodes` prefixes at most.
    No output ends before `min_decode_length` tokens, the end token included, nor has a run of
    `no_repeat_ngram` tokens twice (0: it may); `forbid_sentinels` never writes <extra_id_...>.
    """

    strategy: Strategy = Strategy.GREEDY
    max_decode_length: int = 128
    num_decodes: int = 1
    temperature: float | int = 1.0
    top_k: int = 0
    top_p: float | int = 1.0
    seed: int = 0
    beam_size: int = 4
    alpha: float | int = 0.6
    max_nodes: int = 10_000
    min_decode_length: int = 0
    no_repeat_ngram: int = 0
    forbid_sentinels: bool = False

    def __post_init__(self) -> None:
        check_bounds(
            self,
            max_decode_length=(1, MAX_LENGTH),
            num_decodes=(1, MAX_BATCH),
            temperature=(POSITIVE, FINITE),
            top_k=(0, MAX_COUNT),
            top_p=(POSITIVE, 1.0),
            seed=SEED,
            beam_size=(1, MAX_BATCH),
            alpha=(0.0, FINITE),
            max_nodes=(1, MAX_COUNT),
            min_decode_length=(0, MAX_LENGTH),
            no_repeat_ngram=(0, MAX_LENGTH),
        )
        if self.min_decode_length > self.max_decode_length:
            raise UserError(
                f"min_decode_length={self.min_decode_length} and max_decode_length="
                f"{self.max_decode_length}: needed is a minimum that is no more: "
                "--gin.MIN_DECODE_LENGTH=... --gin.MAX_DECODE_LENGTH=..."
            )
        if self.strategy is Strategy.EXACT and self.max_nodes < self.max_decode_length:
            raise UserError(
                f"max_nodes={self.max_nodes} and max_decode_length={self.max_decode_length}: "
                "needed are as many prefixes as tokens at least, or nothing may be found: "
                "--gin.MAX_NODES=..."
            )
        at_most = {Strategy.GREEDY: 1, Strategy.BEAM: self.beam_size}.get(self.strategy)
        if at_most is not None and self.num_decodes > at_most:
            raise UserError(
                f"num_decodes={self.num_decodes}: strategy={self.strategy.value!r} gives at most "
                f"{at_most}; several outputs for an input come from strategy='sample' or from "
                "'beam' with a beam_size as large (decoding/sample.gin, decoding/beam4.gin)."
            )

    def describe(self) -> str:
        """The settings that have an effect, in one line."""
        words = {
            Strategy.GREEDY: "greedy",
            Strategy.SAMPLE: (
                f"sampling, temperature={self.temperature}, top_k={self.top_k or 'all'}, "
                f"top_p={self.top_p}, seed={self.seed}"
            ),
            Strategy.BEAM: f"beam search, beam_size={self.beam_size}, alpha={self.alpha}",
            Strategy.EXACT: f"exact search, max_nodes={self.max_nodes}",
        }[self.strategy]
        words += f", max_decode_length={self.max_decode_length}, num_decodes={self.num_decodes}"
        if self.min_decode_length > 1:
            words += f", min_decode_length={self.min_decode_length}"
        if self.no_repeat_ngram:
            words += f", no_repeat_ngram={self.no_repeat_ngram}"
        return words + (", sentinels forbidden" if self.forbid_sentinels else "")
