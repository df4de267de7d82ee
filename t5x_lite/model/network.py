"""The Transformer: token embedding, encoder if there is one, decoder, head."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray

from t5x_lite.model import masks, maxima, parameters
from t5x_lite.model.block import LayerCache
from t5x_lite.model.config import ModelConfig, Sharing, Visibility
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.linear import Linear
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.precision import activation_dtype, precision_of
from t5x_lite.model.prompt import Prompt
from t5x_lite.model.stack import Stack
from t5x_lite.partitioning.constrain import constrain

Batch = Mapping[str, Array]


class Encoded(NamedTuple):
    """What cross-attention reads: [batch, enc_len, embed] and which positions are real.

    `hidden` is None once a decoding cache holds the keys and values made of it.
    """

    hidden: Array | None
    is_real: Array
    segments: Array | None


class Embedding(nnx.Module):
    """The table of token vectors, shared by encoder, decoder and, in v1.0, the head."""

    def __init__(self, vocab_size: int, embed_dim: int, *, key: PRNGKeyArray):
        self.embedding = parameters.normal(
            key, (vocab_size, embed_dim), axes=("vocab", "embed"), stddev=1.0
        )

    def __call__(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch length embed"]:
        """The float32 vector of each token."""
        return jnp.take(self.embedding[...], tokens, axis=0)


class Transformer(nnx.Module):
    """All weights, each owned once; in the shared architecture the encoder owns none."""

    def __init__(self, config: ModelConfig, *, key: PRNGKeyArray):
        self.config = config
        embed_key, encoder_key, decoder_key, head_key = jax.random.split(key, 4)
        self.token_embedder = Embedding(config.vocab_size, config.embed_dim, key=embed_key)
        if config.encoder is not None and config.sharing is Sharing.NONE:
            self.encoder = Stack(config.encoder, config.embed_dim, key=encoder_key)
        self.decoder = Stack(config.decoder, config.embed_dim, key=decoder_key)
        if config.head_is_separate:
            kernel = parameters.truncated_normal(
                head_key,
                (config.embed_dim, config.vocab_size),
                axes=("embed", "vocab"),
                stddev=config.embed_dim**-0.5,
            )
            self.logits_dense = Linear(kernel)
        self.prompt = (
            # Folded beyond what the split gave: all else begins as it would without a prompt.
            Prompt(config.prompt_length, config.embed_dim, key=jax.random.fold_in(key, 4))
            if config.prompt_length
            else None
        )

    def encode(self, batch: Batch, dropout: Dropout = NO_DROPOUT) -> Encoded:
        """Runs the encoder on `encoder_input_tokens`, behind the prompt if there is one."""
        config = self.config.encoder
        assert config is not None, "only a model with an encoder encodes"
        tokens = batch["encoder_input_tokens"]
        segments = batch.get("encoder_segment_ids")
        is_real = tokens > 0 if segments is None else segments > 0
        x = self.embed(tokens)
        if self.prompt is not None and segments is None:
            added = ((0, 0), (self.config.prompt_length, 0))
            x, is_real = self.prompt.insert(x, at=0), jnp.pad(is_real, added, constant_values=True)
        elif self.prompt is not None and segments is not None:
            x = self.prompt.fill(x, batch.get("encoder_positions"), segments, at=0)
        positions = masks.row_positions(x.shape[1])
        shared = self.config.sharing is Sharing.ENCODER_DECODER
        with maxima.within("encoder"):
            hidden, _ = (self.decoder if shared else self.encoder)(
                x,
                config,
                AttentionMask(
                    visibility=config.visibility,
                    q_positions=positions,
                    kv_positions=positions,
                    kv_is_real=is_real,
                    q_segments=segments,
                    kv_segments=segments,
                ),
                compute=self.config.compute,
                dropout=dropout.fold("encoder"),
            )
        return Encoded(hidden, is_real, segments)

    def decode(
        self,
        x: Float[Array, "batch length embed"],
        mask: AttentionMask,
        encoded: Encoded | None,
        *,
        dropout: Dropout = NO_DROPOUT,
        cache: LayerCache | None = None,
        keep_cache: bool = False,
    ) -> tuple[Float[Array, "batch length embed"], LayerCache | None]:
        """Runs the decoder, or the only stack of a language model, on embedded tokens."""
        cross_mask = None
        if encoded is not None:
            # Behind a cache several rows may read one example, so theirs are not its positions; a
            # query of the encoder's output sees all of it wherever it stands.
            is_cached = encoded.hidden is None
            cross_mask = AttentionMask(
                visibility=Visibility.FULL,
                q_positions=masks.row_positions(1) if is_cached else mask.q_positions,
                kv_positions=masks.row_positions(encoded.is_real.shape[1]),
                kv_is_real=encoded.is_real,
                q_segments=mask.q_segments,
                kv_segments=encoded.segments,
            )
        with maxima.within("decoder"):
            return self.decoder(
                x,
                self.config.decoder,
                mask,
                compute=self.config.compute,
                dropout=dropout.fold("decoder"),
                encoded=None if encoded is None else encoded.hidden,
                cross_mask=cross_mask,
                cache=cache,
                keep_cache=keep_cache,
            )

    def logits(
        self, hidden: Float[Array, "batch length embed"]
    ) -> Float[Array, "batch length vocab"]:
        """Scores of every token, in float32."""
        precision = precision_of(hidden.dtype)
        hidden = hidden.astype(jnp.float32)
        if self.config.scale_logits:
            hidden = hidden * self.config.embed_dim**-0.5
        if self.config.logits_via_embedding:
            kernel, product = self.token_embedder.embedding[...], "ble,ve->blv"
        else:
            kernel, product = self.logits_dense.kernel[...], "ble,ev->blv"
        logits = jnp.einsum(product, hidden, kernel, precision=precision)
        maxima.observe("logits", logits)
        return constrain(logits, ("batch", "length", "vocab"))

    def embed(self, tokens: Int[Array, "batch length"]) -> Float[Array, "batch length embed"]:
        """The vector of each token, as the stacks read it."""
        dtype = activation_dtype(self.config.compute.activation_dtype)
        return constrain(self.token_embedder(tokens).astype(dtype), ("batch", "length", "embed"))
