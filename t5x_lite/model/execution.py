"""How layers are run and caches are written, by device; which form attention has is chosen in
`attend/choice.py`.
"""

from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.partitioning.constrain import num_pieces, platform


def layers_apart() -> bool:
    """Whether decoding runs layers that were taken out of their stack before its loop. On a CPU a
    loop over the stack would copy the weights of every layer for every token; other compilers read
    them where they are.
    """
    return platform() == "cpu"


def multiplies_floats() -> bool:
    """Whether decoding multiplies whole numbers of int8 kernels as floats, with the same result: on
    a CPU integers are slower where rows are few, and faster where they are many.
    """
    return platform() == "cpu"


# Below it the gain is small, and the longer program takes longer to compile than it saves.
_WORTH_UNROLLING, _UNROLLED = 2**20, 8


def unroll(compute: ComputeConfig, layer_size: int) -> int:
    """How many layers a loop over them runs at a time, unless it is said: on a CPU several, since
    what a loop hands on is copied there.
    """
    if compute.scan_unroll is not None:
        return compute.scan_unroll
    return _UNROLLED if platform() == "cpu" and layer_size >= _WORTH_UNROLLING else 1


def writes_in_place() -> bool:
    """Whether a cache is written where a new key belongs, and not all of it again: on one device,
    since the compiler cannot split a write at positions that differ from row to row.
    """
    return platform() == "cpu" and num_pieces(("batch", "heads")) == (1, 1)
