"""What a device holds of each array of a traced step, on one mesh."""

import dataclasses
import functools
import math
from collections.abc import Collection, Mapping

from t5x_lite.partitioning.config import AxisRules
from t5x_lite.partitioning.rules import axis_names, partition_spec
from t5x_lite.planning.traced import Dim, Value, elements
from t5x_lite.training.config import TrainConfig

Axes = tuple[str | None, ...]
# The mesh axes of each dimension.
Split = tuple[tuple[str, ...], ...]


@dataclasses.dataclass(frozen=True)
class Shares:
    """One microbatch of a job on a mesh.

    Attributes:
        sizes: of the axes that a trace has names for.
        lengths: of the sequences that stacks read.
        mesh: axis -> its devices.
    """

    sizes: Mapping[str, int]
    lengths: Collection[int]
    mesh: Mapping[str, int]
    activation_rules: AxisRules
    parameter_rules: AxisRules
    logits_bytes: int
    _known: dict[Value, int] = dataclasses.field(default_factory=dict, compare=False)

    @functools.cached_property
    def kernel_rules(self) -> AxisRules:
        """How a kernel lies where it is multiplied: whole along `embed`, whatever splits `x`."""
        return (*(rule for rule in self.activation_rules if rule[0] != "embed"), ("embed", None))

    def bytes_of(self, value: Value) -> int:
        """Bytes on a device; of logits those of a chunk."""
        if value not in self._known:
            self._known[value] = self._bytes(value, self.split_of(value))
        return self._known[value]

    def bytes_but_for(self, value: Value, axes: Collection[str]) -> int:
        """Bytes on a device of an array that these mesh axes do not split."""
        rules = self.activation_rules if value.has_rows else self.kernel_rules
        split = self.split(value.placed or self.names(value), rules)
        left = tuple(tuple(axis for axis in dim if axis not in axes) for dim in split)
        return self._bytes(value, left)

    def split_of(self, value: Value) -> Split:
        """Where a constraint put it, else as its axes are by themselves: what has rows as
        activations are, all else as parameters and their gradients.
        """
        if value.placed is not None:
            rules = self.activation_rules if value.has_rows else self.kernel_rules
            return self.split(value.placed, rules)
        return self.split_at_rest(value)

    def split_at_rest(self, value: Value) -> Split:
        """As its axes are, whatever a constraint says."""
        rules = self.activation_rules if value.has_rows else self.parameter_rules
        return self.split(self.names(value), rules)

    def split(self, names: Axes, rules: AxisRules) -> Split:
        """The mesh axes of these logical axes."""
        return _split(names, rules)

    def size_of(self, axes: Collection[str]) -> int:
        """Devices along mesh axes."""
        return math.prod(self.mesh[axis] for axis in axes)

    def names(self, value: Value) -> Axes:
        """The logical axis of each dimension."""
        names = tuple(map(self._name_of, value.dims))
        # Of queries x keys none is split along its length.
        if names.count("length") > 1:
            return tuple(None if name == "length" else name for name in names)
        return names

    def trips(self, dim: Dim) -> int:
        """How often a loop runs."""
        return elements((dim,), self.sizes)

    def _bytes(self, value: Value, split: Split) -> int:
        pieces = self.size_of([axis for dim in split for axis in dim])
        size = -(-elements(value.dims, self.sizes) // pieces) * value.itemsize
        return min(size, self.logits_bytes) if value.has_rows and value.has("vocab") else size

    def _name_of(self, dim: Dim) -> str | None:
        if not dim.axes:
            return "length" if dim.rest in self.lengths else None
        if dim.axes == ("heads", "head_dim"):
            return "joined_kv"
        return "layers" if dim.axes[0].endswith("layers") else dim.axes[0]


@functools.cache
def _split(names: Axes, rules: AxisRules) -> Split:
    return tuple(map(axis_names, partition_spec(names, rules)))


def shares_of(job: TrainConfig, mesh: Mapping[str, int], lengths: Collection[int]) -> Shares:
    """Those of a job whose sequences have these lengths."""
    model, rules = job.model, job.partitioning
    attention = model.block.attention
    return Shares(
        sizes={
            "batch": job.dataset.batch_size // job.num_microbatches,
            "vocab": model.vocab_size,
            "mlp": model.block.mlp.mlp_dim,
            "heads": attention.num_heads,
            "head_dim": attention.head_dim,
            "embed": model.embed_dim,
        }
        | {f"{name} layers": stack.depth for name, stack in model.stacks.items()},
        lengths=lengths,
        mesh=mesh,
        activation_rules=rules.activation_rules,
        parameter_rules=rules.parameter_rules,
        logits_bytes=int(model.compute.logits_bytes),
    )
