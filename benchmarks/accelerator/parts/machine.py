"""What the card can do: its matrix products in bfloat16, and how fast it moves memory."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from benchmarks.accelerator import timing
from benchmarks.accelerator.parts.jax_device import card, device

__all__ = ["card", "measure"]

_CALLS, _REPEATS = 10, 5


def measure(width: int, megabytes: int) -> dict[str, Any]:
    """The best of several windows of each; names are those of `benchmarks.speed.limits`.

    Args:
        width: of square matrices, of random numbers: a card draws less power for zeros, and is
            faster.
        megabytes: that are read, and, where they are copied, written; far more than any cache.
    """
    one, other = (
        jax.random.normal(key, (width, width), jnp.bfloat16)
        for key in jax.random.split(jax.random.key(0))
    )
    product = 2 * width**3 / _least(jnp.matmul, one, other)
    read = jnp.ones((megabytes * 2**20 // 4,), jnp.float32)
    copying = 2 * read.nbytes / _least(lambda x: x + 1, read)
    summing = read.nbytes / _least(jnp.sum, read)
    return {
        "peak_gflops": product / 1e9,
        "read_gb_per_second": max(copying, summing) / 1e9,
        "copy_gb_per_second": copying / 1e9,
        "sum_gb_per_second": summing / 1e9,
        "platform": device().platform,
    }


def _least(function: Any, *arguments: Array) -> float:
    """Seconds, after a call that compiles."""
    run = jax.jit(function)
    last = run(*arguments).block_until_ready()

    def work() -> None:
        nonlocal last
        last = run(*arguments)

    found = timing.windows(work, lambda: last.block_until_ready(), count=_CALLS, repeats=_REPEATS)
    return min(found)
