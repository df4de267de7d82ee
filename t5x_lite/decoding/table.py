"""The decoders: a row is a strategy and what decodes so, made of its settings.

Another one is a row here, the class of its settings in `decoding.strategies`, and the file of its
`Search`, or of its `Schedule` if it improves whole targets.
"""

from collections.abc import Callable, Mapping
from typing import Any

from t5x_lite.decoding.beam import BeamSearch
from t5x_lite.decoding.conditional import ConditionalBeamSearch
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.exact import ExactSearch
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.refinement import Refinement, Schedule
from t5x_lite.decoding.rules import Rules
from t5x_lite.decoding.sampling import sample
from t5x_lite.decoding.schedules import LowTemperature, MaskPredict
from t5x_lite.decoding.search import Search
from t5x_lite.decoding.strategies import (
    BeamConfig,
    ConditionalBeamConfig,
    ExactConfig,
    GreedyConfig,
    MaskPredictConfig,
    RefiningConfig,
    SampleConfig,
    StrategyConfig,
    SundaeConfig,
)

# What decodes: token after token, or whole targets again and again.
Decoder = Search | Refinement


def decoder_of(config: DecodingConfig, rules: Rules) -> Decoder:
    """What decodes as a config says, and writes what the rules let it write."""
    return DECODERS[type(config.strategy)](config.strategy, config, rules)


def _greedy(own: GreedyConfig, config: DecodingConfig, rules: Rules) -> Search:
    del own
    return greedy(max_decode_length=config.max_decode_length, rules=rules)


def _sample(own: SampleConfig, config: DecodingConfig, rules: Rules) -> Search:
    return sample(
        seed=own.seed,
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        temperature=own.temperature,
        top_k=own.top_k,
        top_p=own.top_p,
        rules=rules,
    )


def _beam(own: BeamConfig, config: DecodingConfig, rules: Rules) -> Search:
    return BeamSearch(
        beam_size=own.beam_size,
        alpha=own.alpha,
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        rules=rules,
    )


def _exact(own: ExactConfig, config: DecodingConfig, rules: Rules) -> Search:
    return ExactSearch(
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        max_nodes=own.max_nodes,
        rules=rules,
    )


def _conditional_beam(own: ConditionalBeamConfig, config: DecodingConfig, rules: Rules) -> Search:
    return ConditionalBeamSearch(
        beam_size=own.beam_size,
        candidates=own.looked_at,
        attribute=own.attribute,
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        rules=rules,
    )


def _sundae(own: SundaeConfig, config: DecodingConfig, rules: Rules) -> Refinement:
    schedule = LowTemperature(own.num_steps, own.temperature, own.share)
    return _refinement(schedule, own, config, rules, seed=own.seed)


def _mask_predict(own: MaskPredictConfig, config: DecodingConfig, rules: Rules) -> Refinement:
    return _refinement(MaskPredict(own.num_steps), own, config, rules)


def _refinement(
    schedule: Schedule, own: RefiningConfig, config: DecodingConfig, rules: Rules, *, seed: int = 0
) -> Refinement:
    return Refinement(
        schedule,
        max_decode_length=config.max_decode_length,
        num_lengths=own.num_lengths,
        num_decodes=config.num_decodes,
        seed=seed,
        first_forbidden=rules.first_forbidden,
    )


# Of its own settings, those that all have, and what may be written.
Make = Callable[[Any, DecodingConfig, Rules], Decoder]
DECODERS: Mapping[type[StrategyConfig], Make] = {
    GreedyConfig: _greedy,
    SampleConfig: _sample,
    BeamConfig: _beam,
    ExactConfig: _exact,
    ConditionalBeamConfig: _conditional_beam,
    SundaeConfig: _sundae,
    MaskPredictConfig: _mask_predict,
}
