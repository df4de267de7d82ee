"""Which axes of the mesh a collective spans: replica groups and permutes -> names."""

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterator, Mapping

import numpy as np

from t5x_lite.planning.replica_groups import Groups

# Groups that no set of axes makes, as of a compiler that lays devices out anew.
UNKNOWN_AXES = "?"


@dataclasses.dataclass(frozen=True)
class MeshLayout:
    """Where the partitions of a program stand in its mesh.

    Of several slices a TPU program is the one that each of them runs: its groups speak of the
    partitions of a slice, and what crosses slices is sent by the hosts.

    Attributes:
        sizes: axis name -> size within a slice, in the mesh's order.
        partition_ids: the ids that replica groups speak of, shaped as the mesh of a slice. For a
            jitted program these are positions in that mesh, whatever ids its devices have.
        num_slices: how often this mesh repeats along its first axis.
    """

    sizes: Mapping[str, int]
    partition_ids: np.ndarray
    num_slices: int = 1

    @classmethod
    def of(cls, sizes: Mapping[str, int], num_slices: int = 1) -> "MeshLayout":
        """The layout of a jitted program.

        Args:
            sizes: of the whole mesh, whose first axis alone crosses slices.
        """
        (first, size), *inner = sizes.items()
        in_slice = {first: size // num_slices, **dict(inner)}
        shape = tuple(in_slice.values())
        return cls(in_slice, np.arange(math.prod(shape)).reshape(shape), num_slices)

    @property
    def slice_axis(self) -> str:
        """The axis that crosses slices, if there are several."""
        return next(iter(self.sizes))

    def axes_of(self, groups: Groups) -> str:
        """The axes along which the members of each group differ, as "data" or "data+model"; empty
        for groups of one.
        """
        return self._axes_by_groups.get(_canonical(groups), UNKNOWN_AXES)

    def axes_between(self, pairs: Groups) -> str:
        """The fewest axes along which all senders reach their receivers."""
        sources, targets = np.array([pair for pair in pairs if pair[0] != pair[1]]).reshape(-1, 2).T
        places = self._places
        if not all(id in places for pair in pairs for id in pair):
            return UNKNOWN_AXES
        apart = [places[source] != places[target] for source, target in zip(sources, targets)]
        moved = np.any(apart, axis=0) if apart else []
        return "+".join(name for name, is_moved in zip(self.sizes, moved) if is_moved)

    def size_of(self, axes: str) -> int:
        """Chips along axes that `axes_of` or `axes_between` named."""
        return math.prod(self.sizes[name] for name in axes.split("+") if name)

    @functools.cached_property
    def _places(self) -> Mapping[int, np.ndarray]:
        """Partition id -> its coordinates."""
        indices = np.indices(self.partition_ids.shape).reshape(self.partition_ids.ndim, -1).T
        return dict(zip(self.partition_ids.ravel().tolist(), indices))

    @functools.cached_property
    def _axes_by_groups(self) -> Mapping[Groups, str]:
        return {_canonical(self._groups(axes)): "+".join(axes) for axes in self._subsets()}

    def _subsets(self) -> Iterator[tuple[str, ...]]:
        wide = [name for name, size in self.sizes.items() if size > 1]
        for length in range(len(wide) + 1):
            yield from itertools.combinations(wide, length)

    def _groups(self, axes: tuple[str, ...]) -> Groups:
        names = list(self.sizes)
        together = [names.index(name) for name in axes]
        others = [axis for axis in range(len(names)) if axis not in together]
        size = math.prod(self.sizes[name] for name in axes)
        ids = self.partition_ids.transpose(others + together).reshape(-1, size)
        return tuple(map(tuple, ids.tolist()))


def _canonical(groups: Groups) -> Groups:
    return tuple(sorted(tuple(sorted(group)) for group in groups))
