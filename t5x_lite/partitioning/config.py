"""Where tensors live, as frozen values (no JAX)."""

import dataclasses

from t5x_lite.bounds import MAX_COUNT, check_bounds

# T5X's contract: the vocabulary, the feed-forward width and the heads are split over `model`, the
# batch over `data`, everything else is replicated.
STANDARD_LOGICAL_AXIS_RULES: tuple[tuple[str, str | None], ...] = (
    ("batch", "data"),
    ("vocab", "model"),
    ("mlp", "model"),
    ("heads", "model"),
    ("joined_kv", "model"),
    ("embed", None),
    ("head_dim", None),
    ("length", None),
    ("layers", None),
    ("relpos_buckets", None),
    ("lora_rank", None),
    ("prompt_length", None),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartitioningConfig:
    """A mesh (data, model) and the table logical axis -> mesh axis.

    `num_partitions` is the size of `model`, as in T5X; `data` takes all the other devices.
    """

    num_partitions: int = 1
    logical_axis_rules: tuple[tuple[str, str | None], ...] = STANDARD_LOGICAL_AXIS_RULES

    def __post_init__(self) -> None:
        check_bounds(self, num_partitions=(1, MAX_COUNT))
