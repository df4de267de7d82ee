"""Where tensors live, as frozen values (no JAX)."""

import dataclasses
import difflib

from t5x_lite.bounds import MAX_COUNT, check_bounds
from t5x_lite.errors import UserError

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
    ("relpos_buckets", None),
    ("lora_rank", None),
    ("prompt_length", None),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartitioningConfig:
    """A mesh (data, model) and the table logical axis -> mesh axes.

    `num_partitions` is the size of `model`, as in T5X; `data` takes all the other devices.
    `logical_axis_rules` is the whole table. `parameter_axis_rules` and `activation_axis_rules` are
    the rows that are different for parameters, with the optimizer's slots, and for activations,
    with batches; all rows of such a logical axis are replaced.
    """

    num_partitions: int = 1
    logical_axis_rules: AxisRules = STANDARD_LOGICAL_AXIS_RULES
    parameter_axis_rules: AxisRules = ()
    activation_axis_rules: AxisRules = ()

    def __post_init__(self) -> None:
        check_bounds(self, num_partitions=(1, MAX_COUNT))
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
