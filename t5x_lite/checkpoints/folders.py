"""The layout of a model directory: MODEL_DIR/checkpoint_<step>, and what else may lie there.

checkpoint_12/                 a checkpoint
  state/                       parameters, optimizer slots, step: Orbax
  sparse/                      of an export, parameters without their zeros (sparse_tensors.py)
  config/metadata              what it says of its run: JSON
  dataset/, vocabulary/        positions of the data, the tokenizer
  manifest.json                sizes and checksums of all files, written last
  PINNED                       put there by hand: never deleted
checkpoint_14.tmp              a save under way, or one that was killed
checkpoint_10.deleted          a deletion under way, or one that was killed
checkpoint_13.damaged          moved aside because its checksums were wrong
"""

import contextlib
import os
import re

from etils import epath

from t5x_lite import storage
from t5x_lite.places import check_place
from t5x_lite.storage import is_remote

STATE, CONFIG, MANIFEST, PINNED = "state", "config", "manifest.json", "PINNED"
_NAME = re.compile(r"checkpoint_(\d+)")
_LEFT_OVER = re.compile(r"checkpoint_\d+\.(tmp|deleted)")


def absolute(path: epath.PathLike) -> epath.Path:
    """TensorStore refuses relative paths; URLs such as gs:// are absolute already.

    Raises:
        UserError: it names no place that files can be at.
    """
    check_place("path", os.fspath(path))
    path = epath.Path(path)
    return path if is_remote(path) else path.expanduser().absolute()


def folder_of(model_dir: epath.Path, step: int) -> epath.Path:
    """Where the checkpoint of a step belongs."""
    return model_dir / f"checkpoint_{step}"


def step_of(checkpoint: epath.Path) -> int:
    """The step in a checkpoint's name."""
    match = _NAME.fullmatch(checkpoint.name)
    assert match is not None, f"{checkpoint} is no result of `find`"
    return int(match.group(1))


def is_checkpoint_name(path: epath.Path) -> bool:
    """Whether a folder is called checkpoint_<step>."""
    return _NAME.fullmatch(path.name) is not None


def steps(model_dir: epath.Path) -> list[int]:
    """The steps of which there is a checkpoint, whole or damaged, in their order."""
    found = [path for path in storage.listed(model_dir) if is_checkpoint_name(path)]
    # In an object store an unfinished save has its final name, and its manifest comes last.
    return sorted(
        step_of(path)
        for path in found
        if (storage.exists(path / MANIFEST) if is_remote(path) else path.is_dir())
    )


def temporary(checkpoint: epath.Path) -> epath.Path:
    """Where a checkpoint is written before it takes its name."""
    return checkpoint if is_remote(checkpoint) else checkpoint.parent / f"{checkpoint.name}.tmp"


def delete(checkpoint: epath.Path) -> None:
    """Removes a checkpoint so that, whenever the process dies, no half of it looks like one."""
    if is_remote(checkpoint):
        (checkpoint / MANIFEST).unlink()
        checkpoint.rmtree()
        return
    doomed = checkpoint.parent / f"{checkpoint.name}.deleted"
    checkpoint.rename(doomed)
    doomed.rmtree()


def remove_left_overs(model_dir: epath.Path) -> list[str]:
    """Removes what killed saves and deletions left, and names it."""
    removed = []
    for path in storage.listed(model_dir):
        if _LEFT_OVER.fullmatch(path.name):
            path.rmtree()
            removed.append(path.name)
    return removed


def move_aside(checkpoint: epath.Path) -> epath.Path:
    """Renames a damaged checkpoint, so that it is lost to nobody and found by no restart."""
    target, number = checkpoint.parent / f"{checkpoint.name}.damaged", 1
    while target.exists():
        number += 1
        target = checkpoint.parent / f"{checkpoint.name}.damaged-{number}"
    return checkpoint.rename(target)


def check_writable(model_dir: epath.PathLike, *, process_index: int = 0) -> None:
    """Creates the directory if need be and writes a file into it.

    Raises:
        OSError: it cannot be written; the message says what to do.
    """
    directory = absolute(model_dir)
    probe = directory / f".writable_{process_index}"
    try:
        storage.make_folder(directory)
        with storage.answering(directory):
            probe.write_text("checkpoints can be written here\n")
    except OSError as error:
        raise OSError(
            f"nothing can be written to {directory} ({error.strerror or error}), so no checkpoint "
            "would be: give a directory that you may write to, --gin.MODEL_DIR=..., or make room."
        ) from error
    finally:
        with contextlib.suppress(OSError), storage.answering(directory):
            probe.unlink()
