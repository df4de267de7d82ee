"""How long a collective takes on the links of a topology: an estimate by bandwidth alone.

Assumed is that a ring runs along each dimension of the torus in which the chips of a group lie, all
at once: both ways round where the dimension is closed and the group fills it, else there and back
over the same links, at the bandwidth of one. A permute goes over one link. Between slices a group
first sums or gathers within each, and the chips of a host share its network. Latency is not
counted, nor that collectives of several axes share links.
"""

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np

from t5x_lite.planning.collectives import Collective
from t5x_lite.planning.mesh_axes import UNKNOWN_AXES
from t5x_lite.planning.topologies import Topology

_PERMUTE = "collective-permute"


@dataclasses.dataclass(frozen=True)
class Reach:
    """Of a group: how many devices of a slice take part, of how many slices, and the bytes per
    second that a device sends to others of its slice.
    """

    within: int
    slices: int
    bandwidth: float


class Links:
    """The links between the devices of a mesh on a topology.

    Args:
        devices: shaped as the mesh; each has `coords` and, of several slices, a `slice_index`.
        axis_names: of the mesh.
    """

    def __init__(self, topology: Topology, devices: np.ndarray, axis_names: Sequence[str]) -> None:
        self._topology, self._devices, self._axis_names = topology, devices, axis_names
        self.reach = functools.cache(self._reach)

    def seconds(self, collective: Collective) -> float:
        """Of one execution."""
        if not collective.axes or collective.group_size < 2:
            return 0.0
        reach = self.reach(collective.axes)
        if collective.kind == _PERMUTE:
            bandwidth = self._network if reach.slices > 1 else self._link
            return collective.payload_bytes / bandwidth
        size = collective.group_size
        # Bytes by the ring's formula, were the group endless.
        whole = collective.wire_bytes * size / (size - 1)
        within = whole * (reach.within - 1) / reach.within / reach.bandwidth
        between = whole * (reach.slices - 1) / reach.slices / reach.within / self._network
        return within + between

    @property
    def _link(self) -> float:
        chip = self._topology.chip
        return chip.link_bandwidth / chip.devices

    @property
    def _network(self) -> float:
        chip = self._topology.chip
        return chip.host_bandwidth / (chip.chips_per_host * chip.devices)

    def _reach(self, axes: str) -> Reach:
        """Of the first group along these axes; the others lie alike."""
        if axes == UNKNOWN_AXES:
            return Reach(self._devices.size, 1, self._link)
        wanted = axes.split("+")
        index = tuple(slice(None) if axis in wanted else 0 for axis in self._axis_names)
        devices = list(np.asarray(self._devices[index], dtype=object).flat)
        slices = len({getattr(device, "slice_index", None) for device in devices})
        within = len(devices) // slices
        return Reach(within, slices, self._bandwidth(devices))

    def _bandwidth(self, devices: list) -> float:
        topology = self._topology
        if topology.chip.is_simulated:
            return self._link
        places = np.array([device.coords for device in devices])
        spread = [len(set(column)) for column in places.T[: len(topology.shape)]]
        rings = [
            2 if closed and count == size > 2 else 1
            for count, size, closed in zip(spread, topology.shape, topology.closed, strict=True)
            if count > 1
        ]
        # Devices of one chip only: they are linked at least as well as chips are.
        return self._link * max(math.fsum(rings), 1)
