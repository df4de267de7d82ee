"""How large parameters, gradients and updates are, each by itself and each layer of a stack."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.optim.per_layer import per_layer

Size = Float[Array, ""] | Float[Array, "layers"]


def sizes(axes: Any, parameters: Any, gradients: Any, updates: Any) -> dict[str, Size]:
    """T5X's weight_rms/<path>, weight_max/<path> (of absolute values), weight_gradient_rms/<path>
    and weight_update_rms/<path>; one number a layer where layers are stacked.

    Args:
        axes: logical axes of every parameter.
        gradients: those that the optimizer was given; frozen parameters may be missing, as in
            `updates`.
    """
    wanted: list[tuple[str, Any, Callable]] = [
        ("weight_rms", parameters, _rms),
        ("weight_max", parameters, _largest),
        ("weight_gradient_rms", gradients, _rms),
        ("weight_update_rms", updates, _rms),
    ]
    found: dict[str, Size] = {}
    for tag, tree, size in wanted:
        for path, tensor in jax.tree_util.tree_flatten_with_path(tree)[0]:
            of_leaf = functools.reduce(lambda node, key: node[key.key], path, axes)
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            found[f"{tag}/{name}"] = per_layer(size, of_leaf)(tensor)
    return found


def _rms(tensor: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.sqrt(jnp.mean(jnp.square(tensor.astype(jnp.float32))))


def _largest(tensor: Float[Array, "..."]) -> Float[Array, ""]:
    return jnp.max(jnp.abs(tensor.astype(jnp.float32)))
