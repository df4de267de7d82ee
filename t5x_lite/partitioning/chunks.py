"""Logits of some positions at a time: what is made of them is kept, they are not.

The float32 logits of a batch are the largest array of a training step (1 GB for 8,192 positions of
T5's vocabulary, their gradient as much again), and a loss needs a few numbers of each position.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped

from t5x_lite.features.outputs import Scores
from t5x_lite.partitioning.constrain import constrain, num_pieces


def each_position(
    function: Callable[..., Any],
    scores: Sequence[Scores],
    *features: Shaped[Array, "batch length ..."],
) -> Any:
    """What `function` makes of the logits of all scores and of features: a tree of [batch, length].

    Where logits are not there yet, it is called with those of a chunk, [pieces of the batch,
    positions, vocab], again in the backward pass: no more than `Scores.chunk` says are ever there.

    Args:
        function: may look at each position by itself only.
    """
    chunks = [each.chunk for each in scores if each.chunk is not None]
    if not chunks:
        return function(*[each.all() for each in scores], *features)
    rows, length = scores[0].hidden.shape[:2]
    pieces = num_pieces(("batch", "length", "vocab"))[0]
    positions = rows * length // pieces
    count = -(-positions // max(1, min(chunks) // len(scores)))
    # Every piece of the batch has its own weights: their gradients add up on its devices over all
    # chunks and travel once. With one for all, each chunk would end in an all-reduce.
    weights = [_copies(each, pieces) for each in scores]

    def of_chunk(hidden: Sequence[Array], features: Sequence[Array]) -> Any:
        parts = zip(scores, hidden, weights, strict=True)
        logits = [Scores(part, own, each.head).all() for each, part, own in parts]
        return function(*logits, *features)

    # Inside a loop XLA cannot undo the recomputation.
    again = jax.checkpoint(of_chunk, prevent_cse=False)
    hidden = [_split(each.hidden, pieces, count) for each in scores]
    parts = (hidden, [_split(feature, pieces, count) for feature in features])
    _, found = jax.lax.scan(lambda _, part: (None, again(*part)), None, parts)

    def joined(values: Array) -> Array:
        return values.swapaxes(0, 1).reshape(pieces, -1)[:, :positions].reshape(rows, length)

    return jax.tree.map(joined, found)


def _copies(scores: Scores, pieces: int) -> tuple[Array, ...]:
    if scores.head is None:
        return ()
    return tuple(
        constrain(jnp.broadcast_to(each, (pieces, *each.shape)), ("batch", *axes))
        for each, axes in zip(scores.weights, scores.head.axes, strict=False)
    )


def _split(values: Shaped[Array, "batch length ..."], pieces: int, count: int) -> Array:
    """[chunks, pieces of the batch, positions, ...]: no position leaves its device. The last chunk
    is filled up with zeros.
    """
    inner = values.shape[2:]
    local = values.reshape(pieces, -1, *inner)
    size = -(-local.shape[1] // count)
    filling = [(0, 0), (0, count * size - local.shape[1]), *[(0, 0) for _ in inner]]
    return jnp.pad(local, filling).reshape(pieces, count, size, *inner).swapaxes(0, 1)
