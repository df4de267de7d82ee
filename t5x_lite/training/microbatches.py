"""A batch in parts, one after the other: the memory of one part, the gradient of the whole."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int

from t5x_lite.errors import UserError
from t5x_lite.losses.weighting import Batch
from t5x_lite.partitioning.partitioner import Partitioner
from t5x_lite.partitioning.rules import divisors


def check(rows: int, count: int, partitioner: Partitioner) -> None:
    """Refuses a number of microbatches that does not split the rows of every device evenly.

    Raises:
        UserError: with the numbers that do, or with the batch sizes if no number could.
    """
    partitioner.check_batch_size(rows)
    pieces = partitioner.data_axis_size
    if rows % (pieces * count):
        fitting = ", ".join(map(str, divisors(rows // pieces)))
        raise UserError(
            f"NUM_MICROBATCHES={count} does not fit a batch of {rows} rows on "
            f"{partitioner.batch_split}: each device has {rows // pieces} of them, which are split "
            f"into {fitting} parts: "
            "--gin.NUM_MICROBATCHES=... or another --gin.BATCH_SIZE=..."
        )


def split(batch: Batch, count: int, partitioner: Partitioner) -> dict[str, Array]:
    """The batch with the microbatches as a leading axis; number i has the rows i, i + count, ...

    So every device finds its rows of a microbatch among its rows of the batch, nothing travels, and
    which row is where does not depend on the mesh.
    """

    def of_feature(values: Array) -> Array:
        rows = values.shape[0]
        check(rows, count, partitioner)
        parts = values.reshape(rows // count, count, *values.shape[1:]).swapaxes(0, 1)
        return jax.lax.with_sharding_constraint(parts, partitioner.sharding((None, "batch")))

    return {name: of_feature(values) for name, values in batch.items()}


def accumulate(
    function: Callable[[Batch, Int[Array, ""]], Any],
    batch: Batch,
    count: int,
    partitioner: Partitioner,
    together: Callable[[Any, Any], Any],
) -> Any:
    """What `function` makes of each microbatch and of its number, all `together`.

    Args:
        together: makes one of two; of zeros and another it makes the other.

    Raises:
        UserError: the rows do not divide.
    """
    parts = split(batch, count, partitioner)
    numbers = jnp.arange(count)
    first = jax.tree.map(lambda part: part[0], parts)
    zeros = jax.tree.map(
        lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), jax.eval_shape(function, first, numbers[0])
    )

    def add(sums: Any, inputs: tuple[Batch, Int[Array, ""]]) -> tuple[Any, None]:
        return together(sums, function(*inputs)), None

    return jax.lax.scan(add, zeros, (parts, numbers))[0]
