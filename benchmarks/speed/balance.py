"""What the machine can do: its matrix products in float32, and how fast it reads memory."""

import concurrent.futures
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.speed.arm import Prepared, nothing
from benchmarks.speed.settings import Settings

_TRIES = 5
# Far beyond any cache.
_BYTES_READ = 1 << 28


def machine(settings: Settings) -> Prepared:
    """GFLOP/s of each product that occurs, GB/s of reading; of either the best is the limit."""
    products = {name: _gflops(*shape) for name, shape in _shapes(settings).items()}
    reading = _gigabytes_a_second(settings.threads)
    peaks = {"peak_gflops": max(products.values()), "read_gb_per_second": reading}
    return Prepared(nothing, {"product_gflops": products, **peaks})


def _shapes(settings: Settings) -> dict[str, tuple[int, int, int]]:
    """Rows, what is summed, columns."""
    model, rows = settings.model, settings.batch
    read, predicted = settings.lengths
    first = rows * (read or predicted)
    block = model.stacks["decoder"].block
    joined_kv = block.attention.num_heads * block.attention.head_dim
    return {
        "query": (first, model.embed_dim, joined_kv),
        "wi": (first, model.embed_dim, block.mlp.mlp_dim),
        "wi gradient": (model.embed_dim, first, block.mlp.mlp_dim),
        "head": (rows * predicted, model.embed_dim, model.vocab_size),
        "head gradient": (model.embed_dim, rows * predicted, model.vocab_size),
        "head of a token": (rows, model.embed_dim, model.vocab_size),
    }


def _gflops(rows: int, summed: int, columns: int) -> float:
    product = jax.jit(jnp.matmul)
    one, other = jnp.ones((rows, summed)), jnp.ones((summed, columns))
    seconds = _least(lambda: product(one, other).block_until_ready())
    return 2 * rows * summed * columns / seconds / 1e9


def _gigabytes_a_second(threads: int) -> float:
    """The faster of NumPy's sums, a part in each thread, and of BLAS."""
    numbers = np.ones(_BYTES_READ // 4, np.float32)
    parts = np.array_split(numbers, threads)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        summed = _least(lambda: list(pool.map(np.max, parts)))
    multiplied = _least(lambda: numbers @ numbers)
    return _BYTES_READ / min(summed, multiplied) / 1e9


def _least(work: Callable[[], object]) -> float:
    """Seconds, after a call that compiles."""
    work()
    found = []
    for _ in range(_TRIES):
        began = time.perf_counter()
        work()
        found.append(time.perf_counter() - began)
    return min(found)
