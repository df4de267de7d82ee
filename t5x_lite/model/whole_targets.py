"""Decoding whole targets at a time: inputs are read once, and each pass of the decoder scores what
should stand at every position, given all tokens that stand there.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.features.outputs import TOKENS, Scores
from t5x_lite.model import masks
from t5x_lite.model.choices import ExamplePlace, HeadKind
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.network import Batch, Encoded, Transformer


def read_inputs(network: Transformer, batch: Batch) -> Encoded:
    """What the decoder of a prepared network attends to; a row holds one example."""
    return network.encode(batch)


def length_scores(network: Transformer, encoded: Encoded) -> Float[Array, "batch lengths"] | None:
    """The log-probability of each length from 1 on; None if the model tells none."""
    config = network.config
    if config.head(HeadKind.LENGTH) is None:
        return None
    assert encoded.hidden is not None, "inputs that were read have hidden states"
    place = jnp.zeros_like(encoded.segments[:, :1])
    if config.example_place is ExamplePlace.LAST:
        place = jnp.sum(encoded.segments, axis=1, keepdims=True, dtype=jnp.int32) - 1
    hidden = jnp.take_along_axis(encoded.hidden, place[..., None], axis=1)
    scores = network.head(HeadKind.LENGTH.value, hidden).all()[:, 0]
    return jax.nn.log_softmax(scores, axis=-1)


def repeated(encoded: Encoded, n: int) -> Encoded:
    """For n targets of each example, neighbours."""
    assert encoded.hidden is not None, "inputs that were read have hidden states"
    return Encoded(jnp.repeat(encoded.hidden, n, axis=0), jnp.repeat(encoded.segments, n, axis=0))


def token_scores(
    network: Transformer,
    encoded: Encoded,
    tokens: Int[Array, "rows length"],
    is_real: Bool[Array, "rows length"],
) -> Scores:
    """Of every token at every position, one target a row."""
    decoder = network.config.decoder
    assert decoder is not None, "asked of a model that denoises"
    segments, positions = is_real.astype(jnp.int32), masks.row_positions(tokens.shape[1])
    mask = AttentionMask(
        visibility=decoder.visibility,
        window=decoder.window,
        q_positions=positions,
        kv_positions=positions,
        q_segments=segments,
        kv_segments=segments,
    )
    hidden, _ = network.decode(network.embed(tokens), mask, encoded)
    return network.head(TOKENS, hidden)
