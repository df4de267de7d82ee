"""From a checkpoint into memory, leaf by leaf, whatever mesh, dtype or layout of layers wrote it.

A leaf is named by its path, parameters/encoder/layers/mlp/wi/kernel. plan.py decides
where each comes from; then each device is given its own slice and nothing else.
"""

import contextlib
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

from t5x_lite import storage
from t5x_lite.checkpoints import (
    folders,
    leaf_sums,
    manifest,
    multihost,
    sparse_tensors,
    tensors,
)
from t5x_lite.checkpoints.errors import DamagedError
from t5x_lite.checkpoints.plan import (
    COUNT_OF_ALL,
    AssignmentMap,
    Report,
    Source,
    plan,
    refuse_misfits,
)

_BYTES_CAST_AT_ONCE = 1 << 30
# How TensorStore says that bytes are not those that were written.
_DAMAGE = re.compile("^DATA_LOSS|CRC-32C checksum verification failed")


def restore(
    checkpoint: epath.Path,
    abstract: Any,
    *,
    assignment_map: AssignmentMap = (),
    strict: bool = True,
    optional: Sequence[str] = (),
    unused: Sequence[str] = (),
    fresh: Callable[[Collection[str]], Any] | None = None,
    on_report: Callable[[Report], None] = lambda report: None,
) -> Any:
    """Reads a state into the shapes, dtypes and shardings of `abstract`.

    `abstract` is a whole `TrainState` or only some of its parts as a dictionary, for instance
    {"parameters": ...}; parts that it lacks are not read. Leaves not in the checkpoint are taken
    from `fresh(names)`, which has at least these: those that `assignment_map` sets to None, with
    strict=False those that are missing, and leaves or folders of leaves named `optional` of which
    the checkpoint has nothing. What is `unused` of the checkpoint is as if it were not there.

    Raises:
        UserError: a leaf is missing, left over or of another shape, each with its name.
        DamagedError: a leaf is not what was written.
    """
    wanted, stored = _as_dict(abstract), metadata(checkpoint)
    report = _fitting(checkpoint, wanted, stored, assignment_map, strict, optional, unused)
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
    unused: Sequence[str] = (),
) -> Report:
    """What `restore` would do; reads no tensor, and `abstract` needs no shardings.

    Raises:
        UserError: what `restore` would refuse.
    """
    wanted, stored = _as_dict(abstract), metadata(checkpoint)
    return _fitting(checkpoint, wanted, stored, assignment_map, strict, optional, unused)


def _fitting(
    checkpoint: epath.Path,
    wanted: Mapping[str, Any],
    stored: Any,
    assignment_map: AssignmentMap,
    strict: bool,
    optional: Sequence[str],
    unused: Sequence[str],
) -> Report:
    report = plan(
        leaves(wanted),
        leaves(stored),
        assignment_map,
        strict=strict,
        optional=optional,
        unused=unused,
    )
    refuse_misfits(report, checkpoint, all_of_it=strict and not assignment_map)
    return report


def _as_dict(parts: Any) -> dict[str, Any]:
    return parts if isinstance(parts, dict) else dict(vars(parts))


def metadata(checkpoint: epath.Path) -> Any:
    """The tree of shapes and dtypes of a checkpoint's state; reads no tensor.

    Raises:
        DamagedError: it cannot be read.
    """
    try:
        tree = ocp.PyTreeCheckpointHandler().metadata(checkpoint / folders.STATE).tree
        for name, leaf in sparse_tensors.shapes(checkpoint).items():
            *way, last = name.split("/")
            functools.reduce(lambda node, key: node.setdefault(key, {}), way, tree)[last] = leaf
        return tree
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        problem = f"its state cannot be read ({type(error).__name__}: {error})"
        raise DamagedError(checkpoint, [problem]) from error


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
        leaf = wanted[COUNT_OF_ALL if row.is_repeated else row.name]
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
            made[row.name] = jax.jit(repeat, out_shardings=sharding)(found[COUNT_OF_ALL])
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
    dtypes = {name: leaf.dtype for name, leaf in leaves(stored).items()}
    found: dict[str, Any] = {}
    for group in _groups(asked, dtypes):
        exact = {name: (asked[name], dtypes[name]) for name in group}
        restored, found_sums = _exact(checkpoint, exact)
        if sums is not None:
            leaf_sums.check(found_sums, sums, checkpoint)
        for name in group:
            found[name] = restored.pop(name).astype(asked[name].dtype)
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


def _exact(
    checkpoint: epath.Path, asked: Mapping[str, tuple[jax.ShapeDtypeStruct, Any]]
) -> tuple[dict[str, Any], dict[str, int]]:
    """Leaves in these types, those on disk, and their sums; DamagedError where TensorStore finds
    its own files damaged.
    """
    exact = {
        name: jax.ShapeDtypeStruct(leaf.shape, dtype, sharding=leaf.sharding)
        for name, (leaf, dtype) in asked.items()
    }
    sparse = {name: exact.pop(name) for name in sparse_tensors.shapes(checkpoint) if name in exact}
    found: dict[str, Any] = {}
    own_sums: dict[str, int] = {}
    problems: list[str] = []
    try:
        with _damage_noticed(checkpoint), storage.watched(checkpoint):
            found, own_sums = tensors.read(checkpoint / folders.STATE, exact)
            found |= _without_zeros(checkpoint, sparse)
    except DamagedError as error:
        problems = error.problems
    # Another process may have read what is damaged.
    if not multihost.all_true(not problems):
        raise DamagedError(checkpoint, problems or ["another process cannot read its tensors"])
    return found, dict(zip(own_sums, multihost.totals([*own_sums.values()]), strict=True))


def _without_zeros(
    checkpoint: epath.Path, asked: Mapping[str, jax.ShapeDtypeStruct]
) -> dict[str, jax.Array]:
    """Leaves that are stored so; their file has a checksum in the manifest."""
    if not asked:
        return {}
    return {
        name: jax.make_array_from_callback(array.shape, asked[name].sharding, array.__getitem__)
        for name, array in sparse_tensors.read(checkpoint, asked)
    }


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
