"""Decoding one token at a time: keys and values of earlier positions are kept, not recomputed.

`start` reads what is given (the encoder's input, or a language model's prefix, in parallel) and
scores the first new token; `advance` feeds one token per row and scores the next. Rows may have
prefixes of different lengths: each row writes at its own position, over the padding of its prefix.

Several rows may continue one example: `repeat` makes them, `select` replaces them by the best of
them. They share the keys and values of the encoder's output, which is neither copied nor moved.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from t5x_lite.errors import UserError
from t5x_lite.features.outputs import TOKENS, Told, Wanted
from t5x_lite.model import execution, masks, parameter_tree, windows
from t5x_lite.model.attention import Remembered, remember
from t5x_lite.model.block import LayerCache, Seen
from t5x_lite.model.choices import Weights
from t5x_lite.model.config import ModelConfig, StackConfig, Visibility
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.network import Batch, Encoded, Transformer, segments_of
from t5x_lite.model.precision import activation_dtype
from t5x_lite.model.windows import Carried
from t5x_lite.partitioning.constrain import constrain

# Where the batch stands in keys and values, from behind.
_BATCH = -4


class Cache(NamedTuple):
    """What decoding remembers between tokens; shapes and dtypes stay the same from step to step.

    `layers` holds self-attention keys and values [batch, heads, kv_len, head_dim] of each layer,
    and cross-attention ones over enc_len, computed once; where layers run from their stack, they
    are arrays with `layers` in front. `positions` is where each row's next token goes.
    `encoder_segments` is None in decoder-only models. After `repeat` it and cross-attention have
    fewer rows than the rest: neighbouring rows read the same one.

    A model that reads in windows remembers keys and values of the tokens of each row's own window
    alone, and what is `carried` from those before; `positions` count in the whole text.
    """

    layers: LayerCache | list[LayerCache]
    positions: Array
    encoder_segments: Array | None
    carried: Carried | None = None


def start(
    config: ModelConfig, parameters: dict, batch: Batch, *, max_decode_length: int
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """Logits of the first new token, and the cache with room for `max_decode_length` tokens.

    Args:
        batch: encoder_input_tokens, or decoder_prefix_tokens, each with its segment ids (1, and 0
            in the padding on the right) and room for the prompt in front, if the model has one. The
            start token is put in front here.
    """
    return start_prepared(prepare(config, parameters), batch, max_decode_length=max_decode_length)


def start_prepared(
    network: Transformer, batch: Batch, *, max_decode_length: int
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """`start` of a network that is prepared."""
    config, decoder = network.config, _decoder_of(network)
    if config.encoder is not None:
        encoded = network.encode(batch)
        rows = encoded.segments.shape[0]
        tokens = jnp.full((rows, 1), config.special.start, jnp.int32)
        segments = jnp.ones_like(tokens)
    else:
        encoded = None
        tokens, segments = _started(
            config, batch["decoder_prefix_tokens"], segments_of(batch, "decoder_prefix")
        )
    if config.recurrence is not None:
        return _start_in_windows(network, tokens, segments, max_decode_length)
    lengths = jnp.sum(segments, axis=1, dtype=jnp.int32)
    x = network.embed(tokens, None if encoded is not None else segments, prompt_at=1)
    positions = masks.row_positions(x.shape[1])
    mask = AttentionMask(
        visibility=decoder.visibility,
        window=decoder.window,
        q_positions=positions,
        kv_positions=positions,
        kv_in_prefix=segments > 0,
        q_segments=segments,
        kv_segments=segments,
    )
    hidden, seen = network.decode(x, mask, encoded, keep_cache=True)
    assert seen is not None, "keep_cache=True keeps it"
    last = jnp.take_along_axis(hidden, lengths[:, None, None] - 1, axis=1)
    cache = Cache(
        layers=_remembered(seen, room=max_decode_length),
        positions=lengths,
        encoder_segments=None if encoded is None else encoded.segments,
    )
    return network.head(TOKENS, last).all()[:, 0], cache


def _start_in_windows(
    network: Transformer,
    tokens: Int[Array, "batch length"],
    segments: Int[Array, "batch length"],
    max_decode_length: int,
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """The same of a model that reads in windows, whose cache has room for one of them."""
    window = windows.recurrence_of(network).window
    last, seen, carried = windows.begin(network, tokens, segments)
    own = min(window, tokens.shape[1])
    room = min(window, tokens.shape[1] + max_decode_length) - own
    lengths = jnp.sum(segments, axis=1, dtype=jnp.int32)
    cache = Cache(_remembered(seen, room=room), lengths, None, carried)
    return network.head(TOKENS, last).all()[:, 0], cache


def _decoder_of(network: Transformer) -> StackConfig:
    if network.config.decoder is None:
        raise UserError(
            "this model is an encoder alone and writes nothing: needed is a model with a decoder. "
            "An encoder fills masked places and encodes: transformer.apply, transformer.encode."
        )
    return network.config.decoder


def _remembered(seen: Seen | list[Seen], *, room: int) -> LayerCache | list[LayerCache]:
    """What all layers saw, with room for as many positions more."""
    if isinstance(seen, list):
        return [_of_layer(each, room) for each in seen]
    return _of_layer(seen, room)


def _of_layer(seen: Seen, room: int) -> LayerCache:
    def longer(part: Array) -> Array:
        return jnp.pad(part, [(0, 0)] * (part.ndim - 2) + [(0, room), (0, 0)])

    own = Remembered(*map(longer, remember(seen.self_attention)))
    return LayerCache(own, None if seen.cross_attention is None else remember(seen.cross_attention))


def prepare(config: ModelConfig, parameters: dict) -> Transformer:
    """The network as decoding reads it; what that costs is paid once for all that it answers."""
    network = parameter_tree.to_modules(config, parameters)
    if config.weights is Weights.FLOAT32 or execution.multiplies_floats():
        network.use_whole_numbers(jnp.dtype(jnp.float32))
    if execution.layers_apart():
        for stack in network.stacks:
            stack.layers = nnx.List(stack.apart())
        network.turn_heads()
    return network


def advance(
    config: ModelConfig, parameters: dict, tokens: Int[Array, "batch"], cache: Cache
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """Feeds one token per row; the logits of the token after it, and the longer cache."""
    return advance_prepared(prepare(config, parameters), tokens, cache)


def advance_prepared(
    network: Transformer, tokens: Int[Array, "batch"], cache: Cache
) -> tuple[Float[Array, "batch vocab"], Cache]:
    """`advance` of a network that is prepared."""
    told, cache = tell(network, tokens, cache, Wanted())
    return told.logits, cache


def tell(
    network: Transformer, tokens: Int[Array, "batch"], cache: Cache, wanted: Wanted
) -> tuple[Told, Cache]:
    """What is wanted behind one more token of each row, of heads and of the decoder's last hidden
    states, and the longer cache.
    """
    if cache.carried is not None:
        hidden, cache = _read_next_in_windows(network, tokens, cache, cache.carried)
    else:
        hidden, cache = _read_next(network, tokens, cache)
    told = Told(
        {name: network.head(name, hidden).all()[:, 0] for name in wanted.heads},
        dict.fromkeys(wanted.hidden, hidden[:, 0]),
    )
    return told, cache


def _read_next(
    network: Transformer, tokens: Int[Array, "batch"], cache: Cache
) -> tuple[Float[Array, "batch 1 embed"], Cache]:
    """Hidden states of one more token of each row, and the longer cache."""
    mask = _mask_of_next(network, cache.positions, cache)
    segments = cache.encoder_segments
    encoded = None if segments is None else Encoded(hidden=None, segments=segments)
    hidden, layers = network.decode(
        network.embed(tokens[:, None]), mask, encoded, cache=cache.layers, keep_cache=True
    )
    assert layers is not None, "keep_cache=True keeps it"
    return hidden, Cache(layers, cache.positions + 1, segments)


def differentiable(config: ModelConfig, parameters: dict) -> Transformer:
    """The network as `empty` and `read` take it, with layers in their stack."""
    network = parameter_tree.to_modules(config, parameters)
    if config.weights is Weights.INT8:
        # The products are the same, and those of integers have no gradient.
        network.use_whole_numbers(jnp.dtype(jnp.float32))
    return network


def empty(network: Transformer, rows: int, length: int) -> LayerCache:
    """What all layers of a decoder by itself remember before they read anything, with room for
    `length` positions; for `read`.
    """
    decoder = _decoder_of(network)
    heads = decoder.block.attention
    shape = (decoder.depth, rows, heads.num_heads, length, heads.head_dim)
    zeros = jnp.zeros(shape, activation_dtype(network.config.compute.activation_dtype))
    zeros = constrain(zeros, (None, "batch", "heads", None, None))
    return LayerCache(Remembered(zeros, zeros), None)


def read(
    network: Transformer, tokens: Int[Array, "batch length"], layers: LayerCache, at: Int[Array, ""]
) -> tuple[Float[Array, "batch length vocab"], LayerCache]:
    """Feeds several tokens of each row at once, the first of them at position `at` of all rows: the
    logits behind each, and the cache with them. It can be differentiated by what is remembered.

    Args:
        network: a `differentiable` one.
    """
    mask = AttentionMask(
        visibility=Visibility.CAUSAL,
        window=_decoder_of(network).window,
        q_positions=at + masks.row_positions(tokens.shape[1]),
        kv_positions=masks.row_positions(layers.self_attention.keys.shape[-2]),
    )
    x = network.embed(tokens)
    hidden, layers = network.decode(x, mask, None, cache=layers, keep_cache=True)
    return network.head(TOKENS, hidden).all(), layers


def _read_next_in_windows(
    network: Transformer, tokens: Int[Array, "batch"], cache: Cache, carried: Carried
) -> tuple[Float[Array, "batch 1 embed"], Cache]:
    """The same of a model that reads in windows: a token behind a full one begins the next, over
    whose positions it writes.
    """
    places = cache.positions % windows.recurrence_of(network).window
    carried = windows.turned(network, carried, (places == 0) & (cache.positions > 0))
    mask = _mask_of_next(network, places, cache)
    found = windows.run(
        network, tokens[:, None], mask, carried.memory, cache=cache.layers, keep_cache=True
    )
    longer = windows.longer(carried, found.total)
    return found.hidden, Cache(found.seen, cache.positions + 1, None, longer)


def _mask_of_next(
    network: Transformer, positions: Int[Array, "batch"], cache: Cache
) -> AttentionMask:
    """Of a token at each row's position."""
    own = cache.layers[0] if isinstance(cache.layers, list) else cache.layers
    return AttentionMask(
        # Whatever the prefix saw of itself, a position after it sees all that lies before.
        visibility=Visibility.CAUSAL,
        window=_decoder_of(network).window,
        q_positions=positions[:, None],
        kv_positions=masks.row_positions(own.self_attention.keys.shape[-2]),
    )


def _started(
    config: ModelConfig, tokens: Int[Array, "batch length"], segments: Int[Array, "batch length"]
) -> tuple[Int[Array, "batch longer"], Int[Array, "batch longer"]]:
    """A prompt with the start token in front, if the model reads one there; a row without a prompt
    begins with it in any case.
    """
    start = config.special.start
    if config.prompts.start_token or config.prompt_length:
        in_front = ((0, 0), (1, 0))
        tokens = jnp.pad(tokens, in_front, constant_values=start)
        return tokens, jnp.pad(segments, in_front, constant_values=1)
    is_empty = (jnp.sum(segments, axis=1, keepdims=True) == 0) & (
        masks.row_positions(tokens.shape[1]) == 0
    )
    return jnp.where(is_empty, start, tokens), jnp.where(is_empty, 1, segments)


def repeat(cache: Cache, n: int) -> Cache:
    """The cache of n rows per example, neighbours, all with its memory."""
    longer = _of_own(cache, lambda part: jnp.repeat(part, n, axis=_BATCH))
    carried = jax.tree.map(lambda part: jnp.repeat(part, n, axis=0), cache.carried)
    return longer._replace(positions=jnp.repeat(cache.positions, n), carried=carried)


def select(cache: Cache, chosen: Int[Array, "batch n"]) -> Cache:
    """The cache in which row i of an example goes on from what was its row `chosen[example, i]`.

    An example's rows never leave its device: the index runs inside an example only.
    """
    batch, n = chosen.shape

    def move(part: Array) -> Array:
        grouped = part.reshape(*part.shape[:_BATCH], batch, n, *part.shape[_BATCH + 1 :])
        index = chosen.reshape(*(1,) * (part.ndim - 4), batch, n, 1, 1, 1)
        return jnp.take_along_axis(grouped, index, axis=_BATCH).reshape(part.shape)

    def move_rows(part: Array) -> Array:
        index = chosen.reshape(batch, n, *(1,) * (part.ndim - 1))
        grouped = part.reshape(batch, n, *part.shape[1:])
        return jnp.take_along_axis(grouped, index, axis=1).reshape(part.shape)

    # Rows of one example are equally long, so positions stay.
    carried = jax.tree.map(move_rows, cache.carried)
    return _of_own(cache, move)._replace(carried=carried)


def rewind(cache: Cache, back: Int[Array, "batch"]) -> Cache:
    """The cache without the last tokens of each row: nothing sees them any more, and those that
    follow are written over them.

    Raises:
        UserError: the model reads in windows, and of those before its own none is remembered.
    """
    if cache.carried is not None:
        raise UserError(
            "a model that reads in windows cannot take back tokens that it wrote, as this strategy "
            "of decoding asks: needed is another one, such as --gin_file=decoding/beam4.gin"
        )
    return cache._replace(positions=cache.positions - back)


def put(cache: Cache, other: Cache, places: Int[Array, "others"]) -> Cache:
    """The cache in which the example at `places[i]` is the i-th of `other`; one that is put behind
    the last place is left out. Examples have the same number of rows in both.
    """

    def put_rows(part: Array, new: Array, axis: int) -> Array:
        n = new.shape[axis] // len(places)
        rows = (places[:, None] * n + jnp.arange(n, dtype=places.dtype)[None, :]).reshape(-1)
        return part.at[(*(slice(None),) * axis, rows)].set(new, mode="drop")

    def of_layers(part: Array, new: Array) -> Array:
        return put_rows(part, new, part.ndim + _BATCH)

    def of_rows(part: Array, new: Array) -> Array:
        return put_rows(part, new, 0)

    return Cache(
        layers=jax.tree.map(of_layers, cache.layers, other.layers),
        positions=of_rows(cache.positions, other.positions),
        encoder_segments=jax.tree.map(of_rows, cache.encoder_segments, other.encoder_segments),
        carried=jax.tree.map(of_rows, cache.carried, other.carried),
    )


def axes(shapes: Any) -> Any:
    """The logical axes of each array of a cache of jax.ShapeDtypeStruct."""

    def of_layers(shape: jax.ShapeDtypeStruct) -> tuple[str | None, ...]:
        return (*(None,) * (len(shape.shape) + _BATCH), "batch", "heads", None, None)

    return shapes._replace(
        layers=jax.tree.map(of_layers, shapes.layers),
        positions=("batch",),
        encoder_segments=None if shapes.encoder_segments is None else ("batch", None),
        carried=jax.tree.map(
            lambda shape: ("batch", *(None,) * (len(shape.shape) - 1)), shapes.carried
        ),
    )


def _of_own(cache: Cache, change: Callable[[Array], Array]) -> Cache:
    """The cache with other keys and values of self-attention."""

    def changed(layers: LayerCache) -> LayerCache:
        return layers._replace(self_attention=jax.tree.map(change, layers.self_attention))

    if isinstance(cache.layers, list):
        return cache._replace(layers=[changed(each) for each in cache.layers])
    return cache._replace(layers=changed(cache.layers))
