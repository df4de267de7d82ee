"""The endless batches of a training run, with positions: a restart goes on with the next batch.

batches = Batches(config, features)
batch = next(batches)                  # step 1
...
files = batches.position(1000)         # goes into checkpoint_1000/dataset
...
batches = Batches(config, features, restore_from=folder, batches_done=1000)
next(batches)                          # step 1001, in any number of processes that divides the
                                       # number of data shards
"""

import dataclasses
import functools
import logging
import tempfile
import time
import weakref
from collections.abc import Callable, Iterator, Mapping

import numpy as np
import seqio
import tensorflow as tf
from etils import epath

from t5x_lite.data import checks, fingerprint, position, silence, streams, unsaveable
from t5x_lite.data.config import DatasetConfig
from t5x_lite.data.position import START_ANEW, ShardPosition
from t5x_lite.data.ramp import make_ramp
from t5x_lite.data.read_ahead import Batch, ReadAhead
from t5x_lite.data.shard import CannotRestoreError, Shard
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import ModelFeatures

# A position between two snapshots costs at most this long to read again.
_SECONDS_BETWEEN_SNAPSHOTS = 60.0
# Snapshots by the clock take at most this share of the time.
_MAX_SNAPSHOT_SHARE = 0.02
_SECONDS_BETWEEN_NOTICES = 30.0

_logger = logging.getLogger(__name__)

silence.hide_accelerators_from_tensorflow()


class Batches(Iterator[Batch]):
    """This process's rows [batch_size / process_count, length] of each global batch, without end;
    with a ramp a batch has as many rows as its number says.

    The order is a function of the config, the model's features and the number of data shards. A
    thread reads ahead and saves the state of the shards now and then, so no step waits for either.
    """

    def __init__(
        self,
        config: DatasetConfig,
        features: ModelFeatures,
        *,
        process_index: int = 0,
        process_count: int = 1,
        restore_from: epath.Path | None = None,
        batches_done: int = 0,
        anew: bool = False,
        snapshot_period: int = 1000,
        say: Callable[[str], None] = _logger.warning,
    ) -> None:
        """Starts behind the first `batches_done` batches of the run.

        Args:
            restore_from: a checkpoint's folder of positions; None reads again from the beginning.
            anew: the data starts at its beginning, though `batches_done` steps were made before.
            snapshot_period: a state is saved shortly before each multiple of it, so that a
                checkpoint there is cheap to go back to.
            say: receives what a user should know, such as what a restart costs.

        Raises:
            UserError: mistakes in the config; positions that are damaged, or of other data.
        """
        name = config.mixture_or_task_name
        checks.check_mixture_or_task(name)
        checks.check_split(name, config.split)
        checks.check_lengths(name, config.task_feature_lengths, features.layout)
        if restore_from is None:
            self._num_shards = checks.num_data_shards(config, process_count)
        else:
            self._num_shards = _shards_to_restore(restore_from, process_count)
        self._ramp = make_ramp(config)
        per_process = self._num_shards // process_count
        owned = range(process_index * per_process, (process_index + 1) * per_process)

        num_shards = config.num_data_shards or self._num_shards
        order = fingerprint.fingerprint(config, features, num_shards)
        stored = {} if restore_from is None else position.read(restore_from, owned)
        for shard in stored.values():
            _check_same_data(shard.fingerprint, order, restore_from)
        self._origin = batches_done if anew else 0
        if stored:
            self._origin = stored[owned[0]].origin
            _compare_versions(stored[owned[0]].versions, say)
        self._say, self._period, self._size, self._closed = say, snapshot_period, 0, False
        self._shards = {
            index: Shard(
                functools.partial(
                    streams.shard_batches,
                    dataclasses.replace(
                        config, batch_size=self._ramp.rows_at_once, batch_ramp=None
                    ),
                    features,
                    seqio.ShardInfo(index, self._num_shards),
                    num_epochs=None,
                    has_examples=bool(stored),
                ),
                origin=self._origin,
                fingerprint=order,
                versions=fingerprint.versions(),
            )
            for index in owned
        }
        self._can_be_saved = self._shards[owned[0]].can_be_saved
        if not self._can_be_saved:
            say(unsaveable.explain(config, seqio.ShardInfo(owned[0], self._num_shards)))
        self._given = batches_done - self._origin
        if self._given < 0:
            raise UserError(
                f"batches_done={batches_done}, but the data of {restore_from} was started after "
                f"{self._origin} batches; needed is at least that."
            )
        self._ahead = ReadAhead(self._read(stored, self._given))
        # Ends the thread before the interpreter ends.
        weakref.finalize(self, self._ahead.close)

    def __next__(self) -> Batch:
        """Features by SeqIO's names; raises what reading them raised."""
        batch = next(self._ahead)
        self._given += 1
        return batch

    def position(self, batches_done: int) -> dict[str, bytes]:
        """File names and contents, of this process's shards, after so many batches of the run.

        It is ready in memory: nothing is asked of tf.data.

        Raises:
            UserError: the count is larger than the batches given out, or so much smaller that more
                than two snapshots were taken since.
        """
        batches = batches_done - self._origin
        if batches > self._given:
            raise UserError(
                f"The position after {batches_done} batches was asked for, but only "
                f"{self._given + self._origin} were given out."
            )
        files: dict[str, bytes] = {}
        for index, shard in self._shards.items():
            files |= shard.position(self._parts(batches)).files(index, self._num_shards)
        self._size = sum(map(len, files.values()))
        return files

    def describe_position(self) -> str:
        """The size of this process's last `position`: `1.2 MB in 4 shards`."""
        return position.describe_size(self._size, len(self._shards))

    @property
    def waited_seconds(self) -> float:
        """How long `__next__` has waited in all, but for the first batch, which is start-up."""
        return self._ahead.waited_seconds

    def close(self) -> None:
        """Stops reading; may be called again."""
        self._closed = True
        self._ahead.close()

    def _parts(self, batches: int) -> int:
        """How often each shard is read for so many batches since the beginning of its stream."""
        rows = self._ramp.rows_of_first
        both = rows(self._origin + batches) - rows(self._origin)
        return both // self._ramp.rows_at_once

    def _read(self, stored: Mapping[int, ShardPosition], batches: int) -> Iterator[Batch]:
        """What the thread runs."""
        for index, shard in self._shards.items():
            # A state behind the place to go to is of no use.
            if index in stored and stored[index].snapshot_batches <= self._parts(batches):
                self._restore(shard, stored[index])
        self._pass_over(self._parts(batches))
        clock = _Clock()
        while not self._closed:
            count = self._parts(batches + 1) - self._parts(batches)
            # A shard's rows stand together, whichever process has it.
            parts = [shard.read() for shard in self._shards.values() for _ in range(count)]
            batches += 1
            yield {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
            # One before the multiple, so that a restart there reads, and verifies, at least one.
            before_multiple = (batches + self._origin + 1) % self._period == 0
            if batches == 1 or before_multiple or clock.is_due():
                self._take_snapshots(clock)

    def _restore(self, shard: Shard, stored: ShardPosition) -> None:
        try:
            shard.restore(stored)
        except CannotRestoreError as error:
            self._say(
                f"The saved state of the data does not load ({error}), so all of its "
                f"{stored.batches} batches are read again, and compared with what was read."
            )

    def _pass_over(self, parts: int) -> None:
        began = noticed = time.monotonic()
        to_read = first = sum(parts - shard.batches for shard in self._shards.values())
        while to_read and not self._closed:
            for shard in self._shards.values():
                if shard.batches < parts:
                    shard.read()
                    to_read -= 1
            now = time.monotonic()
            if now - noticed > _SECONDS_BETWEEN_NOTICES:
                noticed = now
                seconds_left = (now - began) * to_read / (first - to_read)
                self._say(
                    f"reading again {first // len(self._shards)} batches that this run has trained "
                    f"on already: {seconds_left / 60:.1f} minutes left"
                )

    def _take_snapshots(self, clock: "_Clock") -> None:
        if not self._can_be_saved:
            return
        began = time.monotonic()
        try:
            for shard in self._shards.values():
                shard.take_snapshot(given=self._parts(self._given))
        except (OSError, tf.errors.OpError) as error:
            self._say(
                f"The state of the data could not be written to {tempfile.gettempdir()} ({error}): "
                "a restart would read more batches again. Make room there, or set TMPDIR."
            )
        clock.took(time.monotonic() - began)


def check_restore(
    config: DatasetConfig, features: ModelFeatures, folder: epath.Path, *, process_count: int = 1
) -> None:
    """Whether `Batches` would go on at the positions of `folder`; reads no example.

    Raises:
        UserError: they are damaged, or of other data.
    """
    num_shards = _shards_to_restore(folder, process_count)
    now = fingerprint.fingerprint(config, features, config.num_data_shards or num_shards)
    first = position.read(folder, range(1))[0]
    _check_same_data(first.fingerprint, now, folder)


class _Clock:
    """When a snapshot is due that no period asks for."""

    def __init__(self) -> None:
        self.took(0.0)

    def took(self, seconds: float) -> None:
        """Starts the time to the next one."""
        self._next = time.monotonic() + max(
            _SECONDS_BETWEEN_SNAPSHOTS, seconds / _MAX_SNAPSHOT_SHARE
        )

    def is_due(self) -> bool:
        return time.monotonic() > self._next


def _shards_to_restore(folder: epath.Path, process_count: int) -> int:
    """The stored number of shards, which the order of the examples was made for."""
    num_shards = position.stored_shards(folder)
    if num_shards % process_count:
        fitting = [str(n) for n in range(1, num_shards + 1) if num_shards % n == 0]
        raise UserError(
            f"{folder} holds the positions of {num_shards} data shards, which cannot be shared by "
            f"{process_count} processes. Use {' or '.join(fitting)} processes, or {START_ANEW}"
        )
    return num_shards


def _check_same_data(
    stored: Mapping[str, object], now: Mapping[str, object], folder: epath.Path | None
) -> None:
    if lines := fingerprint.differences(stored, now):
        listed = "".join(f"\n  {line}" for line in lines)
        raise UserError(
            f"The examples would come in another order than in the run of {folder}:{listed}\n"
            f"Set them as they were, or {START_ANEW}"
        )


def _compare_versions(stored: Mapping[str, str], say: Callable[[str], None]) -> None:
    if lines := fingerprint.differences(stored, fingerprint.versions()):
        say(
            f"WARNING: other packages saved the state of the data: {', '.join(lines)}. If it does "
            "not load, all batches so far are read again, which takes as long as reading them did. "
            "Data that comes out differently is an error."
        )
