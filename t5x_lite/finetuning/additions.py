"""What a model has that the checkpoint it starts from cannot have: adapters, LoRA, a prompt, new
heads; and heads of the checkpoint that it has not.
"""

from collections.abc import Collection, Mapping
from typing import Any

import jax

from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig


def names(model: ModelConfig, foundation: ModelConfig | None = None) -> list[str]:
    """Paths of what is added, such as encoder/layers/adapter/wi/kernel.

    Args:
        foundation: what it is added to; None is the model as it is pre-trained.
    """
    before = model.plain if foundation is None else foundation
    return _beyond(model, before)


def left_over(model: ModelConfig, foundation: ModelConfig) -> list[str]:
    """Paths of what only the foundation has."""
    return _beyond(foundation, model)


def _beyond(model: ModelConfig, other: ModelConfig) -> list[str]:
    """Leaves that the other has not, or of another shape, as a head of other classes is."""
    if model == other:
        return []
    wanted, present = _shapes(model), _shapes(other)
    return [path for path, shape in wanted.items() if present.get(path) != shape]


def _shapes(model: ModelConfig) -> dict[str, tuple[int, ...]]:
    abstract = transformer.abstract_parameters(model)
    return dict(zip(_paths(abstract), [leaf.shape for leaf in jax.tree.leaves(abstract)]))


def lacking(model: ModelConfig, parameters: Any) -> list[str]:
    """Paths of the model's leaves that a tree of parameters does not have."""
    present = set(_paths(parameters))
    return [path for path in _paths(transformer.abstract_parameters(model)) if path not in present]


def without(tree: Mapping[str, Any], added: Collection[str], folder: str = "") -> dict[str, Any]:
    """A tree like the parameters' without these leaves and the folders that hold nothing else."""
    kept: dict[str, Any] = {}
    for name, node in tree.items():
        path = f"{folder}{name}"
        if not isinstance(node, Mapping):
            if path not in added:
                kept[name] = node
        elif below := without(node, added, f"{path}/"):
            kept[name] = below
    return kept


def join(whole: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves of `given`, and of `whole` those that it lacks."""
    return {
        name: join(node, given.get(name, {}))
        if isinstance(node, Mapping)
        else given.get(name, node)
        for name, node in whole.items()
    }


def _paths(tree: Any) -> list[str]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [jax.tree_util.keystr(path, simple=True, separator="/") for path, _ in leaves]
