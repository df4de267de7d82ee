"""A mesh with rules: where parameters, batches and activations live.

"pjit" is today's jax.jit with these shardings as in_shardings and out_shardings.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from t5x_lite.errors import UserError
from t5x_lite.partitioning import constrain, readers, table
from t5x_lite.partitioning.config import AxisRules, PartitioningConfig
from t5x_lite.partitioning.mesh import make_mesh
from t5x_lite.partitioning.rules import (
    Axes,
    axis_names,
    check_rules,
    in_words,
    indivisible,
    neighbours,
    num_pieces,
    partition_spec,
)

# Trees of logical axes and of shapes are nested dicts, and dataclasses of them, whose leaves are
# tuples of names and arrays or ShapeDtypeStructs.
AxesTree = Any
ShapesTree = Any


@dataclasses.dataclass(frozen=True)
class Partitioner:
    """Turns logical axes into shardings on one mesh."""

    mesh: Mesh
    parameter_rules: AxisRules
    activation_rules: AxisRules

    def sharding(self, axes: Axes) -> NamedSharding:
        """The sharding of one activation or batch."""
        return NamedSharding(self.mesh, partition_spec(axes, self.activation_rules))

    def fitting(self, axes: Axes, shape: tuple[int, ...]) -> NamedSharding:
        """The same, with each dimension whole that does not divide into as many pieces."""
        spec, mesh = partition_spec(axes, self.activation_rules), self.mesh
        pieces = [num_pieces(entry, mesh.shape) for entry in spec]
        entries = [
            entry if size % n == 0 else None
            for entry, size, n in zip(spec, shape, pieces, strict=True)
        ]
        return NamedSharding(mesh, PartitionSpec(*entries))

    def shardings(self, axes: AxesTree, shapes: ShapesTree) -> Any:
        """The shardings of a tree of parameters or slots, checked against its shapes.

        Raises:
            UserError: what does not fit, all of it, each with the first parameter concerned.
        """
        problems: dict[str, str] = {}

        def sharding_of(path: Any, shape: Any, axes: Axes) -> NamedSharding:
            name = table.path_name(path)
            if len(axes) != len(shape.shape):
                raise UserError(
                    f"{name} has shape {shape.shape} but logical axes {axes}: needed is one name "
                    "per dimension."
                )
            spec = partition_spec(axes, self.parameter_rules, parameter=name)
            for problem in indivisible(axes, shape.shape, spec, self.mesh.shape):
                problems.setdefault(problem, name)
            return NamedSharding(self.mesh, spec)

        found = jax.tree_util.tree_map_with_path(sharding_of, shapes, axes)
        if problems:
            lines = "\n".join(f"  {name}: {problem}" for problem, name in problems.items())
            raise UserError(f"the model does not fit the mesh {dict(self.mesh.shape)}:\n{lines}")
        return found

    @property
    def batch_sharding(self) -> NamedSharding:
        """The first dimension split as rules say for `batch`, the others whole."""
        return self.sharding(("batch",))

    @property
    def data_axis_size(self) -> int:
        """Number of pieces that a batch is split into."""
        return num_pieces(self._batch_axes, self.mesh.shape)

    @property
    def batch_split(self) -> str:
        """What splits a batch, as messages name it: data=4."""
        return in_words(self.mesh.shape, self._batch_axes) or "1"

    @property
    def _batch_axes(self) -> tuple[str, ...]:
        return axis_names(self.batch_sharding.spec[0])

    def filled_batch_size(self, batch_size: int) -> int:
        """The next size that splits evenly: for batches that are filled up, whose filling counts
        nothing, such as those that are answered.
        """
        pieces = self.data_axis_size
        return -(-max(batch_size, 1) // pieces) * pieces

    def check_batch_size(self, batch_size: int, macro: str = "BATCH_SIZE") -> None:
        """Refuses a batch that does not split evenly, naming the next sizes that do."""
        pieces = self.data_axis_size
        if batch_size < 1 or batch_size % pieces:
            below, above = neighbours(max(batch_size, 0), pieces)
            options = [size for size in (below, above) if size > 0]
            raise UserError(
                f"a batch of {batch_size} rows does not divide by {self.batch_split} (mesh "
                f"{dict(self.mesh.shape)}); the next sizes that do are "
                f"{' and '.join(map(str, options))}: --gin.{macro}={options[0]}."
            )

    @property
    def reader(self) -> tuple[int, int]:
        """(index, count): which of how many disjoint parts of every batch this process reads.

        Processes that share their rows, because `model` spans them, read the same part.
        """
        return self._readers[0][jax.process_index()], self._readers[1]

    @property
    def is_first_reader(self) -> bool:
        """Whether no process of a lower number reads the same part: one of them speaks for all."""
        parts = self._readers[0]
        own = jax.process_index()
        return all(part != parts[own] for process, part in parts.items() if process < own)

    @functools.cached_property
    def _readers(self) -> tuple[dict[int, int], int]:
        """The part that each process reads, and the number of parts."""
        return self._parts(lambda device: device.process_index)

    def num_readers(self, num_processes: int) -> int:
        """How many parts there would be, were simulated devices shared out among so many.

        Raises:
            UserError: these processes would hold overlapping parts.
        """
        share = self.mesh.size // num_processes
        return self._parts(lambda device: device.id // share)[1]

    def _parts(self, process_of: Callable[[jax.Device], int]) -> tuple[dict[int, int], int]:
        processes = np.vectorize(process_of, otypes=[int])(self.mesh.devices)
        return readers.parts_of(processes, self._batch_axes, self.mesh.shape)

    @property
    def platform(self) -> str:
        """What the devices of the mesh are, "cpu" or "tpu"."""
        return self.mesh.devices.flat[0].platform

    @property
    def is_one_cpu(self) -> bool:
        """Whether the mesh is one CPU device."""
        return self.platform == "cpu" and self.mesh.size == 1

    def global_batch(self, local: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Global arrays of which this process holds the rows given.

        Raises:
            UserError: the rows of all processes together do not split over the mesh.
        """
        parts = self.reader[1]
        for rows in {array.shape[0] for array in local.values()}:
            self.check_batch_size(rows * parts)
        return {
            name: jax.make_array_from_process_local_data(
                self.batch_sharding, array, (array.shape[0] * parts, *array.shape[1:])
            )
            for name, array in local.items()
        }

    def place_batch(self, whole: Mapping[str, np.ndarray]) -> dict[str, jax.Array]:
        """Global arrays of a batch that every process holds whole.

        Row i stays row i on any mesh; with `global_batch` it does not where the rows of a process
        are not neighbours in the mesh.
        """

        def place(array: np.ndarray) -> jax.Array:
            return jax.make_array_from_callback(
                array.shape, self.batch_sharding, lambda index: array[index]
            )

        return {name: place(array) for name, array in whole.items()}

    def activations(self) -> contextlib.AbstractContextManager[None]:
        """Makes `constrain` work and `constrain.platform` be that of the mesh in what is traced
        inside; enter it inside the jitted function.
        """
        return constrain.constraints(self.sharding, self.platform)

    def table(
        self,
        axes: AxesTree,
        shapes: ShapesTree,
        state_axes: AxesTree | None = None,
        state_shapes: ShapesTree | None = None,
    ) -> str:
        """Where every parameter lives and what it costs a device; optimizer state is summed."""
        parameters = table.rows(axes, shapes, self.shardings(axes, shapes))
        state: list[table.Row] = []
        if state_axes is not None:
            state = table.rows(state_axes, state_shapes, self.shardings(state_axes, state_shapes))
        return table.render(parameters, state, dict(self.mesh.shape))


def make_partitioner(
    config: PartitioningConfig, devices: Sequence[jax.Device] | None = None
) -> Partitioner:
    """The mesh of a config over `devices`, all there are if not given.

    Raises:
        UserError: the devices cannot be split so, or a rule names an axis that the mesh has not.
    """
    for rules in (config.parameter_rules, config.activation_rules):
        check_rules(rules, [name for name, _ in config.axes])
    mesh = make_mesh(config.axes, jax.devices() if devices is None else devices)
    return Partitioner(mesh, config.parameter_rules, config.activation_rules)
