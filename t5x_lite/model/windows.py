"""A text that a decoder reads window by window, each with what the one before left (memory.py).

    a b c d e f g h     in windows of 3    ->    a b c | d e f | g h .

A loop carries the memory, however long the text is; its backward pass computes each window again.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.model import masks, maxima, memory, rounding, taps
from t5x_lite.model.block import TOTAL
from t5x_lite.model.collected import Found
from t5x_lite.model.config import RecurrenceConfig
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.masks import AttentionMask
from t5x_lite.model.memory import Memory
from t5x_lite.model.network import Transformer
from t5x_lite.model.precision import activation_dtype

_TOTAL = f"decoder/{TOTAL}"


class Carried(NamedTuple):
    """What is known of each row where it stands: the memory of the windows before, and of its own
    window the sum of the states [batch, embed] that the next memory is made of. Nothing where a
    model has no memories.
    """

    memory: Memory | None
    total: Array | None


class Read(NamedTuple):
    """A window's output, what its layers saw if that was asked for, and the sum of its states."""

    hidden: Array
    seen: Any
    total: Array | None


def recurrence_of(network: Transformer) -> RecurrenceConfig:
    """That of a network that reads in windows."""
    assert network.config.recurrence is not None, "asked of a network that reads in windows"
    return network.config.recurrence


def first_memory(network: Transformer, rows: int) -> Memory | None:
    """What there is before a text."""
    if not hasattr(network, "recurrence"):
        return None
    return network.recurrence.first(rows, _dtype(network))


def run(
    network: Transformer,
    tokens: Int[Array, "batch length"],
    mask: AttentionMask,
    before: Memory | None,
    *,
    dropout: Dropout = NO_DROPOUT,
    **how: Any,
) -> Read:
    """Tokens of one window, with what was before it; `how` as of `Transformer.decode`."""
    names = [] if before is None else [_TOTAL]
    with taps.asking(names) as told:
        hidden, seen = network.decode(
            network.embed(tokens), mask, None, dropout=dropout, memory=before, **how
        )
    total = told[_TOTAL][recurrence_of(network).extract_layer] if names else None
    return Read(hidden, seen, total)


def mask_of(network: Transformer, segments: Int[Array, "batch length"]) -> AttentionMask:
    """Of a window that is read at once."""
    decoder, positions = network.config.decoder, masks.row_positions(segments.shape[1])
    assert decoder is not None, "what reads in windows is a decoder"
    return AttentionMask(
        visibility=decoder.visibility,
        window=decoder.window,
        q_positions=positions,
        kv_positions=positions,
        q_segments=segments,
        kv_segments=segments,
    )


def after(
    network: Transformer, total: Float[Array, "batch embed"], count: Float[Array, "batch"] | float
) -> Memory:
    """What a window of so many tokens leaves."""
    return network.recurrence(
        total / jnp.broadcast_to(count, total.shape[:1])[:, None], _dtype(network)
    )


def turned(network: Transformer, carried: Carried, ends: Bool[Array, "batch"]) -> Carried:
    """What is known at the beginning of the next window, of the rows whose window ends."""
    if carried.memory is None or carried.total is None:
        return carried
    left = after(network, carried.total, float(recurrence_of(network).window))
    return Carried(
        memory.where(ends, left, carried.memory), jnp.where(ends[:, None], 0.0, carried.total)
    )


def longer(carried: Carried, total: Float[Array, "batch embed"] | None) -> Carried:
    """What is known once the states of `total` are of the window as well."""
    if carried.total is None or total is None:
        return carried
    return carried._replace(total=carried.total + total)


def read(
    network: Transformer,
    tokens: Int[Array, "batch length"],
    segments: Int[Array, "batch length"],
    dropout: Dropout = NO_DROPOUT,
) -> Float[Array, "batch length embed"]:
    """The decoder's hidden states of texts that begin with the rows."""
    config, (rows, length) = recurrence_of(network), tokens.shape
    begun = first_memory(network, rows)
    count = config.num_windows(length)
    if count == 1:
        return run(network, tokens, mask_of(network, segments), begun, dropout=dropout).hidden

    def window(
        before: Memory | None, given: tuple[Array, Array, Array]
    ) -> tuple[Memory | None, tuple[Array, Found, Found]]:
        tokens, segments, index = given
        own = dropout.fold("windows").fold(index)
        with maxima.apart() as largest, rounding.apart() as ranges:
            found = run(network, tokens, mask_of(network, segments), before, dropout=own)
        left = None
        if found.total is not None:
            real = jnp.sum(segments > 0, axis=1).astype(jnp.float32)
            left = after(network, found.total, jnp.maximum(real, 1.0))
            left = _truncated(left, (index + 1) % config.truncation == 0)
        return left, (found.hidden, largest, ranges)

    # Inside a loop XLA cannot undo the recomputation.
    again = jax.checkpoint(window, prevent_cse=False)
    parts = (*(windows_of(each, config.window) for each in (tokens, segments)), jnp.arange(count))
    _, (hidden, largest, ranges) = jax.lax.scan(again, begun, parts)
    maxima.add(_reduced(largest, jnp.maximum))
    rounding.add(_reduced(ranges, rounding.union))
    return hidden.swapaxes(0, 1).reshape(rows, -1, hidden.shape[-1])[:, :length]


def begin(
    network: Transformer,
    tokens: Int[Array, "batch length"],
    segments: Int[Array, "batch length"],
) -> tuple[Float[Array, "batch 1 embed"], Any, Carried]:
    """The hidden state of each row's last token, what layers saw in its window, and what is carried
    there; padding is on the right, and a row has a token at least.
    """
    window = recurrence_of(network).window
    lengths = jnp.sum(segments, axis=1, dtype=jnp.int32)

    def of_window(
        memory: Memory | None, tokens: Array, segments: Array, before: Int[Array, ""] | int
    ) -> tuple[Array, Any, Array | None]:
        found = run(network, tokens, mask_of(network, segments), memory, keep_cache=True)
        place = jnp.clip(lengths - 1 - before, 0, tokens.shape[1] - 1)
        last = jnp.take_along_axis(found.hidden, place[:, None, None], axis=1)
        return last, found.seen, found.total

    memory = first_memory(network, len(tokens))
    of_first = of_window(memory, tokens[:, :window], segments[:, :window], 0)
    if tokens.shape[1] <= window:
        last, seen, total = of_first
        return last, seen, Carried(memory, total)

    def step(known: Any, given: Any) -> tuple[Any, None]:
        memory, (last, seen, total) = known
        tokens, segments, index = given
        goes_on = lengths > index * window
        memory = turned(network, Carried(memory, total), goes_on).memory
        found = of_window(memory, tokens, segments, index * window)
        return (memory, _chosen(goes_on, found, (last, seen, total))), None

    parts = [windows_of(each, window)[1:] for each in (tokens, segments)]
    indices = jnp.arange(1, 1 + len(parts[0]), dtype=jnp.int32)
    (memory, (last, seen, total)), _ = jax.lax.scan(step, (memory, of_first), (*parts, indices))
    return last, seen, Carried(memory, total)


def _chosen(rows: Bool[Array, "batch"], new: Any, old: Any) -> Any:
    """Of rows the new, of others the old; keys and values may have layers in front."""

    def of_part(one: Array, other: Array) -> Array:
        axis = max(0, one.ndim - 4)
        shape = [1] * one.ndim
        shape[axis] = len(rows)
        return jnp.where(rows.reshape(shape), one, other)

    return jax.tree.map(of_part, new, old)


def windows_of(
    values: Int[Array, "batch length"], window: int
) -> Int[Array, "windows batch window"]:
    """Windows one after the other, the last filled up with 0."""
    rows, length = values.shape
    filled = jnp.pad(values, ((0, 0), (0, -length % window)))
    return filled.reshape(rows, -1, window).swapaxes(0, 1)


def _truncated(left: Memory, ends: Bool[Array, ""]) -> Memory:
    """The same, through which no gradient goes back where `ends`."""
    return jax.tree.map(lambda each: jnp.where(ends, jax.lax.stop_gradient(each), each), left)


def _reduced(found: Found, join: Callable[[Array, Array], Array]) -> Found:
    """What all windows noted, as one."""

    def of_all(values: Array) -> Array:
        return jax.lax.scan(lambda one, other: (join(one, other), None), values[0], values[1:])[0]

    return {name: of_all(values) for name, values in found.items()}


def _dtype(network: Transformer) -> jnp.dtype:
    return activation_dtype(network.config.compute.activation_dtype)
