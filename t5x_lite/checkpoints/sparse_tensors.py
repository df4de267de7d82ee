"""Tensors that are mostly 0, on disk without their zeros, and read back bit for bit.

A file of safetensors holds what is not 0 of each, row by row, and where it stood, in whichever form
takes fewer bytes: a bit for each element (`bitmap`), or of each row how many there are and their
columns (`rows`). A tensor that neither makes smaller is left to others. What is 0 has no bit set;
-0.0 is none.
"""

import collections
import json
import math
from collections.abc import Iterator, Mapping

import jax
import numpy as np
import safetensors.numpy
from etils import epath

from t5x_lite import storage
from t5x_lite.checkpoints.safetensors_files import opened

FOLDER, FILE = "sparse", "parameters.safetensors"
_TENSORS = "tensors"
_PARTS = ("values", "bitmap", "counts", "columns")
Parts = dict[str, np.ndarray]


def without_zeros(tensors: Mapping[str, np.ndarray]) -> tuple[bytes, list[str]]:
    """The content of a file with those of them that it makes smaller, and their names."""
    kinds: dict[str, tuple[tuple[int, ...], str]] = {}
    parts: Parts = {}
    for name, tensor in tensors.items():
        if (found := encode(tensor)) is not None:
            kinds[name] = (tensor.shape, tensor.dtype.name)
            parts |= {f"{name}:{part}": array for part, array in found.items()}
    content = safetensors.numpy.save(parts, metadata={_TENSORS: json.dumps(kinds)})
    return content, list(kinds)


def encode(tensor: np.ndarray) -> Parts | None:
    """The parts of the smallest form, None where it is the tensor itself."""
    is_there = _bits(tensor) != 0
    values = tensor.reshape(-1)[is_there.reshape(-1)]
    forms: list[Parts] = [{"bitmap": np.packbits(is_there)}]
    if tensor.ndim > 1:
        rows = is_there.reshape(-1, tensor.shape[-1])
        counts = np.count_nonzero(rows, axis=1)
        columns = np.nonzero(rows)[1]
        forms.append({"counts": _small(counts), "columns": _small(columns)})
    best = min(forms, key=_num_bytes)
    is_smaller = values.nbytes + _num_bytes(best) < tensor.nbytes
    return {"values": values, **best} if is_smaller else None


def decode(parts: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """What `encode` was given."""
    values = parts["values"]
    flat = np.zeros(math.prod(shape), values.dtype)
    flat[_places(parts, shape)] = values
    return flat.reshape(shape)


def shapes(checkpoint: epath.Path) -> dict[str, jax.ShapeDtypeStruct]:
    """What a checkpoint holds in this way, by names; no tensor is read."""
    if not storage.exists(checkpoint / FOLDER / FILE):
        return {}
    with opened(checkpoint / FOLDER / FILE) as file:
        kinds = json.loads(file.metadata()[_TENSORS])
    return {
        name: jax.ShapeDtypeStruct(tuple(shape), dtype) for name, (shape, dtype) in kinds.items()
    }


def sizes(checkpoint: epath.Path) -> dict[str, int]:
    """The bytes that each of them takes."""
    if not storage.exists(checkpoint / FOLDER / FILE):
        return {}
    found: dict[str, int] = collections.defaultdict(int)
    with opened(checkpoint / FOLDER / FILE) as file:
        for key in file.keys():  # noqa: SIM118  (no mapping)
            found[key.rpartition(":")[0]] += file.get_tensor(key).nbytes
    return dict(found)


def read(
    checkpoint: epath.Path, asked: Mapping[str, jax.ShapeDtypeStruct]
) -> Iterator[tuple[str, np.ndarray]]:
    """Some of them, one after the other, each by its name and its shape."""
    with opened(checkpoint / FOLDER / FILE) as file:
        keys = set(file.keys())
        for name, leaf in asked.items():
            own = {f"{name}:{part}": part for part in _PARTS}
            parts = {part: file.get_tensor(key) for key, part in own.items() if key in keys}
            yield name, decode(parts, leaf.shape)


def _places(parts: Mapping[str, np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Of each value its number in the tensor, or a mask of all."""
    if "bitmap" in parts:
        return np.unpackbits(parts["bitmap"], count=math.prod(shape)).astype(bool)
    counts = parts["counts"].astype(np.int64)
    rows = np.repeat(np.arange(len(counts), dtype=np.int64), counts)
    return rows * shape[-1] + parts["columns"]


def _bits(tensor: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(tensor).view(f"uint{8 * tensor.dtype.itemsize}")


def _small(numbers: np.ndarray) -> np.ndarray:
    """In the smallest type that holds them all."""
    return numbers.astype(np.min_scalar_type(numbers.max(initial=0)))


def _num_bytes(parts: Parts) -> int:
    return sum(part.nbytes for part in parts.values())
