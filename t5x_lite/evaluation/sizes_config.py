"""How models are compared by size and speed, as a frozen value (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_BATCH, MAX_COUNT, MAX_LENGTH, SEED, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.places import check_place


@dataclasses.dataclass(frozen=True, kw_only=True)
class SizesConfig:
    """`paths` are checkpoints, model directories (their newest) or Hugging Face directories, the
    first of which the others are compared with.

    A batch of each of `batch_sizes` reads `inputs_length` random tokens, by `seed`, and, if there
    is a decoder, writes `targets_length` greedily, none of which ends it; `rounds` times, in each
    of which all models have a turn. `output` is a page to write.
    """

    paths: tuple[str, ...]
    inputs_length: int = 64
    targets_length: int = 32
    batch_sizes: tuple[int, ...] = (1, 32)
    rounds: int = 10
    seed: int = 0
    output: str | None = None

    def __post_init__(self) -> None:
        check_bounds(
            self,
            inputs_length=(1, MAX_LENGTH),
            targets_length=(1, MAX_LENGTH),
            rounds=(1, MAX_COUNT),
            seed=SEED,
        )
        for path in self.paths:
            check_place("paths", path)
        check_place("output", self.output)
        if wrong := [size for size in self.batch_sizes if not 1 <= size <= MAX_BATCH]:
            raise UserError(
                f"batch_sizes={self.batch_sizes}: {wrong[0]} is no number of rows; needed are "
                f"numbers from 1 to {MAX_BATCH:,}: --batch_sizes=1,32"
            )
