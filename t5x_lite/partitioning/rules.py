"""Logical axes to mesh axes, and what does not fit.

Rules are tried in order. Each gives its logical axis a mesh axis (or None: replicated) unless the
tensor already uses that mesh axis, so a logical axis may have a second choice:

>>> partition_spec(("embed", "mlp"), (("mlp", "model"), ("embed", "model"), ("embed", "data")))
P('data', 'model')
"""

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence

from jax.sharding import PartitionSpec

from t5x_lite.errors import UserError

Rules = tuple[tuple[str, str | None], ...]
Axes = tuple[str | None, ...]


def partition_spec(axes: Axes, rules: Rules, *, parameter: str = "an activation") -> PartitionSpec:
    """The mesh axis of each dimension.

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
    mesh_axes: list[str | None] = [None] * len(axes)
    decided = [axis is None for axis in axes]
    for logical, mesh_axis in rules:
        for dimension, axis in enumerate(axes):
            if axis == logical and not decided[dimension]:
                free = mesh_axis is None or mesh_axis not in mesh_axes
                if free:
                    mesh_axes[dimension], decided[dimension] = mesh_axis, True
    return PartitionSpec(*mesh_axes)


def check_rules(rules: Rules, mesh_axes: Sequence[str]) -> None:
    """Refuses a rule that points to a mesh axis that does not exist."""
    for logical, mesh_axis in rules:
        if mesh_axis is not None and mesh_axis not in mesh_axes:
            nearest = difflib.get_close_matches(mesh_axis, mesh_axes, n=1) or list(mesh_axes)
            raise UserError(
                f"the rule ({logical!r}, {mesh_axis!r}) names a mesh axis that does not exist; "
                f"did you mean {nearest[0]!r}? The mesh has {', '.join(map(repr, mesh_axes))}."
            )


def indivisible(
    axes: Axes, shape: tuple[int, ...], spec: PartitionSpec, mesh: Mapping[str, int]
) -> Iterator[str]:
    """One sentence per dimension that its mesh axis does not divide, with the sizes that do."""
    devices = math.prod(mesh.values())
    for axis, size, mesh_axis in zip(axes, shape, spec, strict=True):
        if mesh_axis is None or size % mesh[mesh_axis] == 0:
            continue
        sentence = f"{size} {axis} do not divide by {mesh_axis}={mesh[mesh_axis]}"
        if mesh_axis == "model":
            fitting = divisors(size)
            here = [count for count in fitting if devices % count == 0]
            yield (
                f"{sentence}; num_partitions {_listed(fitting)} do "
                f"(of these, {_listed(here)} on {devices} devices: --gin.NUM_PARTITIONS={here[-1]})"
            )
        else:
            below, above = neighbours(size, mesh[mesh_axis])
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
