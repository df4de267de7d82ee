"""A model's parameters on a mesh: their shapes without an array, and host arrays put in place."""

from typing import Any

import jax
import jax.numpy as jnp

from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner


def abstract_parameters(
    model: ModelConfig, partitioner: Partitioner, dtype: str | None = None
) -> Any:
    """Shapes, dtypes (the model's, or of what is no int8 this one) and shardings of a model's
    parameters.
    """
    shapes = transformer.abstract_parameters(model)
    shardings = partitioner.shardings(transformer.parameter_axes(model), shapes)
    return jax.tree.map(
        lambda leaf, sharding: jax.ShapeDtypeStruct(
            leaf.shape,
            jnp.dtype(dtype if dtype and leaf.dtype != jnp.int8 else leaf.dtype),
            sharding=sharding,
        ),
        shapes,
        shardings,
    )


def place_parameters(parameters: Any, abstract: Any) -> Any:
    """Host arrays, or what gives slices of them, to the devices and in the dtypes of `abstract`.

    Each device is given only its own slice.
    """
    return jax.tree.map(
        lambda value, leaf: jax.make_array_from_callback(
            value.shape, leaf.sharding, lambda index: value[index].astype(leaf.dtype, copy=False)
        ),
        parameters,
        abstract,
    )
