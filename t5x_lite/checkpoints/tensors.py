"""Tensors of a checkpoint, from its files to the devices, in little more memory than they need.

Orbax writes them. Reading through it holds each twice, in the host's memory and in the device's,
which are one where the device is a CPU. Here a device's part is read a chunk of its file at a time:
on a CPU into the array itself, elsewhere into a buffer that goes as soon as the device has it.
"""

import collections
import ctypes
import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import tensorstore as ts
from etils import epath
from jax.sharding import SingleDeviceSharding

from t5x_lite import storage
from t5x_lite.checkpoints import leaf_sums
from t5x_lite.text_files import read_json_object

# What is under way at a time. From a bucket so much that its latency does not show; where what is
# read is in the way of the arrays, little.
_BYTES_UNDER_WAY = 1 << 29
_BYTES_UNDER_WAY_ON_CPU = 1 << 23
_ORBAX_METADATA = "_METADATA"

Index = tuple[slice, ...]


def read(
    state: epath.Path, asked: Mapping[str, jax.ShapeDtypeStruct]
) -> tuple[dict[str, jax.Array], dict[str, int]]:
    """Tensors of the folder of a state by their names, parameters/token_embedder/embedding, divided
    as asked and in their types on disk; and what this process adds to the sum of each: all
    processes together count each part once (leaf_sums.py).

    Raises:
        ValueError: TensorStore cannot read one.
    """
    opened = _opened(state, asked)
    parts = {name: _parts(leaf) for name, leaf in asked.items()}
    _fill([(opened[name], part) for name in asked for part in parts[name]])
    sums = {name: sum(part.sum for part in parts[name]) for name in asked}
    arrays: dict[str, jax.Array] = {
        name: jax.make_array_from_single_device_arrays(
            leaf.shape,
            leaf.sharding,
            [array for part in parts.pop(name) for array in part.arrays],
        )
        for name, leaf in asked.items()
    }
    return arrays, sums


def _opened(state: epath.Path, names: Mapping[str, Any]) -> dict[str, ts.TensorStore]:
    driver = "zarr3" if read_json_object(state / _ORBAX_METADATA).get("use_zarr3") else "zarr"
    base = str(state) if storage.is_remote(state) else f"file://{state}"
    limits = {"file_io_concurrency": {"limit": 2}, "data_copy_concurrency": {"limit": 2}}
    context = ts.Context(limits if jax.default_backend() == "cpu" else {})

    def begin(name: str) -> Any:
        path = name.replace("/", ".") + "/"
        kvstore = {"driver": "ocdbt", "base": base, "path": path}
        spec = {"driver": driver, "kvstore": kvstore, "fill_missing_data_reads": False}
        return ts.open(spec, open=True, read=True, context=context)

    futures = {name: begin(name) for name in names}
    return {name: future.result() for name, future in futures.items()}


@dataclasses.dataclass
class _Part:
    """A part of a tensor of shape `whole`, and the devices that hold it. `buffer` is where it is
    read to; of several processes that hold it one `counts` it.
    """

    whole: tuple[int, ...]
    index: Index
    dtype: np.dtype
    devices: Sequence[jax.Device]
    memory_kind: str | None
    counts: bool
    sum: int = 0
    arrays: list[jax.Array] = dataclasses.field(default_factory=list)
    buffer: np.ndarray | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(each.stop - each.start for each in self.index)

    def begin(self) -> np.ndarray:
        """Makes room."""
        if _is_cpu(self.devices):
            # Copied, not aliased: memory that is NumPy's could not be donated to a training step.
            # All of these zeros are one page, so that there is no second copy of them either.
            zeros = np.broadcast_to(np.zeros((), self.dtype), self.shape)
            array = self._on(self.devices[0], zeros).block_until_ready()
            self.arrays.append(array)
            self.buffer = _memory_of(array)
        else:
            self.buffer = np.empty(self.shape, self.dtype)
        return self.buffer

    def add(self, piece: Index) -> None:
        """A piece of it has been read."""
        if self.counts:
            assert self.buffer is not None, "it has begun"
            begins = [each.start for each in piece]
            own = zip(piece, self.index, strict=True)
            here: tuple[Any, ...] = tuple(
                slice(a.start - b.start, a.stop - b.start) for a, b in own
            )
            self.sum += leaf_sums.of_part(self.buffer[(*here, ...)], begins, self.whole)

    def finish(self) -> None:
        """All of it has been read."""
        assert self.buffer is not None, "it has begun"
        source = self.arrays[0] if self.arrays else self.buffer
        self.arrays += [self._on(each, source) for each in self.devices[len(self.arrays) :]]
        jax.block_until_ready(self.arrays)
        self.buffer = None

    def _on(self, device: jax.Device, value: Any) -> jax.Array:
        sharding = SingleDeviceSharding(device, memory_kind=self.memory_kind)
        return jax.device_put(value, sharding, may_alias=False)


def _parts(leaf: jax.ShapeDtypeStruct) -> list[_Part]:
    """What this process holds of a leaf, each part once."""
    holders: dict[tuple[tuple[int, int], ...], list[jax.Device]] = collections.defaultdict(list)
    for device, index in leaf.sharding.devices_indices_map(leaf.shape).items():
        sides = zip(index, leaf.shape, strict=True)
        holders[tuple(each.indices(size)[:2] for each, size in sides)].append(device)
    own = jax.process_index()
    return [
        _Part(
            whole=leaf.shape,
            index=tuple(slice(*side) for side in index),
            dtype=np.dtype(leaf.dtype),
            devices=here,
            memory_kind=leaf.sharding.memory_kind,
            counts=min(each.process_index for each in devices) == own,
        )
        for index, devices in holders.items()
        if (here := [each for each in devices if each.process_index == own])
    ]


def _fill(parts: Sequence[tuple[ts.TensorStore, _Part]]) -> None:
    """Reads all parts in order, so much at a time as is good."""
    is_cpu = all(_is_cpu(part.devices) for _, part in parts)
    most = _BYTES_UNDER_WAY_ON_CPU if is_cpu else _BYTES_UNDER_WAY
    under_way: collections.deque[tuple[Any, int, _Part, Index, bool]] = collections.deque()
    size = 0

    def wait_for_one() -> int:
        future, num_bytes, part, piece, is_last = under_way.popleft()
        future.result()
        part.add(piece)
        if is_last:
            part.finish()
        return num_bytes

    for store, part in parts:
        target = ts.array(part.begin())[ts.d[:].translate_to[[each.start for each in part.index]]]
        chunk = [size or 1 for size in store.chunk_layout.read_chunk.shape or ()]
        pieces = [*_pieces(part.index, chunk)]
        for number, piece in enumerate(pieces, 1):
            domain = ts.d[:][piece] if piece else ...
            num_bytes = part.dtype.itemsize * math.prod(each.stop - each.start for each in piece)
            while under_way and size + num_bytes > most:
                size -= wait_for_one()
            future = target[domain].write(store[domain])
            under_way.append((future, num_bytes, part, piece, number == len(pieces)))
            size += num_bytes
    while under_way:
        wait_for_one()


def _pieces(index: Index, chunk: Sequence[int]) -> Iterator[Index]:
    """The part of an index that each chunk of a file holds, in order."""

    def cuts(side: slice, size: int) -> list[slice]:
        borders = [*range(side.start - side.start % size, side.stop, size), side.stop]
        return [slice(max(a, side.start), b) for a, b in itertools.pairwise(borders)]

    return itertools.product(*(cuts(side, size) for side, size in zip(index, chunk, strict=True)))


def _is_cpu(devices: Sequence[jax.Device]) -> bool:
    return devices[0].platform == "cpu"


def _memory_of(array: jax.Array) -> np.ndarray:
    """That of an array on one CPU, to be written to before anything has read it."""
    content = (ctypes.c_byte * array.nbytes).from_address(array.unsafe_buffer_pointer())
    return np.frombuffer(memoryview(content), np.dtype(array.dtype)).reshape(array.shape)
