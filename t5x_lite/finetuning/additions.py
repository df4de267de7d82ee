"""What fine-tuning adds to a pre-trained model: the parameters that its checkpoint cannot have.

`ModelConfig.plain` is the model as it was pre-trained; whatever it lacks was added.
"""

from collections.abc import Collection, Mapping
from typing import Any

import jax

from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig


def names(model: ModelConfig) -> list[str]:
    """Paths of what is added, such as encoder/layers/adapter/wi/kernel."""
    if model == model.plain:
        return []
    plain = set(_paths(transformer.abstract_parameters(model.plain)))
    return [path for path in _paths(transformer.abstract_parameters(model)) if path not in plain]


def lacking(model: ModelConfig, parameters: Any) -> list[str]:
    """Those of them that a tree of parameters does not have."""
    present = set(_paths(parameters))
    return [path for path in names(model) if path not in present]


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
