"""Models and a decoder as one compiled function from prompts to token ids."""

from collections.abc import Mapping
from typing import Any

import jax
from jaxtyping import Array

from t5x_lite.decoding.config import DecodingConfig, Strategy
from t5x_lite.decoding.language_model import Decoded
from t5x_lite.decoding.table import decoder_of
from t5x_lite.errors import UserError
from t5x_lite.inference.ensemble import Ensemble, Networks
from t5x_lite.partitioning import compiler_options
from t5x_lite.partitioning.partitioner import Partitioner

# The number of each row's example among all examples, -1 for filler: sampling is a function of it.
EXAMPLE_INDEX = "example_index"


def make_generate(
    models: Ensemble,
    decoding: DecodingConfig,
    *,
    partitioner: Partitioner,
    shardings: Any,
    first_sentinel: int | None = None,
) -> jax.stages.Wrapped:
    """Decoding, jitted for a mesh: a function of the networks that `Ensemble.prepare` made, or with
    `shardings` of the parameters of each member, and of prompts (encoder_input_tokens, or
    decoder_prefix_tokens without an encoder, and example_index) that gives `Decoded`.

    Args:
        shardings: those of the parameters.
        first_sentinel: ids from this one on are those that `decoding` may forbid.

    Raises:
        UserError: sentinels are to be forbidden, and which they are is not known.
    """
    first_forbidden = first_forbidden_of(decoding, first_sentinel)

    def generate(given: Any, prompts: Mapping[str, Array]) -> Decoded:
        with partitioner.activations():
            networks = given if shardings is None else models.prepare(given)
            return decode_prompts(models, networks, prompts, decoding, first_forbidden)

    few_rows = decoding.strategy is not Strategy.BEAM
    options = compiler_options.of_decoding(partitioner.platform, few_rows=few_rows)
    # Every process gets all the ids: they are small, and each then knows the whole result.
    return jax.jit(
        generate,
        in_shardings=(shardings, partitioner.batch_sharding),
        out_shardings=partitioner.sharding(()),
        compiler_options=dict(options),
    )


def first_forbidden_of(decoding: DecodingConfig, first_sentinel: int | None) -> int | None:
    """The id from which on none is written, if any is forbidden.

    Raises:
        UserError: sentinels are to be forbidden, and which they are is not known.
    """
    if decoding.forbid_sentinels and first_sentinel is None:
        raise UserError(
            "forbid_sentinels=True, but the vocabulary does not say which ids are sentinels: "
            "use a SentencePiece or byte vocabulary, or --gin.FORBID_SENTINELS=False."
        )
    return first_sentinel if decoding.forbid_sentinels else None


def decode_prompts(
    models: Ensemble,
    networks: Networks,
    prompts: Mapping[str, Array],
    decoding: DecodingConfig,
    first_forbidden: int | None,
) -> Decoded:
    """Decoding, traced; `prompts` as of `make_generate`."""
    indices = prompts[EXAMPLE_INDEX]
    logits, caches = models.start(networks, prompts, max_decode_length=decoding.max_decode_length)
    decode = decoder_of(decoding, indices)
    return decode(
        logits,
        caches,
        models.language_model(networks),
        max_decode_length=decoding.max_decode_length,
        first_forbidden=first_forbidden,
        active=indices >= 0,
    )
