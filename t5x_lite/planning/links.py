"""How long a collective takes on the links of a topology: an estimate by bandwidth alone.

Assumed is that a ring runs along each dimension of the torus in which the chips of a group lie, all
at once: both ways round where the dimension is closed and the group fills it, else there and back
over the same links, at the bandwidth of one. A permute goes over one link. What crosses slices goes
through the network of the hosts, which their chips share. Latency is not counted, nor that
collectives of several axes share links.
"""

import functools
import math
from collections.abc import Sequence

import numpy as np

from t5x_lite.planning.collectives import Collective
from t5x_lite.planning.mesh_axes import UNKNOWN_AXES
from t5x_lite.planning.topologies import Topology

_PERMUTE = "collective-permute"


class Links:
    """The links between the devices of a mesh on a topology.

    Args:
        devices: shaped as the mesh, whose first axis alone crosses slices; each has `coords`.
        axis_names: of the mesh.
    """

    def __init__(self, topology: Topology, devices: np.ndarray, axis_names: Sequence[str]) -> None:
        self._topology, self._axis_names = topology, axis_names
        self._devices = devices[: len(devices) // topology.slices]
        self.bandwidth = functools.cache(self._bandwidth)

    def seconds(self, collective: Collective) -> float:
        """Of one execution."""
        if not collective.axes:
            return 0.0
        if collective.crosses_slices:
            return collective.wire_bytes / self._network
        if collective.kind == _PERMUTE:
            return collective.wire_bytes / self._link
        return collective.wire_bytes / self.bandwidth(collective.axes)

    @property
    def _link(self) -> float:
        chip = self._topology.chip
        return chip.link_bandwidth / chip.devices

    @property
    def _network(self) -> float:
        chip = self._topology.chip
        return chip.host_bandwidth / (chip.chips_per_host * chip.devices)

    def _bandwidth(self, axes: str) -> float:
        """Bytes per second that a device sends to a group along these axes, within its slice."""
        topology = self._topology
        if topology.chip.is_simulated or axes == UNKNOWN_AXES:
            return self._link
        wanted = axes.split("+")
        # The first group; the others lie alike.
        index = tuple(slice(None) if axis in wanted else 0 for axis in self._axis_names)
        group = np.asarray(self._devices[index], dtype=object).flat
        places = np.array([device.coords for device in group])
        spread = [len(set(column)) for column in places.T[: len(topology.shape)]]
        rings = [
            2 if closed and count == size > 2 else 1
            for count, size, closed in zip(spread, topology.shape, topology.closed, strict=True)
            if count > 1
        ]
        # Devices of one chip only: they are linked at least as well as chips are.
        return self._link * max(math.fsum(rings), 1)
