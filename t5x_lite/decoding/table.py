"""The decoders: a row is a strategy and how its function is made of a config.

Another one is a row here, its name in `Strategy`, and the file of its function, which takes what
`greedy` takes.
"""

import functools
from collections.abc import Callable, Mapping

import jax
from jaxtyping import Array, Int

from t5x_lite.decoding.beam import beam_search
from t5x_lite.decoding.config import DecodingConfig, Strategy
from t5x_lite.decoding.greedy import greedy
from t5x_lite.decoding.language_model import Decoded
from t5x_lite.decoding.sampling import sample

Decoder = Callable[..., Decoded]


def decoder_of(config: DecodingConfig, indices: Int[Array, "batch"]) -> Decoder:
    """The function that decodes as a config says.

    Args:
        indices: the number of each row's example among all examples, of which what sampling draws
            is a function.
    """
    return DECODERS[config.strategy](config, indices)


def _sample(config: DecodingConfig, indices: Int[Array, "batch"]) -> Decoder:
    key = jax.random.key(config.seed)
    return functools.partial(
        sample,
        keys=jax.vmap(lambda index: jax.random.fold_in(key, index))(indices),
        num_decodes=config.num_decodes,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
    )


def _beam(config: DecodingConfig, indices: Int[Array, "batch"]) -> Decoder:
    del indices
    return functools.partial(
        beam_search,
        beam_size=config.beam_size,
        alpha=config.alpha,
        num_decodes=config.num_decodes,
    )


DECODERS: Mapping[Strategy, Callable[[DecodingConfig, Int[Array, "batch"]], Decoder]] = {
    Strategy.GREEDY: lambda config, indices: greedy,
    Strategy.SAMPLE: _sample,
    Strategy.BEAM: _beam,
}
