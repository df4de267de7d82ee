"""A model with some rows of its embedding and head only, as its vocabulary is trimmed.

All that has a row for each piece names the axis `vocab`, so nothing here knows which parameters
those are: tied or not, with a bias or scales, in any layout.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Int32

from t5x_lite.features.config import SpecialTokens
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig

Rows = Int32[np.ndarray, " rows"]
_VOCAB = "vocab"


def rows_of(kept: Sequence[int], model: ModelConfig, num_ids: int, multiple_of: int) -> Rows:
    """The row of the model that each row of the smaller one is: those of the kept ids, then what
    makes them a multiple, as far as there are rows.

    Rows of zeros would have logits of 0, which may be the largest of all, and a copy would take its
    share of what its original has. Filled is with rows that are the model's already, each once:
    those behind its `num_ids` ids, then those of ids that go. Wherever a kept piece was the
    likeliest of all it still is.
    """
    missing = -len(kept) % multiple_of
    behind, gone = range(num_ids, model.vocab_size), sorted(set(range(num_ids)) - set(kept))
    return np.array([*kept, *[*behind, *gone][:missing]], np.int32)


def trim(
    model: ModelConfig, parameters: Mapping[str, Any], rows: Rows, special: SpecialTokens
) -> tuple[ModelConfig, dict[str, Any]]:
    """The model with these rows only, and NumPy parameters.

    Args:
        special: the special ids of the trimmed vocabulary.
    """
    if model.special.mask is None:
        special = dataclasses.replace(special, mask=None)
    smaller = dataclasses.replace(model, vocab_size=len(rows), special=special)

    def of_leaf(axes: tuple[str, ...], leaf: Any) -> np.ndarray:
        leaf = np.asarray(leaf)
        return np.take(leaf, rows, axes.index(_VOCAB)) if _VOCAB in axes else leaf

    axes = transformer.parameter_axes(model)
    return smaller, jax.tree.map(of_leaf, axes, parameters, is_leaf=_is_axes)


def num_in_vocabulary(model: ModelConfig) -> int:
    """How many parameters stand in a row of a piece: embedding, head and its bias."""
    axes = transformer.parameter_axes(model)
    shapes = transformer.abstract_parameters(model)
    sizes = jax.tree.map(
        lambda own, leaf: leaf.size if _VOCAB in own else 0, axes, shapes, is_leaf=_is_axes
    )
    return sum(jax.tree.leaves(sizes))


def _is_axes(node: object) -> bool:
    return isinstance(node, tuple)
