"""A model and a decoder as one compiled function from prompts to token ids."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
from jaxtyping import Array, Int

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.greedy import greedy
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner

# Parameters and prompts (encoder_input_tokens, or decoder_prefix_tokens without an encoder) to ids.
Generate = Callable[[Any, Mapping[str, Array]], Int[Array, "batch max_decode_length"]]


def make_generate(
    model: ModelConfig,
    decoding: DecodingConfig,
    *,
    partitioner: Partitioner,
    shardings: Any,
) -> Generate:
    """Compiles greedy decoding for a mesh; `shardings` are those of the parameters."""

    def generate(
        parameters: Any, prompts: Mapping[str, Array]
    ) -> Int[Array, "batch max_decode_length"]:
        length = decoding.max_decode_length
        with partitioner.activations():
            logits, cache = transformer.start(model, parameters, prompts, max_decode_length=length)
            return greedy(
                logits,
                cache,
                lambda tokens, cache: transformer.advance(model, parameters, tokens, cache),
                max_decode_length=length,
            )

    # Every process gets all the ids: they are small, and each then knows the whole result.
    return jax.jit(
        generate,
        in_shardings=(shardings, partitioner.batch_sharding),
        out_shardings=partitioner.sharding(()),
    )
