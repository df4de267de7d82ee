"""Which products of a model are of 8 bits and how, as a frozen value (no JAX)."""

import dataclasses
import difflib

from t5x_lite.bounds import check_bounds
from t5x_lite.errors import UserError
from t5x_lite.model.choices import KERNELS, Granularity


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuantizationConfig:
    """Products of 8 bits in stacks and pooler (Zafrir et al. 2019, section 2): weights are rounded
    to multiples of their largest / 127, one for a kernel or for each output channel
    (`granularity`), what a kernel reads to 255 parts of its range; `model/rounding.py` says how.

    A range is a moving average that forgets all but `decay` of itself at a step; with 1 a range
    that is known stays. With `embedding` the vectors of tokens are rounded as well, also where a
    head reads them. `float_kernels` are names of kernels that stay as they are: query, key, value
    and out of every attention, wi (or wi_0 and wi_1) and wo. Heads stay in any case.
    """

    granularity: Granularity = Granularity.TENSOR
    decay: float | int = 0.99
    embedding: bool = True
    float_kernels: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_bounds(self, decay=(0.0, 1.0))
        for name in self.float_kernels:
            if name not in KERNELS:
                nearest = difflib.get_close_matches(name, KERNELS, n=1, cutoff=0.0)[0]
                raise UserError(
                    f"float_kernels={self.float_kernels}: {name!r} is no kernel, the nearest is "
                    f"{nearest!r}; all are {', '.join(KERNELS)}: --gin.FLOAT_KERNELS=..., of an "
                    "export --float_kernels=..."
                )
