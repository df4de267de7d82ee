"""When checkpoints are written, kept and read, as frozen values (no JAX)."""

import dataclasses
import enum
import re

from t5x_lite.bounds import FINITE, MAX_COUNT, POSITIVE, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.metrics.direction import Direction
from t5x_lite.places import check_place


class SavedDtype(enum.Enum):
    """BFLOAT16 halves the parameters on disk and rounds them: a run that continues from such a
    checkpoint is no longer bit for bit the uninterrupted one.
    """

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SaveCheckpointConfig:
    """Every `period` steps, after `minutes` without one, and at the end.

    The newest `keep` stay; so do, for every recorded metric "<task>/<metric>" that the whole of the
    regular expression `best_metric` matches, its best `keep_best`, of a held-out loss always the
    lowest; and every folder that holds a file PINNED. `dtype` is that of the saved parameters,
    optimizer slots are saved as they are.
    """

    period: int = 1000
    minutes: float | int | None = None
    keep: int = 3
    keep_best: int = 0
    best_metric: str = ".*"
    best_mode: Direction = Direction.AUTO
    dtype: SavedDtype = SavedDtype.FLOAT32

    def __post_init__(self) -> None:
        check_bounds(
            self,
            period=(1, MAX_COUNT),
            minutes=(POSITIVE, FINITE),
            keep=(1, MAX_COUNT),
            keep_best=(0, MAX_COUNT),
        )
        _check_regex(self.best_metric, "best_metric", "--gin.BEST_CHECKPOINT_METRIC='task/metric'")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RestoreCheckpointConfig:
    r"""Where a run starts that has no checkpoint of its own: ours or a Hugging Face directory.

    A checkpoint of ours brings parameters, optimizer slots and step along, as in T5X; with
    `optimizer=False` parameters only, and the run counts from zero. Adafactor's second moments
    remember about n ** 0.8 of n steps before, so a short fine-tuning behind a long pre-training
    runs on the latter's.
    `assignment_map` holds pairs as in T5X: a regular expression for the whole name of a leaf here
    and the name in the checkpoint (groups as \1), or None to keep the fresh value; the first that
    matches counts. With `strict=False` leaves that the checkpoint lacks keep their fresh values.
    `dataset=False` starts the data anew also where a run continues from its own checkpoint.
    """

    path: str | None = dataclasses.field(
        default=None,
        metadata={
            "if_missing": "to train a task without a checkpoint, --gin_file=recipes/supervised.gin"
        },
    )
    assignment_map: tuple[tuple[str, str | None], ...] = ()
    strict: bool = True
    optimizer: bool = True
    dataset: bool = True

    def __post_init__(self) -> None:
        check_place("path", self.path)
        for pattern, _ in self.assignment_map:
            _check_regex(pattern, "assignment_map", "--gin.RestoreCheckpointConfig.assignment_map")

    @property
    def brings_step(self) -> bool:
        """Whether a run that starts here counts on from a step of another."""
        return self.path is not None and self.optimizer

    @property
    def is_partial(self) -> bool:
        """Whether the model may differ from the checkpoint's."""
        return bool(self.assignment_map) or not self.strict


def _check_regex(pattern: str, field: str, flag: str) -> None:
    try:
        re.compile(pattern)
    except re.error as error:
        raise UserError(
            f"{field}: {pattern!r} is no regular expression ({error}): {flag}=..."
        ) from error
