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
    positions begin anew in each packed example. The table has `unused` rows before the first one,
    as that of fairseq has, whose positions count from behind its padding id (RoBERTa).
    """

    max_length: int
    unused: int = 0

    def __post_init__(self) -> None:
        check_bounds(self, max_length=(1, MAX_LENGTH), unused=(0, MAX_LENGTH))

    @property
    def num_rows(self) -> int:
        """Of the table."""
        return self.unused + self.max_length


@dataclasses.dataclass(frozen=True, kw_only=True)
class RelativeKeysConfig:
    """Every layer makes keys of how far a token is away, which queries meet beside those of what it
    is; both with a learned bias (Dai et al. 2019, section 3.3). Distances are sinusoids and know no
    longest one; those beyond `max_distance` count as that far, where it is not None.

    With `types` each head knows as well whether a token is of the type of the one that attends
    (Yang et al. 2019, section 2.5), of which there may be any number.
    """

    max_distance: int | None = None
    types: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, max_distance=(1, MAX_LENGTH))
