"""Which examples a job reads, as frozen values (no TensorFlow)."""

import dataclasses
import enum
from collections.abc import Mapping

from t5x_lite.errors import UserError


class UseCached(enum.Enum):
    """AUTO reads a task's cache where one exists and makes examples on the fly elsewhere."""

    AUTO = "auto"
    ALWAYS = True
    NEVER = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class DatasetConfig:
    """Examples of a SeqIO task or mixture.

    `batch_size` is global, in rows after packing. `num_data_shards` independent streams make up a
    batch (None: one per process), each process reads the streams it owns. `seed` fixes the order.
    `vocabulary` is the SentencePiece model that the tasks of t5x_lite.tasks use, `task_files` the
    folders of original files that they read in place of TFDS (separated by commas), `module` what
    the command line imports before it looks the task up. Packed rows have room for `prompt_length`
    learned vectors in front of the inputs of each example (of the targets, where a task has no
    inputs), and are that much longer.
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

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise UserError(
                f"batch_size={self.batch_size}: needed is at least 1: --gin.BATCH_SIZE=..."
            )
