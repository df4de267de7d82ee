"""A table of names: for each of our parameters the foreign tensor that holds it, both ways.

    decoder/layers/mlp/wi/kernel             transposed   decoder.block.{i}.layer.1.wi.weight
    decoder/layers/self_attention/key/kernel columns:1/3  h.{i}.attn.c_attn.weight

Ours stacks layers on a leading axis; theirs has a tensor for each, with the number for {i}. The
second row is the middle third of a tensor that two further rows name.
"""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from t5x_lite.checkpoints.formats.transforms import (
    SAME,
    TRANSPOSED,
    Columns,
    Lifted,
    Split,
    Transform,
)
from t5x_lite.checkpoints.formats.weights import Index, Shape, Stored

_TRANSFORMS: Mapping[str, Transform] = {
    "same": SAME,
    "transposed": TRANSPOSED,
    "split": Split(),
    "transposed_split": Split(transposed=True),
    "lifted": Lifted(),
}


@dataclasses.dataclass(frozen=True)
class Place:
    """Where one of our parameters lies: the name of a tensor, or the pattern of every layer's."""

    name: str
    transform: Transform = SAME

    @property
    def is_stacked(self) -> bool:
        """Whether there is a tensor for each layer."""
        return "{i}" in self.name

    def tensors(self, ours: Shape) -> list[tuple[str, Shape]]:
        """Names and shapes of the tensors that hold a parameter of this shape, layer by layer."""
        if not self.is_stacked:
            return [(self.name, self.transform.shape(ours))]
        depth, *rest = ours
        shape = self.transform.shape(tuple(rest))
        return [(self.name.format(i=layer), shape) for layer in range(depth)]


Names = Mapping[str, Place]


def parse(table: str) -> Names:
    """The rows of a text: path of ours, transform, name of theirs."""
    rows = (line.split() for line in table.strip().splitlines())
    return {ours: Place(theirs, _transform(word)) for ours, word, theirs in rows}


def of_heads(names: Names, head_dim: int) -> Names:
    """The table of a model whose heads are as wide as that."""

    def sized(place: Place) -> Place:
        if not isinstance(place.transform, Split):
            return place
        split = dataclasses.replace(place.transform, head_dim=head_dim)
        return dataclasses.replace(place, transform=split)

    return {ours: sized(place) for ours, place in names.items()}


def paths(parameters: Any) -> set[str]:
    """Our names of the leaves of a tree."""
    return {_joined(path) for path, _ in jax.tree_util.tree_leaves_with_path(parameters)}


def shapes(names: Names, parameters: Any) -> dict[str, Shape]:
    """The tensors that hold a tree of parameters, or of shapes, by name."""
    found = (place.tensors(leaf.shape) for place, leaf in _placed(names, parameters))
    return {name: shape for tensors in found for name, shape in tensors}


def lazy_tree(names: Names, parameters: Any, tensors: Mapping[str, Stored]) -> Any:
    """A tree like `parameters` of which nothing is read yet: a leaf has a shape and gives the
    slices that it is asked for.
    """

    def lazy(path: Any, leaf: Any) -> "_Leaf | _Stack":
        place = names[_joined(path)]
        if not place.is_stacked:
            return _Leaf(tensors[place.name], place.transform, leaf.shape)
        layers = [
            _Leaf(tensors[name], place.transform, leaf.shape[1:])
            for name, _ in place.tensors(leaf.shape)
        ]
        return _Stack(layers, leaf.shape)

    return jax.tree_util.tree_map_with_path(lazy, parameters)


def to_tensors(names: Names, parameters: Any) -> dict[str, np.ndarray]:
    """The tensors of a tree of arrays, by name, as they are to be written."""
    written: dict[str, np.ndarray] = {}
    for place, leaf in _placed(names, parameters):
        array = np.asarray(leaf)
        layers = array if place.is_stacked else array[np.newaxis]
        for (name, shape), layer in zip(place.tensors(array.shape), layers, strict=True):
            if name not in written:
                written[name] = np.empty(shape, array.dtype)
            place.transform.write(layer, written[name])
    return written


def _transform(word: str) -> Transform:
    if word in _TRANSFORMS:
        return _TRANSFORMS[word]
    part, parts = word.removeprefix("columns:").split("/")
    return Columns(int(part), int(parts))


def _placed(names: Names, parameters: Any) -> Iterator[tuple[Place, Any]]:
    for path, leaf in jax.tree_util.tree_leaves_with_path(parameters):
        yield names[_joined(path)], leaf


def _joined(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator="/")


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """A parameter that is read and transformed when it is asked for."""

    tensor: Stored
    transform: Transform
    shape: Shape

    def __getitem__(self, index: Index) -> np.ndarray:
        return self.transform.read(self.tensor, index)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[()]


@dataclasses.dataclass(frozen=True)
class _Stack:
    """The same parameter of every layer, on a leading axis."""

    layers: Sequence[_Leaf]
    shape: Shape

    def __getitem__(self, index: Index) -> np.ndarray:
        first, *rest = index or (slice(None),)
        return np.stack([layer[tuple(rest)] for layer in self.layers[first]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[()]
