"""The decoders: a row is a strategy and how its search is made of a config.

Another one is a row here, its name in `Strategy`, and the file of its `Search`.
"""

from collections.abc import Callable, Mapping

from t5x_lite.decoding.beam import BeamSearch
from t5x_lite.decoding.config import DecodingConfig, Strategy
from t5x_lite.decoding.exact import ExactSearch
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.rules import Rules
from t5x_lite.decoding.sampling import sample
from t5x_lite.decoding.search import Search


def search_of(config: DecodingConfig, rules: Rules) -> Search:
    """What decodes as a config says, and writes what the rules let it write."""
    return DECODERS[config.strategy](config, rules)


def _greedy(config: DecodingConfig, rules: Rules) -> Search:
    return greedy(max_decode_length=config.max_decode_length, rules=rules)


def _sample(config: DecodingConfig, rules: Rules) -> Search:
    return sample(
        seed=config.seed,
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        rules=rules,
    )


def _beam(config: DecodingConfig, rules: Rules) -> Search:
    return BeamSearch(
        beam_size=config.beam_size,
        alpha=config.alpha,
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        rules=rules,
    )


def _exact(config: DecodingConfig, rules: Rules) -> Search:
    return ExactSearch(
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        max_nodes=config.max_nodes,
        rules=rules,
    )


DECODERS: Mapping[Strategy, Callable[[DecodingConfig, Rules], Search]] = {
    Strategy.GREEDY: _greedy,
    Strategy.SAMPLE: _sample,
    Strategy.BEAM: _beam,
    Strategy.EXACT: _exact,
}
