"""Which axes of the mesh a collective spans: replica groups and permutes -> names."""

import dataclasses
import math
from collections.abc import Mapping

import numpy as np

# Groups that no set of axes makes, as of a compiler that lays devices out anew.
UNKNOWN_AXES = "?"


@dataclasses.dataclass(frozen=True)
class MeshLayout:
    """Where the partitions of a program stand in its mesh.

    Attributes:
        sizes: axis name -> size, in the mesh's order.
        partition_ids: the ids that replica groups speak of, shaped as the mesh. For a jitted
            program these are positions in the flattened mesh, whatever ids its devices have.
    """

    sizes: Mapping[str, int]
    partition_ids: np.ndarray

    @classmethod
    def of(cls, sizes: Mapping[str, int]) -> "MeshLayout":
        """The layout of a jitted program."""
        shape = tuple(sizes.values())
        return cls(dict(sizes), np.arange(math.prod(shape)).reshape(shape))
