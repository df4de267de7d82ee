"""From a checkpoint into memory, leaf by leaf, whatever mesh, dtype or layout of layers wrote it.

A leaf is named by its path, parameters/encoder/layers/mlp/wi/kernel. `plan` decides from names and
shapes alone where each comes from; then each device is given its own slice and nothing else.
"""

import contextlib
import dataclasses
import enum
import functools
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath
from jax.sharding import NamedSharding, PartitionSpec

from t5x_lite.checkpoints import folders, leaf_sums, manifest, together
from t5x_lite.checkpoints.errors import DamagedError
from t5x_lite.errors import UserError

AssignmentMap = Sequence[tuple[str, str | None]]

_SHOWN = 5
_BYTES_CAST_AT_ONCE = 1 << 30
# How TensorStore says that bytes are not those that were written.
_DAMAGE = re.compile("^DATA_LOSS|CRC-32C checksum verification failed")
# How many updates slots have seen. Checkpoints of before had only the optimizer's own number, which
# is then that of all slots they have.
_COUNT, _COUNT_OF_ALL = "/count", "optimizer_state/step"


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
        widths = [max(len(line[column]) for line in cells) for column in range(4)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in cells
        ]
        return "\n".join([*lines, self.counts()])

    def counts(self) -> str:
        """How many leaves there are of each kind."""
        counts = [f"{len(self.of(source))} {source.value}" for source in Source if self.of(source)]
        return ", ".join(counts)


def restore(
    checkpoint: epath.Path,
    abstract: Any,
    *,
    assignment_map: AssignmentMap = (),
    strict: bool = True,
    optional: Sequence[str] = (),
    fresh: Callable[[Collection[str]], Any] | None = None,
    on_report: Callable[[Report], None] = lambda report: None,
) -> Any:
    """Reads a state into the shapes, dtypes and shardings of `abstract`.

    `abstract` is a whole `TrainState` or only some of its parts as a dictionary, for instance
    {"parameters": ...}; parts that it lacks are not read. Leaves not in the checkpoint are taken
    from `fresh(names)`, which has at least these: those that `assignment_map` sets to None, with
    strict=False those that are missing, and leaves or folders of leaves named `optional` of which
    the checkpoint has nothing.

    Raises:
        UserError: a leaf is missing, left over or of another shape, each with its name.
        DamagedError: a leaf is not what was written.
    """
    wanted, stored = _as_dict(abstract), metadata(checkpoint)
    report = _fitting(checkpoint, wanted, stored, assignment_map, strict, optional)
    on_report(report)
    found = _kept_fresh(report, fresh) | _read(checkpoint, report, leaves(wanted), stored)
    restored = jax.tree_util.tree_map_with_path(lambda path, _: found[name_of(path)], wanted)
    return restored if isinstance(abstract, dict) else type(abstract)(**restored)


def check(
    checkpoint: epath.Path,
    abstract: Any,
    *,
    assignment_map: AssignmentMap = (),
    strict: bool = True,
    optional: Sequence[str] = (),
) -> Report:
    """What `restore` would do; reads no tensor, and `abstract` needs no shardings.

    Raises:
        UserError: what `restore` would refuse.
    """
    wanted, stored = _as_dict(abstract), metadata(checkpoint)
    return _fitting(checkpoint, wanted, stored, assignment_map, strict, optional)


def _fitting(
    checkpoint: epath.Path,
    wanted: Mapping[str, Any],
    stored: Any,
    assignment_map: AssignmentMap,
    strict: bool,
    optional: Sequence[str],
) -> Report:
    report = plan(leaves(wanted), leaves(stored), assignment_map, strict=strict, optional=optional)
    _refuse_misfits(report, checkpoint, all_of_it=strict and not assignment_map)
    return report


def _as_dict(parts: Any) -> dict[str, Any]:
    return parts if isinstance(parts, dict) else dict(vars(parts))


def metadata(checkpoint: epath.Path) -> Any:
    """The tree of shapes and dtypes of a checkpoint's state; reads no tensor.

    Raises:
        DamagedError: it cannot be read.
    """
    try:
        return ocp.PyTreeCheckpointHandler().metadata(checkpoint / folders.STATE).tree
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"its state cannot be read ({type(error).__name__}: {error})"
        raise DamagedError(checkpoint, [problem]) from error


def plan(
    wanted: Mapping[str, Any],
    stored: Mapping[str, Any],
    assignment_map: AssignmentMap = (),
    *,
    strict: bool = True,
    optional: Sequence[str] = (),
) -> Report:
    """Where every leaf comes from; leaves are anything with a shape."""
    shapes = {name: tuple(leaf.shape) for name, leaf in stored.items()}
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
        return Row(name, Source.RESTORED, (_COUNT_OF_ALL,), shape, (), is_repeated=True)
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
    if not name.endswith(_COUNT) or _COUNT_OF_ALL not in shapes:
        return False
    folder = name.removesuffix(_COUNT)
    first_layer = folder.replace("layers/", "layers_0/", 1)
    return any(_is_in(stored, folder) or _is_in(stored, first_layer) for stored in shapes)


def _refuse_misfits(report: Report, checkpoint: epath.Path, *, all_of_it: bool) -> None:
    wrong = report.of(Source.MISSING, Source.MISSHAPEN)
    if all_of_it:
        # Slots of parameters that are frozen here may be left over; parameters may not.
        wrong += [row for row in report.of(Source.LEFT_OVER) if _top(row.name) != "optimizer_state"]
    if not wrong:
        return
    lines = [
        f"  {row.name}: checkpoint {row.stored_shape or 'has none'}, "
        f"model {row.shape if row.shape is not None else 'has none'}"
        for row in sorted(wrong, key=lambda row: row.name)[:_SHOWN]
    ]
    if len(wrong) > _SHOWN:
        lines.append(f"  ... and {len(wrong) - _SHOWN} more")
    raise UserError(
        f"the checkpoint {checkpoint} does not fit the model of this job:\n"
        + "\n".join(lines)
        + "\nUse the gin file of the model that wrote it (t5x_lite inspect shows that model); or "
        "take what fits: RestoreCheckpointConfig.assignment_map maps names, where None keeps a "
        "fresh value, and strict = False keeps it for all that the checkpoint lacks."
    )


def _kept_fresh(report: Report, fresh: Callable[[Collection[str]], Any] | None) -> dict[str, Any]:
    names = {row.name for row in report.of(Source.FRESH)}
    if not names:
        return {}
    assert fresh is not None, "who allows fresh leaves gives them"
    return {name: leaf for name, leaf in leaves(_as_dict(fresh(names))).items() if name in names}


def _read(
    checkpoint: epath.Path, report: Report, wanted: Mapping[str, Any], stored: Any
) -> dict[str, Any]:
    """The restored leaves by their names here."""
    rows = report.of(Source.RESTORED)
    asked: dict[str, jax.ShapeDtypeStruct] = {}
    for row in rows:
        leaf = wanted[_COUNT_OF_ALL if row.is_repeated else row.name]
        asked |= dict.fromkeys(row.stored, _layer_of(leaf) if row.is_stack else leaf)
    found = _read_leaves(checkpoint, asked, stored)
    made: dict[str, Any] = {}
    for row in rows:
        sharding = wanted[row.name].sharding
        if row.is_stack:
            layers = [found[name] for name in row.stored]
            made[row.name] = jax.jit(lambda *each: jnp.stack(each), out_shardings=sharding)(*layers)
        elif row.is_repeated:
            repeat = functools.partial(jnp.full, row.shape)
            made[row.name] = jax.jit(repeat, out_shardings=sharding)(found[_COUNT_OF_ALL])
        elif sum(row.stored == other.stored for other in rows) > 1:
            # Two leaves of one origin must not be one array: a training step donates both.
            made[row.name] = jax.device_put(jnp.copy(found[row.stored[0]]), sharding)
        else:
            made[row.name] = found[row.stored[0]]
    return made


def _read_leaves(
    checkpoint: epath.Path, asked: Mapping[str, jax.ShapeDtypeStruct], stored: Any
) -> dict[str, Any]:
    """Leaves of the checkpoint by their names there, compared with the sums that it has of them;
    the others are not read.
    """
    sums = manifest.leaf_sums(checkpoint)
    if sums is None:
        return _restore(checkpoint, asked, stored)
    dtypes = {name: leaf.dtype for name, leaf in leaves(stored).items()}
    found: dict[str, Any] = {}
    for group in _groups(asked, dtypes):
        exact = {
            name: jax.ShapeDtypeStruct(
                asked[name].shape, dtypes[name], sharding=asked[name].sharding
            )
            for name in group
        }
        restored = _restore(checkpoint, exact, stored)
        leaf_sums.check({name: restored[name] for name in group}, sums, checkpoint)
        found |= {name: restored[name].astype(asked[name].dtype) for name in group}
    return found


def _groups(
    asked: Mapping[str, jax.ShapeDtypeStruct], dtypes: Mapping[str, Any]
) -> list[list[str]]:
    """What is read at once: all that has its type on disk; of what is cast afterwards so much that
    the devices have room for both.
    """
    groups, cast, size = [[name for name in asked if asked[name].dtype == dtypes[name]]], [], 0
    for name in (name for name in asked if asked[name].dtype != dtypes[name]):
        size += math.prod(asked[name].shape) * jnp.dtype(dtypes[name]).itemsize
        cast.append(name)
        if size >= _BYTES_CAST_AT_ONCE:
            groups, cast, size = [*groups, cast], [], 0
    return [group for group in (*groups, cast) if group]


def _restore(
    checkpoint: epath.Path, asked: Mapping[str, jax.ShapeDtypeStruct], stored: Any
) -> dict[str, Any]:
    """Leaves in these types; DamagedError where TensorStore finds its own files damaged."""

    def arguments(path: Any, _: Any) -> ocp.RestoreArgs:
        leaf = asked.get(name_of(path))
        if leaf is None:
            return ocp.RestoreArgs()
        return ocp.ArrayRestoreArgs(
            sharding=leaf.sharding, global_shape=leaf.shape, dtype=leaf.dtype
        )

    def item(path: Any, _: Any) -> Any:
        return asked.get(name_of(path), ocp.PLACEHOLDER)

    tree_map = jax.tree_util.tree_map_with_path
    request = ocp.args.PyTreeRestore(
        item=tree_map(item, stored), restore_args=tree_map(arguments, stored)
    )
    handler, found, problems = ocp.PyTreeCheckpointHandler(), None, []
    try:
        with _damage_noticed(checkpoint):
            found = handler.restore(checkpoint / folders.STATE, args=request)
    except DamagedError as error:
        problems = error.problems
    # Another process may have read what is damaged.
    if not together.all_true(not problems):
        raise DamagedError(checkpoint, problems or ["another process cannot read its tensors"])
    return leaves(found)


@contextlib.contextmanager
def _damage_noticed(checkpoint: epath.Path) -> Iterator[None]:
    """TensorStore has checksums of its own files' structure."""
    try:
        yield
    except ValueError as error:
        if not _DAMAGE.search(str(error)):
            raise
        text = str(error).partition(" [tensorstore_spec=")[0]
        raise DamagedError(checkpoint, [f"its tensors cannot be read ({text})"]) from error


def _layer_of(stack: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    """One layer of a stacked leaf, divided as the stack is."""
    sharding = stack.sharding
    if isinstance(sharding, NamedSharding):
        sharding = NamedSharding(sharding.mesh, PartitionSpec(*sharding.spec[1:]))
    return jax.ShapeDtypeStruct(stack.shape[1:], stack.dtype, sharding=sharding)


def leaves(tree: Any) -> dict[str, Any]:
    """The leaves of a tree by their names."""
    return {name_of(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def name_of(path: tuple[Any, ...]) -> str:
    """A leaf's name: parameters/encoder/layers/mlp/wi/kernel."""
    return jax.tree_util.keystr(path, simple=True, separator="/")


def _top(name: str) -> str:
    return name.split("/", 1)[0]


def _is_in(name: str, part: str) -> bool:
    """Whether a leaf is `part`, or in that folder."""
    return f"{name}/".startswith(f"{part}/")


def _joined(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} ... {names[-1]}" if names else ""
