"""Stacked layers, each on its own.

Layers are stored in one tensor with a leading `layers` axis. Whatever computes a statistic of a
tensor (a norm, a mean, a factorization) means the tensor of one layer.
"""

from collections.abc import Callable
from typing import Any

import jax

Axes = tuple[str, ...]


def per_layer(function: Callable[..., Any], axes: Axes) -> Callable[..., Any]:
    """`function` of one layer's tensors, applied layer by layer where `axes` start with `layers`.

    Every argument and every result of the function returned has the leading axis.
    """
    return jax.vmap(function) if is_stacked(axes) else function


def is_stacked(axes: Axes) -> bool:
    """Whether the first dimension counts layers."""
    if "layers" in axes[1:]:
        raise ValueError(f"logical axes {axes}: needed is that 'layers' comes first, if at all.")
    return axes[:1] == ("layers",)


def shape_of_layer(shape: tuple[int, ...], axes: Axes) -> tuple[int, ...]:
    """The shape of one layer's tensor."""
    return shape[1:] if is_stacked(axes) else shape
