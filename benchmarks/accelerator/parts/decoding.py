"""Greedy decoding as `t5x_lite infer` runs it, of weights in one dtype, on one card."""

import time
from typing import Any

import jax
import jax.numpy as jnp

from benchmarks.accelerator.parts.jax_device import card, device, peak_bytes
from benchmarks.speed import vocabulary
from benchmarks.speed.settings import Settings
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.precision import activation_dtype
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner

__all__ = ["card", "measure"]


def measure(
    size: str, batch: int, inputs: int, targets: int, weights: str, repeats: int
) -> dict[str, Any]:
    """Seconds of all targets of a batch, from ids to ids.

    Args:
        weights: their dtype in memory, as `t5x_lite.load(..., dtype=...)` reads them.
    """
    settings = Settings(size=size, batch=batch, inputs=inputs, targets=targets)
    engine, decoding = engine_of(settings, weights), DecodingConfig(max_decode_length=targets)
    prompts = [row.tolist() for row in settings.rows()[0]]
    compute = settings.model.compute

    def generate() -> int:
        found = engine.generate(prompts, decoding, batch_size=batch)
        return sum(each.num_tokens for each in found)

    return {
        **timed(generate, batch * targets, repeats),
        "weight_bytes": mean_bytes(engine.parameters),
        "cache_bytes": activation_dtype(compute.activation_dtype).itemsize,
        "peak_bytes": peak_bytes(),
    }


def engine_of(settings: Settings, weights: str) -> Engine:
    """Random weights, made on the card, that never write an end token."""
    model, key = settings.model, jax.random.key(settings.seed)
    partitioner = make_partitioner(PartitioningConfig(), [device()])
    shapes = transformer.abstract_parameters(model)
    shardings = partitioner.shardings(transformer.parameter_axes(model), shapes)

    def made(key: jax.Array) -> dict[str, Any]:
        parameters = _without_end(model, transformer.init_parameters(model, key))
        return jax.tree.map(lambda leaf: leaf.astype(weights), parameters)

    parameters = jax.jit(made, out_shardings=shardings)(key)
    return Engine(Ensemble((model,)), [parameters], partitioner)


def timed(generate: Any, tokens: int, repeats: int) -> dict[str, Any]:
    """Seconds of each repeat, behind a first that compiles.

    Args:
        generate: gives how many tokens it has written, which have to be `tokens`.
    """
    found = []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        written = generate()
        found.append(time.perf_counter() - began)
        assert written == tokens, f"{written} tokens were written, needed are {tokens}"
    return {"first_seconds": found[0], "seconds": found[1:], "tokens": tokens}


def mean_bytes(parameters: Any) -> float:
    """Of a number, as the leaves lie in memory."""
    leaves = jax.tree.leaves(parameters)
    return sum(leaf.nbytes for leaf in leaves) / sum(leaf.size for leaf in leaves)


def _without_end(model: ModelConfig, parameters: dict[str, Any]) -> dict[str, Any]:
    """As benchmarks/speed/models.py does with those that lie in the host's memory."""
    column, ordinary = jnp.arange(model.vocab_size), vocabulary.ordinary(model.vocab_size)
    is_ordinary = (column >= ordinary.start) & (column < ordinary.stop)
    head = parameters["decoder"]["logits_dense"]
    kernel = jnp.where(is_ordinary, head["kernel"], 0.0)
    own = parameters["decoder"] | {"logits_dense": head | {"kernel": kernel}}
    return parameters | {"decoder": own}
