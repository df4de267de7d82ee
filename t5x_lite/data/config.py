"""Which examples a job reads, as frozen values (no TensorFlow)."""

import dataclasses
import enum
from collections.abc import Mapping

from t5x_lite.bounds import MAX_BATCH, MAX_COUNT, MAX_LENGTH, SEED, check_bounds
from t5x_lite.errors import UserError
from t5x_lite.places import check_place
from t5x_lite.records.config import RecordsConfig

# Of a batch that grows: each is a program of its own.
_MAX_SIZES = 32


class UseCached(enum.Enum):
    """AUTO reads a task's cache where one exists and makes examples on the fly elsewhere."""

    AUTO = "auto"
    ALWAYS = True
    NEVER = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class BatchRampConfig:
    """Batches that grow while the first `rows` rows of a run are read: from `start` rows on by
    `increment` at a time, with as many rows of each size (Brown et al. 2020, appendix B).
    """

    start: int
    increment: int
    rows: int

    def __post_init__(self) -> None:
        check_bounds(
            self, start=(1, MAX_BATCH), increment=(1, MAX_BATCH), rows=(1, MAX_COUNT * MAX_BATCH)
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class FewShotConfig:
    """How the prompts of t5x_lite.tasks.few_shot are demonstrated (Brown et al. 2020, section 2.4).

    Before each item stand `k` examples of the training split, as many of them as fit. `seed` draws
    them, others for each item, or the same for all where they are `shared`.
    """

    k: int = 0
    seed: int = 0
    shared: bool = False

    def __post_init__(self) -> None:
        check_bounds(self, k=(0, MAX_COUNT), seed=SEED)


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Examples of a SeqIO task or mixture.

    `batch_size` is global, in rows after packing; with `batch_ramp` the first batches of a training
    run are smaller. `num_data_shards` independent streams make up a
    batch (None: one per process), each process reads the streams it owns. `seed` fixes the order.
    `vocabulary` is the SentencePiece model, or the folder of a vocabulary, that the tasks of
    t5x_lite.tasks use, `task_files` the folders of original files that they read in place of TFDS
    (separated by commas), `few_shot` how their prompts are demonstrated, `records` the files that
    are a task by themselves, `module` what the command line imports before it looks the task up.
    Rows have room for `prompt_length` learned vectors in
    front of the inputs of each example (of the targets, where a task has no inputs), and are that
    much longer.
    """

    mixture_or_task_name: str
    task_feature_lengths: Mapping[str, int] | None = None
    split: str = "train"
    batch_size: int = 128
    shuffle: bool = True
    seed: int = 0
    pack: bool = True
    use_cached: UseCached = UseCached.AUTO
    num_data_shards: int | None = None
    loss_on_targets_only: bool | None = None
    vocabulary: str | None = None
    task_files: str | None = None
    module: str | None = None
    prompt_length: int = 0
    batch_ramp: BatchRampConfig | None = None
    few_shot: FewShotConfig = dataclasses.field(default_factory=FewShotConfig)
    records: RecordsConfig = dataclasses.field(default_factory=RecordsConfig)

    def __post_init__(self) -> None:
        check_bounds(
            self,
            batch_size=(1, MAX_BATCH),
            seed=SEED,
            num_data_shards=(1, MAX_COUNT),
            prompt_length=(0, MAX_LENGTH),
        )
        check_place("vocabulary", self.vocabulary)
        for folder in (self.task_files or "").split(","):
            check_place("task_files", folder or None)
        for feature, length in (self.task_feature_lengths or {}).items():
            if not 1 <= length <= MAX_LENGTH:
                raise UserError(
                    f"task_feature_lengths has {feature!r}: {length}; needed is at least 1 token, "
                    f"at most {MAX_LENGTH:,}: --gin.TASK_FEATURE_LENGTHS=..."
                )
        if self.batch_ramp is not None:
            self._check_ramp(self.batch_ramp)

    def _check_ramp(self, ramp: BatchRampConfig) -> None:
        num_sizes = -(-(self.batch_size - ramp.start) // ramp.increment)
        if num_sizes < 1:
            raise UserError(
                f"batch_ramp begins with start={ramp.start} rows and batch_size={self.batch_size}: "
                "needed are fewer than a whole batch: --gin.BatchRampConfig.start=..."
            )
        if num_sizes > _MAX_SIZES:
            raise UserError(
                f"batch_ramp goes from {ramp.start} to {self.batch_size} rows in {num_sizes} "
                f"sizes, each of which compiles a step: needed are at most {_MAX_SIZES}: "
                f"--gin.BatchRampConfig.increment={-(-self.batch_size // _MAX_SIZES)}"
            )
