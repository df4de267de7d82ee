"""How tokens know where they stand, as frozen values (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_LENGTH, MAX_WIDTH, check_bounds
from t5x_lite.errors import UserError


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelativeBiasConfig:
    """Buckets of the learned position bias (Raffel et al. 2020, section 2.1).

    `bidirectional` gives half of the buckets to each direction; mesh-TensorFlow does so in every
    stack that is not fully autoregressive, T5X only in encoders. `per_layer` is umT5's choice.
    """

    num_buckets: int = 32
    max_distance: int = 128
    bidirectional: bool = False
    per_layer: bool = False

    def __post_init__(self) -> None:
        sides = 2 if self.bidirectional else 1
        check_bounds(self, num_buckets=(2 * sides, MAX_WIDTH), max_distance=(1, MAX_LENGTH))
        num_exact = self.num_buckets // sides // 2
        if self.max_distance <= num_exact:
            raise UserError(
                f"max_distance={self.max_distance} with num_buckets={self.num_buckets}: needed is "
                f"more than {num_exact}, the distances that have a bucket of their own."
            )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LearnedPositionsConfig:
    """A learned vector for each of `max_length` positions, added to those of tokens (GPT-2, BERT);
    positions begin anew in each packed example.
    """

    max_length: int

    def __post_init__(self) -> None:
        check_bounds(self, max_length=(1, MAX_LENGTH))
