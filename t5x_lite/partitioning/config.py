"""Where tensors live, as frozen values (no JAX)."""

import dataclasses
import difflib
import math

from t5x_lite.bounds import MAX_COUNT, check_bounds
from t5x_lite.errors import UserError

# A name and its number of devices, the outermost first; None takes the devices that are left.
MeshAxes = tuple[tuple[str, int | None], ...]

# A logical axis and the mesh axes that split it: one, several (the outermost first) or none.
AxisRules = tuple[tuple[str, str | tuple[str, ...] | None], ...]

# T5X's contract: the vocabulary, the feed-forward width and the heads are split over `model`, the
# batch over `data`, everything else is replicated.
STANDARD_LOGICAL_AXIS_RULES: AxisRules = (
    ("batch", "data"),
    ("vocab", "model"),
    ("mlp", "model"),
    ("heads", "model"),
    ("joined_kv", "model"),
    ("embed", None),
    ("head_dim", None),
    ("length", None),
    ("layers", None),
    ("positions", None),
    ("token_types", None),
    ("token_embed", None),
    ("hidden", None),
    ("classes", None),
    ("relpos_buckets", None),
    ("lora_rank", None),
    ("prompt_length", None),
    ("memories", None),
    ("range_ends", None),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartitioningConfig:
    """A mesh and the table logical axis -> mesh axes.

    Without `mesh_axes` the mesh is (data, model). `num_partitions` is the size of `model`, as in
    T5X; `data` takes all the other devices. `mesh_axes` are (name, size), of which the first may
    cross slow links; one size may be None, for the devices that are left.

    `logical_axis_rules` is the whole table. `parameter_axis_rules` and `activation_axis_rules` are
    the rows that are different for parameters, with the optimizer's slots, and for activations,
    with batches; all rows of such a logical axis are replaced.
    """

    num_partitions: int = 1
    mesh_axes: MeshAxes | None = None
    logical_axis_rules: AxisRules = STANDARD_LOGICAL_AXIS_RULES
    parameter_axis_rules: AxisRules = ()
    activation_axis_rules: AxisRules = ()

    def __post_init__(self) -> None:
        check_bounds(self, num_partitions=(1, MAX_COUNT))
        self._check_mesh_axes()
        self._check_rows()

    def _check_mesh_axes(self) -> None:
        names = [name for name, _ in self.axes]
        sizes = [size for _, size in self.axes]
        is_meant = len(set(names)) == len(names) > 0 and sizes.count(None) <= 1
        if not is_meant or any(size is not None and size < 1 for size in sizes):
            raise UserError(
                f"mesh_axes={self.mesh_axes}: needed are (name, size) of different names, with "
                "sizes of at least 1, of which one may be None, for the devices that are left."
            )
        model = dict(self.axes).get("model", 1)
        if self.num_partitions not in (1, model):
            raise UserError(
                f"num_partitions={self.num_partitions} and mesh_axes={self.mesh_axes}: the axis "
                'model has one size; write ("model", %NUM_PARTITIONS) in mesh_axes.'
            )

    def _check_rows(self) -> None:
        known = [axis for axis, _ in self.logical_axis_rules]
        for name in ("parameter_axis_rules", "activation_axis_rules"):
            for axis, _ in getattr(self, name):
                if axis not in known:
                    nearest = difflib.get_close_matches(axis, known, n=1)
                    raise UserError(
                        f"{name}: {axis!r} is no row of logical_axis_rules"
                        f"{f'; did you mean {nearest[0]!r}?' if nearest else '.'} "
                        f"Rows exist for {', '.join(dict.fromkeys(known))}."
                    )

    @property
    def axes(self) -> MeshAxes:
        """The axes of the mesh."""
        if self.mesh_axes is not None:
            return self.mesh_axes
        return (("data", None), ("model", self.num_partitions))

    @property
    def min_devices(self) -> int:
        """The least number of devices that such a mesh can have."""
        return math.prod(size for _, size in self.axes if size is not None)

    @property
    def parameter_rules(self) -> AxisRules:
        """The table for parameters."""
        return _replaced(self.logical_axis_rules, self.parameter_axis_rules)

    @property
    def activation_rules(self) -> AxisRules:
        """The table for activations."""
        return _replaced(self.logical_axis_rules, self.activation_axis_rules)


def _replaced(rules: AxisRules, rows: AxisRules) -> AxisRules:
    """In place: of two axes of one tensor the one whose row is earlier is split first."""
    replacing = {axis for axis, _ in rows}
    found: AxisRules = ()
    for rule in rules:
        if rule[0] not in replacing:
            found += (rule,)
        elif all(rule[0] != done for done, _ in found):
            found += tuple(row for row in rows if row[0] == rule[0])
    return found
