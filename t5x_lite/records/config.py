"""A user's own files as a task, as frozen values."""

import dataclasses
import enum
from typing import Any

from t5x_lite.bounds import check_bounds
from t5x_lite.errors import UserError
from t5x_lite.places import check_place

# The macros of recipes/dataset.gin that give the fields.
MACROS = {
    "paths": "DATA",
    "field": "DATA_FIELD",
    "objective": "DATA_OBJECTIVE",
    "inputs": "DATA_INPUTS",
    "targets": "DATA_TARGETS",
    "prefix": "DATA_PREFIX",
    "told": "DATA_TOLD",
    "labels": "DATA_LABELS",
    "metrics": "DATA_METRICS",
    "held_out": "HELD_OUT",
    "bad_rows": "ON_BAD_ROW",
}


class BadRows(enum.Enum):
    """What happens at a row that cannot be used: ERROR ends the job, SKIP counts it."""

    ERROR = "error"
    SKIP = "skip"


class Told(enum.Enum):
    """What `targets` are to the model: text to write, the name of a class, or a number."""

    TEXT = "text"
    CLASSES = "classes"
    VALUES = "values"


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordsConfig:
    """Files of rows, and what a task makes of each.

    `paths` are files, folders or patterns, separated by commas (None: there are none, the task
    comes from elsewhere). Without `targets` a row is a text, its `field`, of which `objective`
    makes examples. With them it is a pair: `prefix` and the field `inputs`, and `targets` as they
    are `told`, of `labels` where these are classes, scored by `metrics`. Fields are names of
    columns, or their numbers, from 0 on, in tables without a line of names.

    `held_out` is the share of rows that are the split `validation`, by a hash of their text, or the
    paths of other files that are. At a row that cannot be used happens what `bad_rows` says.
    """

    paths: str | None = None
    field: str = "text"
    objective: str = "span_corruption"
    inputs: str | None = None
    targets: str | None = None
    prefix: str = ""
    told: Told = Told.TEXT
    labels: tuple[str, ...] = ()
    metrics: tuple[str, ...] = ("accuracy",)
    held_out: float | str = 0.02
    bad_rows: BadRows = BadRows.ERROR

    def __post_init__(self) -> None:
        for name in ("paths", "held_out"):
            value = getattr(self, name)
            for part in value.split(",") if isinstance(value, str) else ():
                check_place(name, part)
        if not isinstance(self.held_out, str):
            check_bounds(self, held_out=(0.0, 0.5))
        if (self.inputs is None) != (self.targets is None):
            given, missing = (
                ("inputs", "targets") if self.targets is None else ("targets", "inputs")
            )
            raise UserError(
                f"{given}={getattr(self, given)!r} without {missing}: needed are the fields of "
                f"both sides of a pair, --{missing}=...; a text by itself is named by --field=..."
            )
        if self.told is Told.CLASSES and self.is_pair and len(set(self.labels)) < 2:
            raise UserError(
                f"{self.targets!r} is the name of a class, and labels={self.labels}: needed are "
                "all names, in an order that stays: --labels=negative,positive"
            )

    @property
    def is_pair(self) -> bool:
        """Whether rows have inputs and targets of their own."""
        return self.targets is not None

    def facts(self) -> dict[str, Any]:
        """What a checkpoint says of the files that its run read, by macros in lower case."""
        if self.paths is None:
            return {}
        values = {field: getattr(self, field) for field in MACROS}
        values |= {"told": self.told.value, "bad_rows": self.bad_rows.value}
        return {MACROS[field].lower(): value for field, value in values.items()}

    @property
    def fields(self) -> tuple[str, ...]:
        """What is read of each row."""
        if self.inputs is None or self.targets is None:
            return (self.field,)
        return (self.inputs, self.targets)
