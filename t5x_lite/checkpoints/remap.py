"""Between the two ways to lay out layers: stacked, as in memory, and one by one, as in files.

    {"encoder": {"layers": {"mlp": {"wi": {"kernel": [layers, embed, mlp]}}}}}
    {"encoder": {"layers_0": {"mlp": {"wi": {"kernel": [embed, mlp]}}}, "layers_1": ...}}

Stacked is the only layout a model runs; T5X's and Hugging Face's files hold layers one by one.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from t5x_lite.errors import UserError

_LAYER = re.compile(r"layers_(\d+)")


def stack_layers(tree: Mapping, join: Callable[[Sequence], Any] = np.stack) -> dict:
    """Joins `layers_0`, `layers_1`, ... of every stack into `layers`, on a new leading axis.

    Leaves may be anything that `join` can join, such as tensors still in a file.
    """
    layers = {int(found[1]): key for key in tree if (found := _LAYER.fullmatch(key))}
    if sorted(layers) != list(range(len(layers))):
        raise UserError(
            f"layers {sorted(layers)} found, needed is every layer from 0 to {max(layers)}: "
            "a stack with a hole cannot be joined."
        )
    rest = {
        key: stack_layers(value, join) if isinstance(value, Mapping) else value
        for key, value in tree.items()
        if key not in layers.values()
    }
    if not layers:
        return rest
    in_order = [dict(tree[layers[index]]) for index in range(len(layers))]
    return rest | {"layers": jax.tree.map(lambda *leaves: join(leaves), *in_order)}


def unstack_layers(tree: Mapping) -> dict:
    """Splits every `layers` into `layers_0`, `layers_1`, ...: the inverse of `stack_layers`."""
    result = {}
    for key, value in tree.items():
        if key == "layers":
            depth = len(jax.tree.leaves(value)[0])
            for index in range(depth):
                result[f"layers_{index}"] = jax.tree.map(lambda leaf, i=index: leaf[i], dict(value))
        else:
            result[key] = unstack_layers(value) if isinstance(value, Mapping) else value
    return result
