"""One data shard with a position: what it has read, and the way back to any recent point of it.

Most of tf.data's state is its shuffling buffers, so it is taken now and then (a snapshot), and a
position is the newest snapshot before it and how many batches to read behind that. A running hash
of all batches tells whether a restart reads what the first start read.
"""

import atexit
import collections
import ctypes
import dataclasses
import hashlib
import tempfile
import threading
import weakref
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from etils import epath

from t5x_lite.data import beside, position, unsaveable
from t5x_lite.data.position import START_ANEW, ShardPosition
from t5x_lite.data.read_ahead import Batch
from t5x_lite.errors import UserError

_DIGEST_BYTES = 16
_NOTHING_READ = bytes(_DIGEST_BYTES).hex()
# Positions can be asked for this many batches back.
_MAX_DIGESTS = 4096
_MIN_SNAPSHOTS = 3
# Rows of one example have these as well by now; positions saved before stay comparable without.
_NOT_HASHED_UNPACKED = ("_segment_ids", "_positions")
# Iterators of this process that are in use.
_live: "weakref.WeakSet[tf.data.Iterator]" = weakref.WeakSet()


class CannotRestoreError(Exception):
    """A saved state is none of this iterator's."""


@dataclasses.dataclass(frozen=True)
class _Snapshot:
    batches: int
    digest: str
    state: bytes | None


class Shard:
    """A stream's batches; `batches` counts those read since the stream's beginning.

    One thread reads, others may ask for positions meanwhile.
    """

    def __init__(
        self,
        make_dataset: Callable[[], tf.data.Dataset],
        *,
        origin: int,
        fingerprint: Mapping[str, Any],
        versions: Mapping[str, str],
    ) -> None:
        # Each iterator of one data set shuffles differently, so each gets a data set of its own.
        self._make_dataset = make_dataset
        dataset = make_dataset()
        self.can_be_saved = unsaveable.stateful_operation(dataset) is None
        self._iterator = _iterator(dataset)
        self._facts: dict[str, Any] = {
            "origin": origin,
            "fingerprint": fingerprint,
            "versions": versions,
        }
        self._not_hashed = () if fingerprint["pack"] else _NOT_HASHED_UNPACKED
        self._lock = threading.Lock()
        self._digest = _NOTHING_READ
        self.batches = 0
        # (batches, digest) of the last batches, and states to start from, oldest first.
        self._digests = collections.deque([(0, _NOTHING_READ)], maxlen=_MAX_DIGESTS)
        self._to_verify: dict[int, str] = {}
        self._snapshots = [_Snapshot(0, _NOTHING_READ, None)]

    def read(self) -> Batch:
        """The next batch.

        Raises:
            UserError: it is not what was read at this place before the restart, or an example has
                values beside its tokens that do not fit to them.
        """
        with beside.said_plainly():
            read = next(self._iterator)
        batch = {name: feature.numpy() for name, feature in read.items()}
        hashed = {k: v for k, v in batch.items() if not k.endswith(self._not_hashed)}
        self._digest = _digest(self._digest, hashed)
        self.batches += 1
        with self._lock:
            self._digests.append((self.batches, self._digest))
        expected = self._to_verify.pop(self.batches, self._digest)
        if self._digest != expected:
            raise UserError(
                f"The data is not what it was: among the first {self.batches} batches of a data "
                "shard are others than the checkpoint's run has read. Were files, preprocessors or "
                "packages changed since, or does a source or preprocessor give other examples each "
                "time (a Python generator, a random operation without a seed)? Put it back as it "
                f"was, or {START_ANEW}"
            )
        return batch

    def take_snapshot(self, *, given: int) -> None:
        """Keeps the state, and of older ones what positions from `given` on may need."""
        snapshot = _Snapshot(self.batches, self._digest, position.compress(_save(self._iterator)))
        with self._lock:
            self._snapshots.append(snapshot)
            ahead = sum(s.batches > given for s in self._snapshots)
            del self._snapshots[: -(ahead + _MIN_SNAPSHOTS)]

    def restore(self, stored: ShardPosition) -> None:
        """Goes to the stored snapshot; the batches from there to the stored position are verified.

        Raises:
            CannotRestoreError: the stream is at its beginning; reading from there leads to the
                position as well, and is verified too.
        """
        self._to_verify = {
            stored.snapshot_batches: stored.snapshot_digest,
            stored.batches: stored.digest,
        }
        self._to_verify.pop(0, None)
        if stored.snapshot is None:
            return
        try:
            _load(self._iterator, position.decompress(stored.snapshot))
        except (tf.errors.OpError, zlib.error, ValueError, AssertionError) as error:
            self._iterator = _iterator(self._make_dataset())
            raise CannotRestoreError(str(error).partition("\n")[0]) from error
        self._to_verify.pop(stored.snapshot_batches, None)
        self.batches, self._digest = stored.snapshot_batches, stored.snapshot_digest
        with self._lock:
            self._digests.clear()
            self._digests.append((self.batches, self._digest))
            self._snapshots = [_Snapshot(self.batches, self._digest, stored.snapshot)]

    def position(self, batches: int) -> ShardPosition:
        """Where the stream stood after so many of its batches.

        Raises:
            UserError: they were not read yet, or so long ago that no snapshot is left.
        """
        with self._lock:
            digest = dict(self._digests).get(batches)
            earlier = [s for s in self._snapshots if s.batches <= batches]
            oldest = max(self._digests[0][0], self._snapshots[0].batches)
            newest = self.batches
        if digest is None or not earlier:
            raise UserError(
                f"The position after {batches} batches is not known, but those after {oldest} to "
                f"{newest} are."
            )
        return ShardPosition(
            batches=batches,
            digest=digest,
            snapshot_batches=earlier[-1].batches,
            snapshot_digest=earlier[-1].digest,
            snapshot=earlier[-1].state,
            **self._facts,
        )


def _iterator(dataset: tf.data.Dataset) -> tf.data.Iterator:
    found = iter(dataset)
    _live.add(found)
    return found


@atexit.register
def _keep_until_the_end() -> None:
    """An exit takes no iterator apart: for the tuner of each of them it might wait a minute."""
    for iterator in _live:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(iterator))


def _save(iterator: tf.data.Iterator) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        tf.train.Checkpoint(iterator=iterator).write(f"{folder}/state")
        return _pack({file.name: file.read_bytes() for file in epath.Path(folder).iterdir()})


def _load(iterator: tf.data.Iterator, state: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for name, content in _unpack(state).items():
            (epath.Path(folder) / name).write_bytes(content)
        tf.train.Checkpoint(iterator=iterator).read(f"{folder}/state").assert_consumed()


def _pack(files: Mapping[str, bytes]) -> bytes:
    """A line of names and lengths, then the contents."""
    header = " ".join(f"{name}:{len(content)}" for name, content in files.items())
    return b"\n".join([header.encode(), b"".join(files.values())])


def _unpack(packed: bytes) -> dict[str, bytes]:
    header, contents = packed.split(b"\n", 1)
    files, start = {}, 0
    for part in header.decode().split():
        name, length = part.split(":")
        files[name] = contents[start : start + int(length)]
        start += int(length)
    return files


def _digest(before: str, batch: Batch) -> str:
    hashed = hashlib.blake2b(bytes.fromhex(before), digest_size=_DIGEST_BYTES)
    for name in sorted(batch):
        hashed.update(f"{name} {batch[name].dtype} {batch[name].shape}".encode())
        hashed.update(np.ascontiguousarray(batch[name]).data)
    return hashed.hexdigest()
