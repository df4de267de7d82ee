"""Between modules and the parameter tree everybody else sees: nested dicts with T5X's names.

The tree depends on the config alone, so shapes and axes are known without allocating anything.
"""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
from flax import nnx

from t5x_lite.errors import UserError
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.network import Transformer

# The one block and the one stack have one set of names; T5X calls the encoder's differently.
_T5X_NAMES = {
    "encoder": {
        "pre_self_attention_layer_norm": "pre_attention_layer_norm",
        "post_self_attention_layer_norm": "post_attention_layer_norm",
        "self_attention": "attention",
        "final_norm": "encoder_norm",
    },
    "decoder": {"final_norm": "decoder_norm"},
}

Path = tuple[str, ...]


class Skeleton(NamedTuple):
    """A network without values: its structure and the abstract state of its parameters."""

    graph: nnx.GraphDef
    state: nnx.State


def to_modules(config: ModelConfig, parameters: dict) -> Transformer:
    """The network whose values are `parameters`; a missing or left-over one is named."""
    skeleton = _skeleton(config)
    given = dict(_leaves(parameters))
    wanted = {
        _t5x_path(path, config): path for path, _ in _leaves(nnx.to_pure_dict(skeleton.state))
    }
    if given.keys() != wanted.keys():
        raise UserError(
            f"the parameters do not fit the model: missing {_names(wanted.keys() - given.keys())}; "
            f"left over {_names(given.keys() - wanted.keys())}. "
            "Does the model config belong to these parameters?"
        )
    state = jax.tree.map(lambda leaf: leaf, skeleton.state)  # a copy: the skeleton is shared
    nnx.replace_by_pure_dict(state, _nested((wanted[path], given[path]) for path in wanted))
    return nnx.merge(skeleton.graph, state)


def to_tree(network: Transformer) -> dict:
    """The network's values as a nested dict."""
    return _outside(nnx.to_pure_dict(nnx.split(network, graph=False)[1]), network.config)


def by_names(values: Mapping[str, Any], config: ModelConfig) -> dict:
    """A part of the tree, of values by their parameters' paths inside the network."""
    return _nested((_t5x_path(tuple(path.split("/")), config), values[path]) for path in values)


def shapes(config: ModelConfig) -> dict:
    """The tree of jax.ShapeDtypeStruct."""
    return _outside(nnx.to_pure_dict(_skeleton(config).state), config)


def axes(config: ModelConfig) -> dict:
    """The tree of logical axes; a parameter knows those of one layer, a stack adds `layers`."""
    parameters = jax.tree_util.tree_flatten_with_path(
        _skeleton(config).state, is_leaf=lambda node: isinstance(node, nnx.Param)
    )[0]
    found = []
    for keys, parameter in parameters:
        path = _path(keys)
        stacked = ("layers",) if "layers" in path else ()
        found.append((_t5x_path(path, config), (*stacked, *parameter.get_metadata("axes"))))
    return _nested(found)


@functools.lru_cache
def _skeleton(config: ModelConfig) -> Skeleton:
    network = jax.eval_shape(lambda key: Transformer(config, key=key), jax.random.key(0))
    # graph=False raises if two attributes hold one Param: jax.grad would silently untie them.
    return Skeleton(*nnx.split(network, graph=False))


def _outside(inside: dict, config: ModelConfig) -> dict:
    return _nested((_t5x_path(path, config), leaf) for path, leaf in _leaves(inside))


def _t5x_path(path: Path, config: ModelConfig) -> Path:
    # T5X's head lives in the decoder.
    if path[:2] == ("heads", HeadKind.TOKENS.value) and config.decoder is not None:
        return ("decoder", *path[2:])
    names = _T5X_NAMES.get(path[0], {})
    return tuple(names.get(part, part) for part in path)


def _leaves(tree: dict) -> list[tuple[Path, Any]]:
    return [(_path(keys), leaf) for keys, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]]


def _path(keys: tuple) -> Path:
    return tuple(str(key.key) for key in keys)


def _nested(leaves: Iterable[tuple[Path, Any]]) -> dict:
    tree: dict = {}
    for path, leaf in leaves:
        folder = tree
        for part in path[:-1]:
            folder = folder.setdefault(part, {})
        folder[path[-1]] = leaf
    return tree


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(sorted("/".join(path) for path in paths)) or "nothing"
