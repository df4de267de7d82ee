"""Checkpoints of a training state, saved and restored, and files of as many bytes."""

import math
import os
import pathlib
import resource
from typing import Any

import jax
import numpy as np

from benchmarks.speed.arm import SECONDS, Numbers, Prepared, nothing, seconds_of
from benchmarks.speed.arms.ours import factory_of, step_of
from benchmarks.speed.settings import Settings
from t5x_lite.checkpoints import lookup, restoring
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints

_KILOBYTE = 1024


def save(settings: Settings) -> Prepared:
    """From a state on the devices to a whole checkpoint, the older one deleted."""
    step, state = step_of(settings)
    checkpoints = Checkpoints(_folder(settings), SaveCheckpointConfig(keep=1))
    description = describe_run("", step.factory.model)
    # A step that is there already would not be written.
    number = max(lookup.steps(_folder(settings)), default=0)

    def write() -> Numbers:
        nonlocal number
        number += 1
        blocked, _ = seconds_of(lambda: checkpoints.save(number, state, description))
        waited, _ = seconds_of(checkpoints.close)
        size = checkpoints.size_of_last_save
        return _rates(blocked + waited, size) | {"blocked_seconds": blocked}

    write()
    return Prepared(write, {"state_bytes": _local_bytes(state)})


def once(settings: Settings) -> Prepared:
    """A checkpoint, to be restored; one that is there stays."""
    if not lookup.steps(_folder(settings)):
        save(settings)
    return Prepared(nothing)


def restore(settings: Settings) -> Prepared:
    """In a process that has done nothing else: its facts are the numbers of the one repeat."""
    path, abstract = lookup.find(_folder(settings)), factory_of(settings).abstract
    before = _resident_bytes()
    seconds, state = seconds_of(lambda: jax.block_until_ready(restoring.restore(path, abstract)))
    size = _local_bytes(state)
    peak = _peak_bytes()
    more = {"peak_memory_bytes": peak, "peak_per_state_byte": (peak - before) / size}
    return Prepared(nothing, {**_rates(seconds, size), **more})


def write_file(settings: Settings) -> Prepared:
    """One file, until the disk has it."""
    content, path = _content(settings), _folder(settings).with_suffix(".written")

    def write() -> Numbers:
        def work() -> None:
            with path.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())

        found = _rates(seconds_of(work)[0], len(content))
        path.unlink()
        return found

    write()
    return Prepared(write)


def read_file(settings: Settings) -> Prepared:
    """One file that was just written, so that as a checkpoint's it is in the system's cache."""
    path = _folder(settings).with_suffix(".read")
    size = path.write_bytes(_content(settings))
    return Prepared(lambda: _rates(seconds_of(path.read_bytes)[0], size))


def _folder(settings: Settings) -> pathlib.Path:
    """Where checkpoints are, beside the model."""
    folder = settings.directory.with_suffix(".checkpoints")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _content(settings: Settings) -> bytes:
    """As many bytes as a state has, which nothing can compress."""
    leaves = jax.tree.leaves(factory_of(settings).abstract)
    size = sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in leaves)
    return np.random.default_rng(0).bytes(size)


def _rates(seconds: float, size: int) -> dict[str, float]:
    return {SECONDS: seconds, "mb_per_second": size / seconds / 1e6}


def _local_bytes(state: Any) -> int:
    """Of the shards of this process, copies included."""
    shards = (shard for leaf in jax.tree.leaves(state) for shard in leaf.addressable_shards)
    return sum(shard.data.nbytes for shard in shards)


def _resident_bytes() -> int:
    """Of this process now, as Linux counts them."""
    pages = pathlib.Path("/proc/self/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE
