"""How many bytes the parameters of a path take and of which types they are; no tensor is read."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
from etils import epath

from t5x_lite.checkpoints import folders, lookup, restoring, sparse_tensors
from t5x_lite.checkpoints.formats import weights
from t5x_lite.checkpoints.formats.table import detect

# What safetensors calls those that NumPy calls otherwise.
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class Stored(NamedTuple):
    """Without the optimizer's slots. Numbers count as they are held: zeros too, but where they were
    left out.
    """

    num_bytes: int
    dtypes: tuple[str, ...]


def stored(path: epath.PathLike) -> Stored:
    """What a checkpoint, a model directory (its newest) or a Hugging Face directory holds.

    Raises:
        FileNotFoundError, ValueError: there is no checkpoint, or it is damaged.
    """
    found = list(_tensors(folders.absolute(path)))
    return Stored(sum(size for size, _ in found), tuple(sorted({dtype for _, dtype in found})))


def _tensors(directory: epath.Path) -> Iterator[tuple[int, str]]:
    """Bytes and type of each."""
    if (format := detect(directory)) is not None:
        with weights.opened(directory, format.model_class) as tensors:
            for tensor in tensors.values():
                dtype = _DTYPES.get(tensor.dtype, tensor.dtype.lower())
                yield math.prod(tensor.shape) * jnp.dtype(dtype).itemsize, dtype
        return
    checkpoint = lookup.find(directory)
    sparse = sparse_tensors.sizes(checkpoint)
    for name, leaf in restoring.leaves(restoring.metadata(checkpoint)).items():
        if name.startswith("parameters/"):
            dtype = jnp.dtype(leaf.dtype)
            yield sparse.get(name, math.prod(leaf.shape) * dtype.itemsize), str(dtype)
