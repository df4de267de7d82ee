"""Ranges of what kernels of 8 bits read: parameters that no optimizer moves, but a moving average
of what the forward passes of training saw (Zafrir et al. 2019, section 2).

A step computes with the ranges that were known before it; while nothing is known of one, what its
kernel reads is not rounded. Microbatches and devices see one range together.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from t5x_lite.errors import UserError
from t5x_lite.model import rounding, transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim.config import ParameterGroup

Range = Float[Array, "*layers 2"] | Float[np.ndarray, "*layers 2"]
# A part of the parameter tree: folders that hold ranges, [lowest, highest], of layers stacked.
Ranges = Mapping[str, Any]


def groups(model: ModelConfig) -> tuple[ParameterGroup, ...]:
    """What keeps ranges from the optimizer."""
    if model.quantization is None:
        return ()
    return (ParameterGroup(pattern=f".*/{transformer.RANGE}", frozen=True),)


def union(one: Ranges, other: Ranges) -> Ranges:
    """The ranges of both; zeros add nothing."""
    return jax.tree.map(rounding.union, one, other)


def moved(
    parameters: Mapping[str, Any], seen: Ranges, decay: float | Float[Array, ""]
) -> dict[str, Any]:
    """The parameters with ranges that keep `decay` of themselves and take the rest from `seen`; one
    that is not known becomes what was seen.
    """
    return {
        name: node
        if name not in seen
        else moved(node, seen[name], decay)
        if isinstance(node, Mapping)
        else _moved(node, seen[name], decay)
        for name, node in parameters.items()
    }


def _moved(known: Range, seen: Range, decay: float | Float[Array, ""]) -> Range:
    is_known = known[..., :1] < known[..., 1:]
    return jnp.where(is_known, decay * known + (1 - decay) * seen, seen)


def without(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of the plain model."""
    return {
        name: without(node) if isinstance(node, Mapping) else node
        for name, node in parameters.items()
        if name != transformer.RANGE
    }


def check_known(parameters: Mapping[str, Any]) -> None:
    """Refuses to round by ranges that nothing was seen of.

    Raises:
        UserError: with how they come to be.
    """
    if names := _unknown(parameters):
        raise UserError(
            f"{len(names)} ranges of what kernels read are not known, such as {names[0]}: needed "
            "is a checkpoint behind the first step of its training with products of 8 bits, or "
            "one of a plain model, whose ranges --activations=int8 finds."
        )


def _unknown(parameters: Mapping[str, Any]) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(parameters)
    named = [
        (jax.tree_util.keystr(keys, simple=True, separator="/"), each) for keys, each in leaves
    ]
    return [
        name
        for name, each in named
        if name.endswith(f"/{transformer.RANGE}") and not (each[..., 0] < each[..., 1]).all()
    ]
