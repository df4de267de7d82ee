"""Ranges of what kernels read, without training: what a model in float32 reads of some batches."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Shaped

from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.compression import ranges
from t5x_lite.features.outputs import Wanted
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig, QuantizationConfig
from t5x_lite.partitioning.partitioner import Partitioner

Batch = Mapping[str, Shaped[Any, "batch ..."]]
Parameters = Mapping[str, Any]


def with_products_of_8_bits(
    model: ModelConfig, parameters: Parameters, quantization: QuantizationConfig
) -> tuple[ModelConfig, dict[str, Any]]:
    """A plain model with ranges that are not known yet; arrays stay where they are."""
    rounded = dataclasses.replace(model, quantization=quantization)

    def joined(wanted: Any, given: Any) -> Any:
        if isinstance(wanted, Mapping):
            return {name: joined(node, given.get(name)) for name, node in wanted.items()}
        return jnp.zeros(wanted.shape, wanted.dtype) if given is None else given

    return rounded, joined(transformer.abstract_parameters(rounded), parameters)


def calibrated(
    model: ModelConfig, parameters: Parameters, batches: Iterable[Batch], partitioner: Partitioner
) -> dict[str, Any]:
    """The parameters with the mean of the ranges that batches show. While they are looked at
    nothing that a kernel reads is rounded, so the order of batches does not matter.

    Args:
        model: with products of 8 bits.
        parameters: with ranges that are not known.
    """
    abstract = abstract_parameters(model, partitioner)
    placed = place_parameters(jax.tree.map(jnp.asarray, parameters), abstract)
    # Nothing that heads make of hidden states is of 8 bits.
    hidden = ("pooled",) if model.pooler else (model.top_name,)

    def look(parameters: Any, batch: Batch) -> Any:
        with partitioner.activations():
            return transformer.apply_with_ranges(
                model, parameters, batch, wanted=Wanted((), hidden)
            )[1]

    looked = jax.jit(look, out_shardings=partitioner.sharding(()))
    found = dict(parameters)
    for number, batch in enumerate(batches):
        seen = jax.device_get(looked(placed, partitioner.place_batch(batch)))
        found = ranges.moved(found, seen, number / (number + 1))
    return found
