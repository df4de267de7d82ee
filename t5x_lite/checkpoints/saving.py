"""One checkpoint on its way to disk: begun between two steps, finished in a thread.

The folder is written under a temporary name and takes its own by one rename, when every process
has written its part and the manifest is there; so a checkpoint is whole or absent. A save that
fails anywhere fails everywhere, removes what it wrote, and says why in `problem`.
"""

import asyncio
import concurrent.futures
import contextlib
import ctypes
import functools
import logging
import re
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp
from etils import epath

from t5x_lite import storage
from t5x_lite.checkpoints import description as descriptions
from t5x_lite.checkpoints import folders, leaf_sums, manifest, multihost, restoring
from t5x_lite.checkpoints.config import SavedDtype
from t5x_lite.checkpoints.description import Description

Files = Mapping[str, Mapping[str, bytes]]

_ROOM_FOR_SMALL_FILES = 1 << 20
# What is read at a time, and so has to be in memory beside the state that it is read to.
_BYTES_OF_CHUNK = 1 << 23
_ATTEMPTS_TO_REMOVE = 10
_SECONDS_BETWEEN_ATTEMPTS = 0.2
_NO_ROOM = re.compile("no space left|quota exceeded|file too large", re.IGNORECASE)


class Save:
    """Writes `state` (a dict of trees) and small `files` (item -> name -> content).

    Each process gives the files that it wants written, under names of their own. `after` runs on
    process 0 once the checkpoint has its name.
    """

    def __init__(
        self,
        checkpoint: epath.Path,
        state: Mapping[str, Any],
        description: Description,
        files: Files,
        *,
        dtype: SavedDtype = SavedDtype.FLOAT32,
        after: Callable[[], None] = lambda: None,
    ):
        self.step, self.problem, self.num_bytes = folders.step_of(checkpoint), "", 0
        self.is_settled = False
        self._checkpoint, self._temporary = checkpoint, folders.temporary(checkpoint)
        self._description, self._files, self._after = description, files, after
        self._number = multihost.number()
        self._index, self._count = jax.process_index(), jax.process_count()
        # Compression makes float32 weights 8 % smaller, and costs a second copy of them in memory.
        self._handler = ocp.PyTreeCheckpointHandler(use_compression=False)
        self._commits: list[Any] = []
        self._sums, self._dtypes = _begin_sums(state, dtype)
        arguments = ocp.args.PyTreeSave(dict(state), save_args=_save_args(state, dtype))
        self._attempt(lambda: self._begin(arguments, num_bytes(state, dtype)))
        self._thread = threading.Thread(target=self._run, name="save checkpoint")
        self._thread.start()

    def wait(self) -> None:
        """Returns once the checkpoint is on disk, or `problem` says why it is not."""
        self._thread.join()

    def _begin(self, arguments: ocp.args.PyTreeSave, needed: int) -> None:
        """Makes the folder and copies the state to the host: the part that a step waits for."""
        if self._index == 0:
            with _noted(self):
                _check_room(self._checkpoint.parent, needed + _ROOM_FOR_SMALL_FILES)
                folders.remove_left_overs(self._checkpoint.parent)
                if storage.exists(self._temporary):  # of a killed save, in an object store
                    self._temporary.rmtree()
                storage.make_folder(self._temporary / folders.STATE)
        if problem := multihost.broadcast_text(f"save_{self._number}_begun", self.problem):
            raise OSError(problem)
        # Where a host remembers that there was none, this asks the file system anew.
        storage.make_folder(self._temporary / folders.STATE)
        # A thread of its own, because the caller may stand in an event loop, as in a notebook.
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            copying = self._handler.async_save(self._temporary / folders.STATE, args=arguments)
            self._commits = pool.submit(asyncio.run, copying).result() or []

    def _run(self) -> None:
        # Noted is also that other processes do not answer.
        with _noted(self), storage.watched(self._checkpoint.parent):
            self._finish()

    def _finish(self) -> None:
        with _quiet_orbax():
            self._attempt(self._write_part)
        multihost.barrier(f"save_{self._number}_written")
        if self._index == 0:
            self._attempt(self._publish)
            if self.problem:
                with _noted(self):  # nothing may keep the others from hearing of it
                    self._remove_what_was_written()
        told = multihost.broadcast_text(f"save_{self._number}_done", self.problem)
        self.problem = self.problem or told
        if not self.problem and self._index == 0:
            self._attempt(self._after)
        _give_memory_back()

    def _remove_what_was_written(self) -> None:
        # TensorStore may still be writing other files when the first of them has failed, and then
        # makes their folder anew: it is gone when it stays away.
        is_gone = False
        for _ in range(_ATTEMPTS_TO_REMOVE):
            with contextlib.suppress(OSError):
                was_gone, is_gone = is_gone, not storage.exists(self._temporary)
                if was_gone and is_gone:
                    return
                if not is_gone:
                    self._temporary.rmtree()
            time.sleep(_SECONDS_BETWEEN_ATTEMPTS)

    def _attempt(self, action: Callable[[], None]) -> None:
        """Runs an action of a save that has not failed yet; an error is noted, not raised.

        Whatever goes wrong here must neither end the training nor leave other processes waiting.
        """
        if not self.problem:
            with _noted(self):
                action()

    def _write_part(self) -> None:
        written = []
        for item, contents in self._files.items():
            storage.make_folder(self._temporary / item)
            for name, content in contents.items():
                (self._temporary / item / name).write_bytes(content)
                written.append(self._temporary / item / name)
        if self._index == 0:
            written.append(descriptions.write(self._temporary, self._description))
        commits, self._commits = self._commits, []  # they hold the copy of the state
        for commit in commits:
            commit.result()
        del commits
        own = self._temporary / folders.STATE / f"ocdbt.process_{self._index}"
        written += manifest.files_below(own) if own.is_dir() else []
        manifest.write_part(self._temporary, self._index, written)

    def _publish(self) -> None:
        self._handler.finalize(self._temporary / folders.STATE)
        self.num_bytes = manifest.write(
            self._temporary,
            self._count,
            {
                name: (self._dtypes[name].name, int(value))
                for name, value in jax.device_get(self._sums).items()
            },
            step=self.step,
            saved_at=time.time(),
        )
        if self._temporary != self._checkpoint:
            self._temporary.rename(self._checkpoint)


def _begin_sums(
    state: Mapping[str, Any], dtype: SavedDtype
) -> tuple[dict[str, Any], dict[str, jnp.dtype]]:
    """Sums of all leaves, which the devices add up while the state is copied, and types on disk."""
    leaves, arguments = restoring.leaves(dict(state)), restoring.leaves(_save_args(state, dtype))
    dtypes = {name: jnp.dtype(arguments[name].dtype or leaf.dtype) for name, leaf in leaves.items()}
    return leaf_sums.begin(leaves, dtypes), dtypes


def num_bytes(state: Mapping[str, Any], dtype: SavedDtype = SavedDtype.FLOAT32) -> int:
    """Bytes of a state on disk; a leaf on several devices counts once."""
    arguments = _save_args(state, dtype)
    sizes = jax.tree.map(
        lambda leaf, argument: leaf.size * (argument.dtype or jnp.dtype(leaf.dtype)).itemsize,
        dict(state),
        arguments,
    )
    return sum(jax.tree.leaves(sizes))


def _save_args(state: Mapping[str, Any], dtype: SavedDtype) -> dict[str, Any]:
    def arguments(part: str, leaf: Any) -> ocp.SaveArgs:
        rounds = part == "parameters" and jnp.issubdtype(leaf.dtype, jnp.floating)
        return ocp.SaveArgs(
            dtype=jnp.dtype(dtype.value) if rounds else None, chunk_byte_size=_BYTES_OF_CHUNK
        )

    return {
        part: jax.tree.map(lambda leaf, part=part: arguments(part, leaf), tree)
        for part, tree in state.items()
    }


def _give_memory_back() -> None:
    """What the writing threads freed glibc keeps for their like, and each save has new threads:
    without this a process grows by a part of the state at every save.
    """
    with contextlib.suppress(OSError, AttributeError):  # no glibc
        ctypes.CDLL(None).malloc_trim(0)


def _check_room(model_dir: epath.Path, needed: int) -> None:
    if not folders.is_remote(model_dir):
        free = shutil.disk_usage(model_dir).free
        if free < needed:
            raise OSError(f"no space left: {needed:,} bytes are needed, {free:,} are free")


@contextlib.contextmanager
def _noted(save: Save) -> Any:
    """Turns an error into `problem`: its first line, or what TensorStore means by a page."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (see _attempt)
        text = str(error) or type(error).__name__
        if (found := _NO_ROOM.search(text)) and not isinstance(error, OSError):
            text = found.group().lower()
        save.problem = text.splitlines()[0][:300]


@contextlib.contextmanager
def _quiet_orbax() -> Any:
    """Orbax logs the traceback of an error that it also raises; we say it in one line."""

    def is_not_a_page(record: logging.LogRecord) -> bool:
        return record.exc_info is None

    logger = logging.getLogger("absl")
    logger.addFilter(is_not_a_page)
    _ignore_late_answers()
    try:
        yield
    finally:
        logger.removeFilter(is_not_a_page)


@functools.cache
def _ignore_late_answers() -> None:
    """When one write has failed, Orbax closes its event loop; TensorStore's threads that report on
    the others then find it closed, and Python would print a traceback for each.
    """
    before = sys.unraisablehook

    def hook(unraisable: Any, /) -> None:
        error = unraisable.exc_value
        if not (isinstance(error, RuntimeError) and str(error) == "Event loop is closed"):
            before(unraisable)

    sys.unraisablehook = hook
