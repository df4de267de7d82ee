"""How many bytes the parameters of a path take and of which types they are; no tensor is read."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax.numpy as jnp
from etils import epath

from t5x_lite.checkpoints import folders, lookup, restoring
from t5x_lite.checkpoints.formats import weights
from t5x_lite.checkpoints.formats.table import detect

# What safetensors calls those that NumPy calls otherwise.
_DTYPES = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}


class Stored(NamedTuple):
    """Without the optimizer's slots. Both kinds of files hold each number as it is, zeros too."""

    num_bytes: int
    dtypes: tuple[str, ...]


def stored(path: epath.PathLike) -> Stored:
    """What a checkpoint, a model directory (its newest) or a Hugging Face directory holds.

    Raises:
        FileNotFoundError, ValueError: there is no checkpoint, or it is damaged.
    """
    found = list(_tensors(folders.absolute(path)))
    num_bytes = sum(math.prod(shape) * jnp.dtype(dtype).itemsize for shape, dtype in found)
    return Stored(num_bytes, tuple(sorted({dtype for _, dtype in found})))


def _tensors(directory: epath.Path) -> Iterator[tuple[tuple[int, ...], str]]:
    if (format := detect(directory)) is not None:
        with weights.opened(directory, format.model_class) as tensors:
            for tensor in tensors.values():
                dtype = tensor.dtype
                yield tensor.shape, _DTYPES.get(dtype, dtype.lower())
        return
    leaves = restoring.leaves(restoring.metadata(lookup.find(directory)))
    for name, leaf in leaves.items():
        if name.startswith("parameters/"):
            yield tuple(leaf.shape), str(jnp.dtype(leaf.dtype))
