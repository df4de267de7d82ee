"""Types of HLO text: `(bf16[2,192]{1,0:T(8,128)(2,1)S(1)}, u32[])` -> the arrays it holds."""

import dataclasses
import functools
import math
import re

HBM, HOST = 0, 5
_ARRAY = re.compile(r"([a-z]\w*)\[([\d,<=]*)\](?:\{([^}]*)\})?")
_BITS = re.compile(r"\d+")
_SPACE = re.compile(r"S\((\d+)\)")


@dataclasses.dataclass(frozen=True)
class Shape:
    """An array; `memory_space` is `HBM`, `HOST` or the compiler's number of another (1: VMEM)."""

    dtype: str
    dims: tuple[int, ...]
    memory_space: int = HBM

    @functools.cached_property
    def size(self) -> int:
        """Bytes without the padding of tiles."""
        return math.ceil(math.prod(self.dims) * _bits(self.dtype) / 8)

    @property
    def hbm_size(self) -> int:
        """Bytes that lie in HBM."""
        return self.size if self.memory_space == HBM else 0


@functools.lru_cache(maxsize=1 << 16)
def shapes_of(text: str) -> tuple[Shape, ...]:
    """The arrays of a type in order; those of nested tuples stand where the tuple does."""
    return tuple(_shape(*found) for found in _ARRAY.findall(text))


def _shape(dtype: str, dims: str, layout: str) -> Shape:
    space = _SPACE.search(layout)
    # A bound, as in <=5, is what a dynamic dimension takes at most.
    numbers = tuple(int(dim.lstrip("<=")) for dim in dims.split(",") if dim)
    return Shape(dtype, numbers, int(space[1]) if space else HBM)


@functools.cache
def _bits(dtype: str) -> int:
    """The first number of a name is its bits: bf16, f8e4m3fn, s4; token and opaque have none."""
    if dtype == "pred":
        return 8
    bits = _BITS.search(dtype)
    return int(bits[0]) if bits else 0
