"""Logical axes to mesh axes, and what does not fit.

Rules are tried in order. Each gives its logical axis a mesh axis (or several, or None: replicated)
unless the tensor already uses one of them, so a logical axis may have a second choice:

>>> partition_spec(("embed", "mlp"), (("mlp", "model"), ("embed", "model"), ("embed", "data")))
P('data', 'model')
"""

import difflib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

from jax.sharding import PartitionSpec

from t5x_lite.errors import UserError
from t5x_lite.partitioning.config import AxisRules

Axes = tuple[str | None, ...]
# What a PartitionSpec has for a dimension.
Entry = str | tuple[str, ...] | None


def axis_names(mesh_axes: Entry) -> tuple[str, ...]:
    """The mesh axes of one dimension, the outermost first."""
    if mesh_axes is None:
        return ()
    return (mesh_axes,) if isinstance(mesh_axes, str) else mesh_axes


def num_pieces(mesh_axes: Entry, mesh: Mapping[str, int]) -> int:
    """Into how many pieces a dimension is split."""
    return math.prod(mesh[axis] for axis in axis_names(mesh_axes))


def in_words(mesh: Mapping[str, int], axes: Iterable[str] | None = None) -> str:
    """A mesh, or some of its axes, as messages name it: data=4 x model=2."""
    return " x ".join(f"{axis}={mesh[axis]}" for axis in (mesh if axes is None else axes))


def partition_spec(
    axes: Axes, rules: AxisRules, *, parameter: str = "an activation"
) -> PartitionSpec:
    """The mesh axes of each dimension.

    Args:
        parameter: path of the tensor, for the error.

    Raises:
        UserError: no rule names one of the logical axes.
    """
    known = {logical for logical, _ in rules}
    unknown = [axis for axis in axes if axis is not None and axis not in known]
    if unknown:
        nearest = difflib.get_close_matches(unknown[0], known, n=1)
        raise UserError(
            f"{parameter} has the logical axis {unknown[0]!r}, which no rule names"
            f"{f' (nearest: {nearest[0]!r})' if nearest else ''}. Rules exist for "
            f"{', '.join(sorted(known))}; add ({unknown[0]!r}, None) to logical_axis_rules to "
            "replicate it, or a mesh axis to split it."
        )
    spec: list[Entry] = [None] * len(axes)
    decided = [axis is None for axis in axes]
    used: set[str] = set()
    for logical, mesh_axes in rules:
        for dimension, axis in enumerate(axes):
            if (
                axis == logical
                and not decided[dimension]
                and used.isdisjoint(axis_names(mesh_axes))
            ):
                spec[dimension], decided[dimension] = mesh_axes, True
                used.update(axis_names(mesh_axes))
    return PartitionSpec(*spec)


def check_rules(rules: AxisRules, mesh_axes: Sequence[str]) -> None:
    """Refuses a rule that points to a mesh axis that does not exist, or twice to one."""
    for logical, wanted in rules:
        names = axis_names(wanted)
        for name in names:
            if name not in mesh_axes:
                nearest = difflib.get_close_matches(name, mesh_axes, n=1) or list(mesh_axes)
                raise UserError(
                    f"the rule ({logical!r}, {wanted!r}) names a mesh axis that does not exist; "
                    f"did you mean {nearest[0]!r}? The mesh has {', '.join(map(repr, mesh_axes))}."
                )
        if len(set(names)) < len(names):
            raise UserError(
                f"the rule ({logical!r}, {wanted!r}) names a mesh axis twice: needed is each once."
            )


def indivisible(
    axes: Axes, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mapping[str, int]
) -> Iterator[str]:
    """One sentence per dimension that its mesh axes do not divide, with the sizes that do."""
    devices = math.prod(mesh.values())
    for axis, size, mesh_axes in zip(axes, shape, spec, strict=True):
        pieces = num_pieces(mesh_axes, mesh)
        if size % pieces == 0:
            continue
        sentence = f"{size} {axis} do not divide by {in_words(mesh, axis_names(mesh_axes))}"
        if mesh_axes == "model":
            fitting = divisors(size)
            here = [count for count in fitting if devices % count == 0]
            yield (
                f"{sentence}; num_partitions {_listed(fitting)} do "
                f"(of these, {_listed(here)} on {devices} devices: --gin.NUM_PARTITIONS={here[-1]})"
            )
        else:
            below, above = neighbours(size, pieces)
            sizes = f"{below} and {above}" if below else str(above)
            yield f"{sentence}; the next sizes that do are {sizes}"


def divisors(number: int) -> list[int]:
    """All divisors, ascending."""
    return [candidate for candidate in range(1, number + 1) if number % candidate == 0]


def neighbours(size: int, divisor: int) -> tuple[int, int]:
    """The multiples of `divisor` next below (0 if there is none) and above."""
    below = size // divisor * divisor
    return below, below + divisor


def _listed(numbers: Sequence[int], at_most: int = 8) -> str:
    more = ", ..." if len(numbers) > at_most else ""
    return ", ".join(map(str, numbers[:at_most])) + more
