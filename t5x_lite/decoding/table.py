"""The decoders: a row is a strategy and how its search is made of a config.

Another one is a row here, its name in `Strategy`, and the file of its `Search`.
"""

from collections.abc import Callable, Mapping

from t5x_lite.decoding.beam import BeamSearch
from t5x_lite.decoding.config import DecodingConfig, Strategy
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.sampling import sample
from t5x_lite.decoding.search import Search


def search_of(config: DecodingConfig, first_forbidden: int | None) -> Search:
    """What decodes as a config says, and never writes the ids from `first_forbidden` on."""
    return DECODERS[config.strategy](config, first_forbidden)


def _greedy(config: DecodingConfig, first_forbidden: int | None) -> Search:
    return greedy(max_decode_length=config.max_decode_length, first_forbidden=first_forbidden)


def _sample(config: DecodingConfig, first_forbidden: int | None) -> Search:
    return sample(
        seed=config.seed,
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        first_forbidden=first_forbidden,
    )


def _beam(config: DecodingConfig, first_forbidden: int | None) -> Search:
    return BeamSearch(
        beam_size=config.beam_size,
        alpha=config.alpha,
        max_decode_length=config.max_decode_length,
        num_decodes=config.num_decodes,
        first_forbidden=first_forbidden,
    )


DECODERS: Mapping[Strategy, Callable[[DecodingConfig, int | None], Search]] = {
    Strategy.GREEDY: _greedy,
    Strategy.SAMPLE: _sample,
    Strategy.BEAM: _beam,
}
