"""Who takes part in a collective: HLO's four ways of writing groups -> lists of partition ids."""

import functools
import math
import re

import numpy as np

Groups = tuple[tuple[int, ...], ...]

_LISTS = re.compile(r"replica_groups=\{(\{[\d,{}]*\})?\}")
_IOTA = re.compile(r"replica_groups=(\[[\d,]+\]<=\[[\d,]+\](?:T\([\d,]+\))?)")
_MESH = re.compile(
    r"replica_groups=@?mesh\[([^\]]*)\](?:, device_ids=\(([^{]*)\))? \{([^}]*)\}",
)
_PAIRS = re.compile(r"source_target_pairs=\{(\{[\d,{}]*\})?\}")
_INNER = re.compile(r"\{([\d,]*)\}")
# 'axis_0'=4 of a mesh, 'axis_0' or 'axis_0':(2)4 of its axes: 4 of it, behind a factor of 2.
_MESH_AXIS = re.compile(r"'?([\w\-]+)'?=(\d+)")
_AXIS = re.compile(r"'?([\w\-]+)'?(?::\((\d+)\)(\d+))?")
_SHAPE = re.compile(r"\[([\d,]+)\]")
_ORDER = re.compile(r"T\(([\d,]+)\)")


def groups_of(attributes: str) -> Groups | None:
    """The groups that a collective says; none where it says none, so all take part."""
    if found := _IOTA.search(attributes):
        return _iota_groups(found[1])
    if found := _MESH.search(attributes):
        return _mesh_groups(*found.groups(default=""))
    found = _LISTS.search(attributes)
    return _inner(found[1]) if found and found[1] else None


def pairs_of(attributes: str) -> Groups:
    """(source, target) of each chip that sends."""
    found = _PAIRS.search(attributes)
    return _inner(found[1]) if found and found[1] else ()


def _inner(text: str) -> Groups:
    return tuple(tuple(_numbers(group)) for group in _INNER.findall(text))


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",") if number.strip()]


@functools.lru_cache
def _iota_groups(text: str) -> Groups:
    """[4,2]<=[2,4]T(1,0): the numbers from 0 in the second shape, transposed, as the first one."""
    shape, source = _SHAPE.findall(text)
    return _as_groups(_iota(source, _ORDER.search(text)).reshape(_numbers(shape)))


def _iota(shape: str, order: re.Match[str] | None) -> np.ndarray:
    dims = _numbers(shape)
    ids = np.arange(math.prod(dims)).reshape(dims)
    return ids.transpose(_numbers(order[1])) if order else ids


@functools.lru_cache
def _mesh_groups(mesh: str, device_ids: str, axes: str) -> Groups:
    """mesh['a'=4,'b'=2], device_ids=([2,4]T(1,0)) {'a'}: groups along axes of a mesh of its own."""
    sizes = {name: int(size) for name, size in _MESH_AXIS.findall(mesh)}
    ids = _device_ids(device_ids, math.prod(sizes.values()))
    parts = {name: (1, sizes[name]) for name in sizes}
    names = [_AXIS.match(axis.strip()) for axis in axes.split(",") if axis.strip()]
    chosen = [found[1] for found in names if found]
    for found in filter(None, names):
        if found[2]:
            parts[found[1]] = (int(found[2]), int(found[3]))
    shape = [
        n for name, (before, of) in parts.items() for n in (before, of, sizes[name] // before // of)
    ]
    together = [3 * list(parts).index(name) + 1 for name in chosen]
    others = [axis for axis in range(len(shape)) if axis not in together]
    laid_out = ids.reshape(shape).transpose(others + together)
    return _as_groups(laid_out.reshape(-1, math.prod(shape[axis] for axis in together)))


def _device_ids(text: str, count: int) -> np.ndarray:
    shape = _SHAPE.search(text)
    if shape:
        return _iota(shape[1], _ORDER.search(text))
    return np.array(_numbers(text)) if text else np.arange(count)


def _as_groups(ids: np.ndarray) -> Groups:
    return tuple(map(tuple, ids.tolist()))
