"""Which process reads which rows of a batch."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from t5x_lite.errors import UserError


def parts_of(
    processes: np.ndarray, axes: Collection[str], mesh: Mapping[str, int]
) -> tuple[dict[int, int], int]:
    """The part of every batch that each process reads, and how many disjoint parts there are.

    Args:
        processes: the number of the process that holds each device of the mesh, in its shape.
        axes: the mesh axes over which the batch is split, the outermost first.

    Raises:
        UserError: processes hold parts that overlap.
    """
    rows_of = _rows(processes, [list(mesh).index(axis) for axis in axes])
    parts = sorted(set(rows_of.values()))
    num_pieces = int(np.prod([mesh[axis] for axis in axes], dtype=int))
    if sum(map(len, parts)) != num_pieces or len({len(part) for part in parts}) != 1:
        local = processes.size // len(rows_of)
        raise UserError(
            f"on the mesh {dict(mesh)} the processes hold overlapping parts of the batch "
            f"({parts}); choose --gin.NUM_PARTITIONS so that it divides the {local} devices of a "
            "process or is a multiple of them."
        )
    return {process: parts.index(rows) for process, rows in rows_of.items()}, len(parts)


def _rows(processes: np.ndarray, dimensions: Sequence[int]) -> dict[int, tuple[int, ...]]:
    """The pieces of a batch that lie on each process's devices."""
    in_front = np.moveaxis(processes, dimensions, range(len(dimensions)))
    num_pieces = int(np.prod(in_front.shape[: len(dimensions)], dtype=int))
    found: dict[int, set[int]] = {}
    for piece, members in enumerate(in_front.reshape(num_pieces, -1)):
        for process in members:
            found.setdefault(int(process), set()).add(piece)
    return {process: tuple(sorted(rows)) for process, rows in found.items()}
