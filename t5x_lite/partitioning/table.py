"""The table printed on start: which parameter lives where."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import jax

from t5x_lite.display.terminal import aligned
from t5x_lite.partitioning.rules import Entry, axis_names, in_words

_HEADER = ("parameter", "logical axes", "shape", "mesh axes", "bytes per device")


@dataclasses.dataclass(frozen=True)
class Row:
    """One tensor; `size` counts its elements over all devices."""

    name: str
    logical_axes: tuple[str | None, ...]
    shape: tuple[int, ...]
    mesh_axes: tuple[Entry, ...]
    size: int
    bytes_per_device: int


def path_name(path: tuple[Any, ...]) -> str:
    """A tree path as in checkpoints: encoder/layers/mlp/wi/kernel."""
    return jax.tree_util.keystr(path, simple=True, separator="/") or "the tensor"


def rows(axes: Any, shapes: Any, shardings: Any) -> list[Row]:
    """One row per leaf, in the tree's order."""

    def row(path: Any, shape: Any, axes: Any, sharding: Any) -> Row:
        shard = sharding.shard_shape(shape.shape)
        return Row(
            name=path_name(path),
            logical_axes=axes,
            shape=shape.shape,
            mesh_axes=tuple(sharding.spec),
            size=math.prod(shape.shape),
            bytes_per_device=math.prod(shard) * shape.dtype.itemsize,
        )

    made = jax.tree_util.tree_map_with_path(row, shapes, axes, shardings)
    return jax.tree.leaves(made, is_leaf=lambda leaf: isinstance(leaf, Row))


def render(parameters: Sequence[Row], state: Sequence[Row], mesh: dict[str, int]) -> str:
    """Aligned plain text: one line per parameter, one per kind of optimizer slot, totals."""
    cells = [_HEADER, *map(_cells, parameters)]
    cells.append(_total("all parameters", parameters))
    for slot in dict.fromkeys(row.name.rpartition("/")[2] for row in state):
        of_slot = [row for row in state if row.name.rpartition("/")[2] == slot]
        cells.append(_total(f"optimizer {slot} ({len(of_slot)})", of_slot))
    if state:
        cells.append(_total("all", [*parameters, *state]))
    heading = f"mesh {in_words(mesh)} ({math.prod(mesh.values())} devices)"
    return f"{heading}\n{aligned(cells, numbers_from=len(_HEADER) - 1)}"


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row.name,
        ", ".join(map(str, row.logical_axes)),
        " x ".join(map(str, row.shape)),
        ", ".join("+".join(axis_names(axes)) or "-" for axes in row.mesh_axes),
        f"{row.bytes_per_device:,}",
    )


def _total(name: str, rows: Sequence[Row]) -> tuple[str, ...]:
    return (
        name,
        "",
        f"{sum(row.size for row in rows):,}",
        "",
        f"{sum(row.bytes_per_device for row in rows):,}",
    )
