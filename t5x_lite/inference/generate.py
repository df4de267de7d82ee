"""Models and a decoder as one compiled function from prompts to token ids."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Float32, Int32

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.examples import Examples
from t5x_lite.decoding.language_model import Decoded
from t5x_lite.decoding.refinement import Refinement, refine
from t5x_lite.decoding.rules import rules_of
from t5x_lite.decoding.search import decode
from t5x_lite.decoding.strategies import BeamConfig, ConditionalBeamConfig
from t5x_lite.decoding.table import Decoder, decoder_of
from t5x_lite.errors import UserError
from t5x_lite.inference.ensemble import Ensemble, Networks
from t5x_lite.inference.fitting import check_fits
from t5x_lite.partitioning import compiler_options
from t5x_lite.partitioning.partitioner import Partitioner

# The number of each row's example among all examples, -1 for filler: sampling is a function of it.
EXAMPLE_INDEX = "example_index"
# The tokens that each row's output has to begin with, the temperature of each row, and how many
# tokens it has to have, where given.
FORCED_TOKENS, TEMPERATURE, LENGTH = "forced_tokens", "temperature", "decode_length"


@dataclasses.dataclass(frozen=True)
class Generated:
    """The outputs for one example, best first, as `decoding.language_model.Decoded` says."""

    tokens: Int32[np.ndarray, "decodes length"]
    log_probs: Float32[np.ndarray, "decodes"]
    scores: Float32[np.ndarray, "decodes"]
    end: int

    def ids(self, decode: int = 0) -> list[int]:
        """One output, its end token included, without the padding behind it."""
        row = self.tokens[decode].tolist()
        return row[: row.index(self.end) + 1] if self.end in row else row

    @property
    def num_tokens(self) -> int:
        """Of all outputs together, without padding."""
        return sum(len(self.ids(decode)) for decode in range(len(self.tokens)))

    def ended(self, decode: int = 0) -> bool:
        """Whether the output has an end token, so was not cut at max_decode_length."""
        return bool((self.tokens[decode] == self.end).any())


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
    decoder_prefix_tokens without an encoder, example_index, perhaps what `Wishes` ask for) that
    gives `Decoded`.

    Args:
        shardings: those of the parameters.
        first_sentinel: ids from this one on are those that `decoding` may forbid.

    Raises:
        UserError: see `decoder_for`.
    """
    decoder = decoder_for(models, decoding, first_sentinel)

    def generate(given: Any, prompts: Mapping[str, Array]) -> Decoded:
        with partitioner.activations():
            networks = given if shardings is None else models.prepare(given)
            return decode_prompts(models, networks, prompts, decoder, decoding.max_decode_length)

    # Every process gets all the ids: they are small, and each then knows the whole result.
    return jax.jit(
        generate,
        in_shardings=(shardings, partitioner.batch_sharding),
        out_shardings=partitioner.sharding(()),
        compiler_options=options_for(decoding, partitioner),
    )


def decoder_for(models: Ensemble, decoding: DecodingConfig, first_sentinel: int | None) -> Decoder:
    """What decodes so, where sentinels are the ids from `first_sentinel` on.

    Raises:
        UserError: sentinels are to be forbidden, and which they are is not known; or the models do
            not tell what the strategy asks.
    """
    for model in models.members:
        check_fits(model, decoding)
    if decoding.forbid_sentinels and first_sentinel is None:
        raise UserError(
            "forbid_sentinels=True, but the vocabulary does not say which ids are sentinels: "
            "use a SentencePiece or byte vocabulary, or --gin.FORBID_SENTINELS=False."
        )
    return decoder_of(decoding, rules_of(decoding, first_sentinel))


def examples_of(prompts: Mapping[str, Array]) -> Examples:
    """What a decoder is told of the rows of a batch."""
    wishes = (prompts.get(name) for name in (FORCED_TOKENS, TEMPERATURE, LENGTH))
    return Examples(prompts[EXAMPLE_INDEX], *wishes)


def decode_prompts(
    models: Ensemble,
    networks: Networks,
    prompts: Mapping[str, Array],
    decoder: Decoder,
    max_decode_length: int,
) -> Decoded:
    """Decoding, traced; `prompts` as of `make_generate`."""
    if isinstance(decoder, Refinement):
        denoiser = models.denoiser(networks, prompts, num_lengths=decoder.num_lengths)
        return refine(decoder, denoiser, examples_of(prompts)).decoded
    logits, caches = models.start(networks, prompts, max_decode_length=max_decode_length)
    model = models.language_model(networks)
    return decode(decoder, logits, caches, model, examples=examples_of(prompts))


def options_for(decoding: DecodingConfig, partitioner: Partitioner) -> dict[str, str]:
    """The compiler's, of programs that decode so."""
    few_rows = not isinstance(decoding.strategy, BeamConfig | ConditionalBeamConfig)
    return dict(compiler_options.of_decoding(partitioner.platform, few_rows=few_rows))
