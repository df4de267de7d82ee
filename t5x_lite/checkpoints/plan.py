"""Where every leaf of a state comes from, decided from names and shapes alone: a leaf of a
checkpoint of that name, layers that are stored one by one, or a fresh value.
"""

import dataclasses
import enum
import re
from collections.abc import Mapping, Sequence
from typing import Any

from etils import epath

from t5x_lite.display.terminal import aligned
from t5x_lite.errors import UserError

AssignmentMap = Sequence[tuple[str, str | None]]

_SHOWN = 5
# How many updates slots have seen. Checkpoints of before had only the optimizer's own number, which
# is then that of all slots they have.
_COUNT, COUNT_OF_ALL = "/count", "optimizer_state/step"
_SLOTS = "optimizer_state"
_OTHER_SLOTS = (
    "Use the optimizer that wrote it; or, of an initial checkpoint, take its parameters only: "
    "--gin.RESTORE_OPTIMIZER=False."
)
_OTHER_PARAMETERS = (
    "Use the gin file of the model that wrote it (t5x_lite inspect shows that model); or take what "
    "fits: RestoreCheckpointConfig.assignment_map maps names, where None keeps a fresh value, and "
    "strict = False keeps it for all that the checkpoint lacks."
)
# What a checkpoint may have beyond a model: slots of parameters that are frozen here, and what was
# of use while the model was trained. Other parameters it may not.
_MAY_BE_LEFT_OVER = (_SLOTS, "parameters/generator", "parameters/projections")


class Source(enum.Enum):
    """What becomes of a leaf."""

    RESTORED = "restored"
    FRESH = "kept fresh"
    LEFT_OVER = "left over"
    MISSING = "missing"
    MISSHAPEN = "other shape"


@dataclasses.dataclass(frozen=True)
class Row:
    """One leaf: its name here, the leaves of the checkpoint it is made of, both shapes. A stack is
    made of layers, a repeated one of a single number.
    """

    name: str
    source: Source
    stored: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None
    stored_shape: tuple[int, ...] | None = None
    is_stack: bool = False
    is_repeated: bool = False


@dataclasses.dataclass(frozen=True)
class Report:
    """What became of every leaf of a model and of a checkpoint."""

    rows: tuple[Row, ...]

    def of(self, *sources: Source) -> list[Row]:
        """The rows of these sources."""
        return [row for row in self.rows if row.source in sources]

    def table(self) -> str:
        """One line per leaf, and how many there are of each kind."""
        cells = [("leaf", "what", "in the checkpoint", "shape")]
        for row in self.rows:
            stored = _joined(row.stored) if row.stored != (row.name,) else ""
            shape = row.shape if row.shape is not None else row.stored_shape
            cells.append((row.name, row.source.value, stored, " x ".join(map(str, shape or ()))))
        return f"{aligned(cells)}\n{self.counts()}"

    def counts(self) -> str:
        """How many leaves there are of each kind."""
        counts = [f"{len(self.of(source))} {source.value}" for source in Source if self.of(source)]
        return ", ".join(counts)


def plan(
    wanted: Mapping[str, Any],
    stored: Mapping[str, Any],
    assignment_map: AssignmentMap = (),
    *,
    strict: bool = True,
    optional: Sequence[str] = (),
    unused: Sequence[str] = (),
) -> Report:
    """Where every leaf comes from; leaves are anything with a shape. Stored leaves, or folders of
    leaves, that are `unused` are as if they were not there.
    """
    shapes = {
        name: tuple(leaf.shape)
        for name, leaf in stored.items()
        if not any(_is_in(name, part) for part in unused)
    }
    absent = {part for part in optional if not any(_is_in(name, part) for name in shapes)}
    rows = [
        _row(name, tuple(leaf.shape), shapes, assignment_map, lenient=not strict, absent=absent)
        for name, leaf in wanted.items()
    ]
    used = {name for row in rows for name in row.stored}
    parts = {_top(name) for name in (*wanted, *used)}
    rows += [
        Row(name, Source.LEFT_OVER, stored_shape=shape)
        for name, shape in shapes.items()
        if name not in used and _top(name) in parts
    ]
    return Report(tuple(rows))


def _row(
    name: str,
    shape: tuple[int, ...],
    shapes: Mapping[str, tuple[int, ...]],
    assignment_map: AssignmentMap,
    *,
    lenient: bool,
    absent: set[str],
) -> Row:
    given = _assigned(name, assignment_map)
    if given is None:
        return Row(name, Source.FRESH, shape=shape)
    sources, stored_shape = _sources(given, shapes)
    if not sources and _lacks_its_count(given, shapes):
        return Row(name, Source.RESTORED, (COUNT_OF_ALL,), shape, (), is_repeated=True)
    if not sources:
        fresh = lenient or any(_is_in(name, part) for part in absent)
        return Row(name, Source.FRESH if fresh else Source.MISSING, shape=shape)
    source = Source.RESTORED if stored_shape == shape else Source.MISSHAPEN
    return Row(name, source, sources, shape, stored_shape, is_stack=given not in shapes)


def _assigned(name: str, assignment_map: AssignmentMap) -> str | None:
    """The name in the checkpoint, or None for a fresh value."""
    for pattern, replacement in assignment_map:
        if match := re.fullmatch(pattern, name):
            return None if replacement is None else match.expand(replacement)
    return name


def _sources(
    name: str, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[tuple[str, ...], tuple[int, ...] | None]:
    """The leaf of that name, or those of layers one by one, and the shape they make."""
    if name in shapes:
        return (name,), shapes[name]
    before, layers, after = name.partition("layers/")
    found: list[str] = []
    while layers and (layer := f"{before}layers_{len(found)}/{after}") in shapes:
        found.append(layer)
    of_layers = {shapes[layer] for layer in found}
    if len(of_layers) > 1:
        return tuple(found), None
    return tuple(found), (len(found), *of_layers.pop()) if found else None


def _lacks_its_count(name: str, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    """Whether slots are there without the number of updates that they have seen."""
    if not name.endswith(_COUNT) or COUNT_OF_ALL not in shapes:
        return False
    folder = name.removesuffix(_COUNT)
    first_layer = folder.replace("layers/", "layers_0/", 1)
    return any(_is_in(stored, folder) or _is_in(stored, first_layer) for stored in shapes)


def refuse_misfits(report: Report, checkpoint: epath.Path, *, all_of_it: bool) -> None:
    """Raises UserError, with the name of each leaf that does not fit."""
    wrong = report.of(Source.MISSING, Source.MISSHAPEN)
    if all_of_it:
        wrong += [
            row
            for row in report.of(Source.LEFT_OVER)
            if not any(_is_in(row.name, part) for part in _MAY_BE_LEFT_OVER)
        ]
    if not wrong:
        return
    lines = [
        f"  {row.name}: checkpoint {row.stored_shape or 'has none'}, "
        f"model {row.shape if row.shape is not None else 'has none'}"
        for row in sorted(wrong, key=lambda row: row.name)[:_SHOWN]
    ]
    if len(wrong) > _SHOWN:
        lines.append(f"  ... and {len(wrong) - _SHOWN} more")
    is_of_slots = all(_is_in(row.name, _SLOTS) for row in wrong)
    misfit, fix = ("optimizer", _OTHER_SLOTS) if is_of_slots else ("model", _OTHER_PARAMETERS)
    raise UserError(
        f"the checkpoint {checkpoint} does not fit the {misfit} of this job:\n"
        + "\n".join(lines)
        + f"\n{fix}"
    )


def _top(name: str) -> str:
    return name.split("/", 1)[0]


def _is_in(name: str, part: str) -> bool:
    """Whether a leaf is `part`, or in that folder."""
    return f"{name}/".startswith(f"{part}/")


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}" if names else ""
