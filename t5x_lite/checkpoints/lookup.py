"""Which checkpoint a path means, and whether it is whole.

All processes of a job must call these functions: process 0 looks, and all get what it found.
"""

import functools
from collections.abc import Callable, Mapping
from typing import TypeVar

import jax
from etils import epath

from t5x_lite.checkpoints import folders, manifest, multihost
from t5x_lite.checkpoints.errors import DamagedError, listed
from t5x_lite.checkpoints.folders import absolute, folder_of, is_checkpoint_name, step_of
from t5x_lite.errors import UserError

T = TypeVar("T")


def find(path: epath.PathLike, *, sums: bool = False) -> epath.Path:
    """The checkpoint that `path` names: itself, or the newest whole one of a model directory.

    Without `sums` only the presence and sizes of files are looked at; with them what has a sum of
    its own is read, a work that several processes share.

    Raises:
        FileNotFoundError: there is none; the message lists the nearest that exist.
        DamagedError: it is damaged; the message names the newest that is whole.
    """
    path = absolute(path)
    if is_checkpoint_name(path) and multihost.broadcast_result(path.is_dir):
        _refuse_damaged(path, sums=sums)
        return path
    checkpoint = newest(path, sums=sums)
    if checkpoint is not None:
        return checkpoint
    siblings = [str(folder_of(path.parent, step)) for step in steps(path.parent)]
    known = f"; there are {', '.join(siblings)}" if siblings else ""
    raise FileNotFoundError(
        f"no checkpoint at {path}: needed is a folder checkpoint_<step>, or a model directory that "
        f"holds some{known}."
    )


def steps(model_dir: epath.PathLike) -> list[int]:
    """The steps of which there is a checkpoint, whole or damaged, in their order."""
    return multihost.broadcast_result(functools.partial(folders.steps, absolute(model_dir)))


def newest(
    model_dir: epath.PathLike, *, sums: bool = False, move_aside: bool = False
) -> epath.Path | None:
    """The newest whole checkpoint of a model directory, if it has any; damaged ones are passed over
    with a line that says so.

    `move_aside` renames those to checkpoint_<step>.damaged, so that a run can write that step
    again.

    Raises:
        UserError: it has checkpoints, and all are damaged; then nothing is renamed.
    """
    checkpoint, damaged = _search(absolute(model_dir), {}, sums=sums)
    if checkpoint is not None:
        _report(damaged, used=checkpoint, move_aside=move_aside)
    return checkpoint


def read_newest(
    model_dir: epath.PathLike, take: Callable[[epath.Path], T], *, move_aside: bool = False
) -> T | None:
    """What `take` makes of the newest checkpoint of a model directory, or of one before it, should
    that prove damaged as it is read; None if it has none. All processes call.

    Raises:
        UserError: as `newest`.
    """
    unsound: dict[epath.Path, list[str]] = {}
    while True:
        checkpoint, damaged = _search(absolute(model_dir), unsound, sums=True)
        if checkpoint is None:
            return None
        try:
            result = take(checkpoint)
        except DamagedError as error:
            unsound[checkpoint] = error.problems
            continue
        _report(damaged, used=checkpoint, move_aside=move_aside)
        return result


def read(path: epath.PathLike, take: Callable[[epath.Path], T]) -> T:
    """What `take` makes of the checkpoint that `path` names; of a model directory as `read_newest`.
    All processes call.

    Raises:
        FileNotFoundError, UserError: as `find`.
    """
    if not is_checkpoint_name(absolute(path)):
        result = read_newest(path, take)
        if result is not None:
            return result
    return take(find(path, sums=True))


def _search(
    directory: epath.Path, unsound: Mapping[epath.Path, list[str]], *, sums: bool
) -> tuple[epath.Path | None, dict[epath.Path, list[str]]]:
    """The newest whole checkpoint, and what is wrong with those after it."""
    damaged: dict[epath.Path, list[str]] = {}
    for step in reversed(steps(directory)):
        checkpoint = folder_of(directory, step)
        found = unsound.get(checkpoint) or _problems(checkpoint, sums=sums)
        if not found:
            return checkpoint, damaged
        damaged[checkpoint] = found
    if damaged:
        raise UserError(
            f"every checkpoint in {directory} is damaged:\n"
            + "\n".join(f"  {path.name}: {listed(found)}" for path, found in damaged.items())
            + "\nNothing was changed. Restore one of them from a copy, or move them away to start "
            "afresh."
        )
    return None, damaged


def _report(damaged: Mapping[epath.Path, list[str]], *, used: epath.Path, move_aside: bool) -> None:
    for checkpoint, problems in damaged.items():
        _say_damaged(checkpoint, problems, used=used, move_aside=move_aside)
    if damaged and move_aside:
        multihost.barrier(f"moved_aside_{multihost.number()}")


def _refuse_damaged(checkpoint: epath.Path, *, sums: bool) -> None:
    found = _problems(checkpoint, sums=sums)
    if not found:
        return
    others = [step for step in steps(checkpoint.parent) if step != step_of(checkpoint)]
    for step in reversed(others):
        other = folder_of(checkpoint.parent, step)
        if not _problems(other, sums=sums):
            rest = f". The newest whole one is {other}"
            break
    else:
        rest = ". There is no whole one beside it"
    raise DamagedError(checkpoint, found, rest)


def _problems(checkpoint: epath.Path, *, sums: bool) -> list[str]:
    """What is wrong, or what another process found wrong."""
    if not sums:
        look = functools.partial(manifest.problems, checkpoint, sums=False)
        return multihost.broadcast_result(look)
    index, count = jax.process_index(), jax.process_count()
    found = manifest.problems(checkpoint, process_index=index, process_count=count)
    if multihost.all_true(not found):
        return []
    return found or ["another process found a damaged file"]


def _say_damaged(
    checkpoint: epath.Path, problems: list[str], *, used: epath.Path, move_aside: bool
) -> None:
    if multihost.is_multihost() and jax.process_index() != 0:
        return
    where = ""
    if move_aside:
        where = f"; it was moved to {folders.move_aside(checkpoint).name}"
    print(
        f"WARNING: {checkpoint} is damaged: {listed(problems)}{where}. Used is {used.name}, the "
        "newest that is whole.",
        flush=True,
    )
