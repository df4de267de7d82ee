"""A saved position of the data on disk: two small files for each data shard. No TensorFlow here.

    shard-00003-of-00008.json      how many batches were read, and what they were
    shard-00003-of-00008.snapshot  the stream's state some batches earlier, if it has one

A process writes and reads the files of the shards it owns, so the number of processes may change.
"""

import dataclasses
import json
import re
import zlib
from collections.abc import Iterable, Mapping
from typing import Any

from etils import epath

from t5x_lite.display.terminal import shown_size
from t5x_lite.errors import UserError

_FORMAT = 1
_NAME = re.compile(r"shard-(\d{5})-of-(\d{5})\.(json|snapshot)")

# How every way out of a position that does not fit is called.
START_ANEW = (
    "start the data anew, which may show examples again that were seen: --gin.RESTORE_DATASET=False"
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShardPosition:
    """Where one stream stands after `batches` batches, counted from its beginning.

    `snapshot` is the stream's state after `snapshot_batches` of them; None for a stream whose state
    cannot be saved, which is read again from its beginning. The digests are running hashes of all
    batches read until then, by which a restart notices that it reads other data. The stream began
    after `origin` batches of the run. `fingerprint` holds what decides the order, `versions` the
    packages that made the snapshot.
    """

    batches: int
    digest: str
    snapshot_batches: int
    snapshot_digest: str
    snapshot: bytes | None = dataclasses.field(repr=False)
    origin: int
    fingerprint: Mapping[str, Any]
    versions: Mapping[str, str]

    def files(self, shard: int, num_shards: int) -> dict[str, bytes]:
        """File name to content."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        snapshot = fields.pop("snapshot")
        fields |= {"format": _FORMAT, "has_snapshot": snapshot is not None}
        text = json.dumps(fields, indent=1, sort_keys=True)
        files = {_name(shard, num_shards, "json"): f"{text}\n".encode()}
        if snapshot is not None:
            files[_name(shard, num_shards, "snapshot")] = snapshot
        return files


def describe_size(size: int, num_shards: int) -> str:
    """`1.2 MB in 4 shards`."""
    return f"{shown_size(size)} in {num_shards} {'shard' if num_shards == 1 else 'shards'}"


def stored_shards(folder: epath.Path) -> int:
    """The number of data shards whose positions a folder holds; UserError if it holds none."""
    files = folder.iterdir() if folder.is_dir() else ()
    counts = {int(found[2]) for file in files if (found := _NAME.fullmatch(file.name))}
    if len(counts) > 1:
        raise UserError(
            f"{folder} mixes positions of {' and '.join(map(str, sorted(counts)))} data shards; "
            f"those of one run are needed. Use another checkpoint, or {START_ANEW}"
        )
    if not counts:
        raise UserError(
            f"{folder} holds no position of the data. Use a checkpoint that has one, or "
            f"{START_ANEW}"
        )
    return counts.pop()


def read(folder: epath.Path, shards: Iterable[int]) -> dict[int, ShardPosition]:
    """The positions of the given shards.

    Raises:
        UserError: a file is missing or damaged, or the folder holds no position at all.
    """
    num_shards = stored_shards(folder)
    return {shard: _read(folder, shard, num_shards) for shard in shards}


def compress(state: bytes) -> bytes:
    """Level 1: what makes a position large, the shuffled examples, is compressed by tf.data."""
    return zlib.compress(state, 1)


def decompress(snapshot: bytes) -> bytes:
    """The inverse; raises zlib.error for damaged bytes."""
    return zlib.decompress(snapshot)


def _read(folder: epath.Path, shard: int, num_shards: int) -> ShardPosition:
    fields = _fields(folder, shard, num_shards)
    file = folder / _name(shard, num_shards, "snapshot")
    if not fields.pop("has_snapshot"):
        return ShardPosition(snapshot=None, **fields)
    if not file.exists():
        raise UserError(f"{file} is missing: use another checkpoint, or {START_ANEW}")
    return ShardPosition(snapshot=file.read_bytes(), **fields)


def _fields(folder: epath.Path, shard: int, num_shards: int) -> dict[str, Any]:
    file = folder / _name(shard, num_shards, "json")
    try:
        fields = json.loads(file.read_text())
        found = fields.pop("format")
        names = {f.name for f in dataclasses.fields(ShardPosition)}
        needed = names - {"snapshot"} | {"has_snapshot"}
        if found != _FORMAT or fields.keys() != needed:
            raise UserError(f"format {found} with {', '.join(fields)}")
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise UserError(
            f"The position of data shard {shard} of {num_shards} cannot be read from {file} "
            f"({error}): use another checkpoint, or {START_ANEW}"
        ) from error
    return fields


def _name(shard: int, num_shards: int, ending: str) -> str:
    return f"shard-{shard:05}-of-{num_shards:05}.{ending}"
