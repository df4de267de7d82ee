"""The Transformer: token embedding, encoder, decoder, those of both that there are, heads."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Scores
from t5x_lite.model import masks, maxima, rounding, taps
from t5x_lite.model.block import LayerCache
from t5x_lite.model.choices import Granularity, Weights
from t5x_lite.model.config import ModelConfig, Sharing, StackConfig, Visibility
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.heads import Pooler, Read, TokensHead, make_heads
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.linear import Linear
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.memory import Memory, Recurrence
from t5x_lite.model.precision import activation_dtype
from t5x_lite.model.projections import Projections
from t5x_lite.model.prompt import Prompt
from t5x_lite.model.quantization import quantized_parameter
from t5x_lite.model.quantization_config import QuantizationConfig
from t5x_lite.model.stack import Stack
from t5x_lite.model.streams import Order
from t5x_lite.partitioning.constrain import constrain

Batch = Mapping[str, Array]


class Encoded(NamedTuple):
    """What cross-attention reads: [batch, enc_len, embed] and the segment of each position.

    `hidden` is None once a decoding cache holds the keys and values made of it.
    """

    hidden: Array | None
    segments: Array


class Embedding(nnx.Module):
    """The table of token vectors, shared by encoder, decoder and, in v1.0, the head."""

    def __init__(self, config: ModelConfig, *, key: PRNGKeyArray):
        self.embedding = Initializer(config.init).vectors(
            key,
            (config.vocab_size, config.token_width),
            axes=("vocab", config.token_axis),
        )

        given = config.quantization
        self.granularity = given.granularity if given is not None and given.embedding else None
        # Of inference, see `quantize`.
        self.embedding_scale: nnx.Param | None = None

    def quantize(self) -> None:
        """The table as int8, with a scale for each token."""
        granularity = self.granularity or Granularity.CHANNEL
        values, scale = quantized_parameter(self.embedding, axis=-1, granularity=granularity)
        self.embedding, self.embedding_scale = values, nnx.data(scale)

    def __call__(
        self, tokens: Int[Array, "batch length"]
    ) -> Float[Array, "batch length token_embed"]:
        """The float32 vector of each token."""
        vectors = jnp.take(self.embedding[...], tokens, axis=0)
        scale = self._scale()
        return vectors if scale is None else self._times(vectors, jnp.take(scale, tokens, axis=0))

    @property
    def is_plain(self) -> bool:
        """Whether vectors are floats that nothing rounds."""
        return self.embedding_scale is None and self.granularity is None

    def table(self) -> Float[Array, "vocab token_embed"]:
        """All vectors, as a head reads them."""
        vectors, scale = self.embedding[...], self._scale()
        return vectors if scale is None else self._times(vectors, scale)

    def _scale(self) -> Float[Array, "vocab"] | None:
        """Of vectors that are whole numbers, or are to be rounded to them."""
        if self.embedding_scale is not None:
            return self.embedding_scale[...]
        if self.granularity is None:
            return None
        return rounding.step_of(self.embedding[...], -1, self.granularity)[:, 0]

    def _times(
        self, vectors: Shaped[Array, "*rows token_embed"], scale: Float[Array, "*rows"]
    ) -> Float[Array, "*rows token_embed"]:
        if self.embedding_scale is None:
            steps = rounding.steps_of_weights(vectors, scale[..., None])
            return steps * scale[..., None]
        return vectors.astype(scale.dtype) * scale[..., None]


class Transformer(nnx.Module):
    """All weights, each owned once; in the shared architecture the encoder owns none."""

    def __init__(self, config: ModelConfig, *, key: PRNGKeyArray):
        self.config = config
        embed_key, encoder_key, decoder_key, head_key = jax.random.split(key, 4)
        self.token_embedder = Embedding(config, key=embed_key)
        if config.encoder is not None and config.sharing is Sharing.NONE:
            self.encoder = Stack(config.encoder, config, key=encoder_key)
        if config.decoder is not None:
            self.decoder = Stack(config.decoder, config, key=decoder_key)
        # Folded beyond what the split gave: all else begins as it would without.
        if config.pooler:
            self.pooler = Pooler(config, key=jax.random.fold_in(key, 5))
        self.heads = nnx.Dict(make_heads(config, key=head_key))
        self.prompt = (
            Prompt(config.prompt_length, config.token_width, key=jax.random.fold_in(key, 4))
            if config.prompt_length
            else None
        )
        if config.projections is not None:
            own = jax.random.fold_in(key, 7)
            self.projections = Projections(config.projections, config, key=own)
        if config.recurrence is not None and config.recurrence.num_memories:
            own = jax.random.fold_in(key, 8)
            self.recurrence = Recurrence(config.recurrence, config, key=own)
        if config.quantization is not None:
            for path, linear in self._linears(config.quantization):
                linear.round_to(config.quantization, path)
        if config.weights is Weights.INT8:
            self.quantize()

    def quantize(self) -> None:
        """Weights as int8, where quantization.py says."""
        quantization = self.config.quantization
        if quantization is not None:
            self.use_whole_numbers(jnp.dtype(jnp.int8))
            holds_table = quantization.embedding
        else:
            for stack in self.stacks:
                stack.quantize()
            holds_table = self.config.head_is_separate
        if holds_table:
            self.token_embedder.quantize()

    def use_whole_numbers(self, dtype: jnp.dtype) -> None:
        """Kernels of products of 8 bits as what they are rounded to."""
        if self.config.quantization is not None:
            for _, linear in self._linears(self.config.quantization):
                linear.quantize(dtype)

    def _linears(self, config: QuantizationConfig) -> list[tuple[str, Linear]]:
        """Whose products are of 8 bits, by their paths."""
        return [
            ("/".join(map(str, path)), module)
            for path, module in nnx.iter_modules(self)
            if isinstance(module, Linear)
            and path[0] in (*self.config.stacks, "pooler")
            and path[-1] not in config.float_kernels
        ]

    def turn_heads(self) -> None:
        """Arranges a table that is a head as well as decoding reads it fastest; not one that is of
        8 bits.
        """
        if self.token_embedder.is_plain:
            vectors = jnp.asarray(self.token_embedder.embedding[...])
            for head in self.heads.values():
                if isinstance(head, TokensHead):
                    head.turn(vectors)

    @property
    def stacks(self) -> list[Stack]:
        """Those that own weights."""
        return [getattr(self, name) for name in self.config.stacks if hasattr(self, name)]

    def encode(self, batch: Batch, dropout: Dropout = NO_DROPOUT) -> Encoded:
        """Runs the encoder on `encoder_input_tokens`, which has room for the prompt in front of
        each example if there is one.
        """
        config = self.config.encoder
        assert config is not None, "only a model with an encoder encodes"
        segments = segments_of(batch, "encoder")
        x = self.embed(batch["encoder_input_tokens"], segments, prompt_at=0)
        positions = masks.row_positions(x.shape[1])
        order = order_of(config, batch)
        shared = self.config.sharing is Sharing.ENCODER_DECODER
        with maxima.within("encoder"), taps.within("encoder"):
            hidden, _ = (self.decoder if shared else self.encoder)(
                x,
                config,
                AttentionMask(
                    visibility=config.visibility,
                    window=config.window,
                    q_positions=positions,
                    kv_positions=positions,
                    q_segments=segments,
                    kv_segments=segments,
                ),
                compute=self.config.compute,
                dropout=dropout.fold("encoder"),
                token_types=batch.get("encoder_token_types"),
                order=order,
            )
        return Encoded(hidden, segments)

    def decode(
        self,
        x: Float[Array, "batch length embed"],
        mask: AttentionMask,
        encoded: Encoded | None,
        *,
        dropout: Dropout = NO_DROPOUT,
        cache: LayerCache | list[LayerCache] | None = None,
        keep_cache: bool = False,
        memory: Memory | None = None,
    ) -> tuple[Float[Array, "batch length embed"], Any]:
        """Runs the decoder, or the only stack of a language model, on embedded tokens; gives its
        output and, if asked for, what its layers saw: `Seen`, or the cache with one more position.
        """
        assert self.config.decoder is not None, "only a model with a decoder decodes"
        cross_mask = None
        if encoded is not None:
            # Behind a cache several rows may read one example, so theirs are not its positions; a
            # query of the encoder's output sees all of it wherever it stands.
            is_cached = encoded.hidden is None
            q_segments = mask.q_segments
            if q_segments is None:
                q_segments = jnp.ones((encoded.segments.shape[0], 1), encoded.segments.dtype)
            cross_mask = AttentionMask(
                visibility=Visibility.FULL,
                q_positions=masks.row_positions(1) if is_cached else mask.q_positions,
                kv_positions=masks.row_positions(encoded.segments.shape[1]),
                q_segments=q_segments,
                kv_segments=encoded.segments,
            )
        with maxima.within("decoder"), taps.within("decoder"):
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
                memory=memory,
            )

    def head(
        self,
        name: str,
        hidden: Float[Array, "batch length embed"],
        pooled: Float[Array, "batch length embed"] | None = None,
        dropout: Dropout = NO_DROPOUT,
    ) -> Scores:
        """What a head makes of hidden states, or of what the pooler made of them."""
        read = Read(hidden, pooled, self.token_embedder.table())
        return self.heads[name](read, dropout.fold("heads"))

    def embed(
        self,
        tokens: Int[Array, "batch length"],
        segments: Int[Array, "batch length"] | None = None,
        *,
        prompt_at: int = 0,
    ) -> Float[Array, "batch length token_embed"]:
        """The vector of each token, as the stacks read it.

        Args:
            segments: of the tokens, if there may be room for the prompt among them: from position
                `prompt_at` on of each example.
        """
        dtype = activation_dtype(self.config.compute.activation_dtype)
        x = constrain(
            self.token_embedder(tokens).astype(dtype), ("batch", "length", self.config.token_axis)
        )
        if self.prompt is None or segments is None:
            return x
        return self.prompt.fill(x, segments, at=prompt_at)


def order_of(config: StackConfig, batch: Batch) -> Order | None:
    """In which order an encoder of two streams is told the tokens of a batch, and which of them it
    is to predict: those of a loss weight, and without any all.

    Raises:
        UserError: of one stream, which would see what it is to predict.
    """
    if "encoder_order" not in batch:
        return None
    if not config.two_streams:
        raise UserError(
            "the batch has encoder_order, and the encoder has one stream, which sees every token "
            "that is to be predicted: needed is an encoder of two streams, such as "
            "--gin_file=models/xlnet.gin, or an objective that masks tokens."
        )
    ranks = batch["encoder_order"]
    weights = batch.get("encoder_loss_weights")
    return Order(ranks, jnp.ones_like(ranks) > 0 if weights is None else weights > 0)


def segments_of(batch: Batch, stack: str) -> Int[Array, "batch length"]:
    """The segment ids of a stack's tokens: packed examples 1, 2, ..., padding 0.

    Raises:
        UserError: the batch has none.
    """
    name = f"{stack}_segment_ids"
    if name not in batch:
        raise UserError(
            f"the batch has {', '.join(sorted(batch))} and no {name}; needed are ids that are 1, "
            "2, ... in the packed examples of a row and 0 in padding, for tokens alone cannot tell."
        )
    return batch[name]
