"""How many weights of a trained model are 0, kernel by kernel and layer by layer."""

import re
from collections.abc import Iterator, Mapping

import jax
import numpy as np
from etils import epath

from t5x_lite.checkpoints import pretrained
from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.compression.pruning_config import KERNELS, PruningConfig
from t5x_lite.display.terminal import aligned
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner


def was_pruned(path: epath.PathLike) -> bool:
    """Whether a checkpoint says that its run pruned, or kept what was; reads no tensor.

    Raises:
        FileNotFoundError, ValueError: as `pretrained.describe`.
    """
    said = pretrained.describe(path).description
    return said is not None and f"@{PruningConfig.__name__}" in said.operative_config


def sparsity(path: epath.PathLike) -> str:
    """A table of the kernels in the layers of what a path holds, each with its share of zeros and
    those of its layers; reads the parameters.

    Raises:
        FileNotFoundError, ValueError: there is no model, or it is damaged.
    """
    partitioner = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    parameters, _ = pretrained.load_parameters(path, None, partitioner)
    found = leaves(parameters).items()
    kernels = {name: leaf for name, leaf in found if re.fullmatch(KERNELS, name)}
    rows = [("kernel", "weights", "zeros", "% of each layer"), *_rows(kernels)]
    return aligned(rows, numbers_from=1)


def _rows(kernels: Mapping[str, jax.Array]) -> Iterator[tuple[str, ...]]:
    weights = zeros = 0
    for name, leaf in kernels.items():
        is_zero = np.asarray(leaf) == 0
        layers = is_zero.reshape(-1, *is_zero.shape[-2:]).mean((1, 2))
        shares = [f"{100 * share:.2f}" for share in layers]
        count = int(np.count_nonzero(is_zero))
        yield name, f"{leaf.size:,}", _percent(count, leaf.size), _shown(shares)
        weights, zeros = weights + leaf.size, zeros + count
    yield "all of these", f"{weights:,}", _percent(zeros, weights), ""


def _percent(count: int, whole: int) -> str:
    return f"{100 * count / max(whole, 1):.2f} %"


def _shown(shares: list[str]) -> str:
    if len(shares) > 1 and len(set(shares)) == 1:
        return f"{shares[0]} in each of {len(shares)}"
    return " ".join(shares)
