"""An inference job as one frozen value (no JAX)."""

import dataclasses
import enum

from t5x_lite.bounds import MAX_BATCH, MAX_COUNT, MAX_LENGTH, check_bounds
from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.inference.hidden_states_config import HiddenStatesConfig
from t5x_lite.model.choices import Weights
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.places import check_place


class Average(enum.Enum):
    """What the members of an ensemble average at every token: logits as in Raffel et al. (2020),
    which is the geometric mean of their probabilities, or the probabilities themselves.
    """

    LOGITS = "logits"
    PROBABILITIES = "probabilities"


class Mode(enum.Enum):
    """What `t5x_lite infer` writes of an example: a text, a text and its scores, the log-likelihood
    of the target, or the encoder's output averaged over the input.
    """

    PREDICT = "predict"
    PREDICT_WITH_AUX = "predict_with_aux"
    SCORE = "score"
    ENCODE = "encode"

    @property
    def writes(self) -> bool:
        """Whether a text is decoded."""
        return self in (Mode.PREDICT, Mode.PREDICT_WITH_AUX)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PredictionConfig:
    """What it takes to run a restored model: evaluation and inference have it in common.

    `checkpoint_path` is a checkpoint, a model directory (then its newest) or a Hugging Face
    directory; `ensemble_paths` are more of them, which answer together with it. `model` None is the
    checkpoint's own; one that is given must be the same. `weights` INT8 rounds them when they are
    read; None leaves them as they were stored. `hidden_states` is how what the model remembers is
    optimised where it scores; None leaves it. `num_examples` None means all.
    """

    checkpoint_path: str
    output_dir: str
    model: ModelConfig | None = dataclasses.field(default=None, metadata={"built_if_bound": True})
    decoding: DecodingConfig
    partitioning: PartitioningConfig
    ensemble_paths: tuple[str, ...] = ()
    ensemble: Average = Average.LOGITS
    weights: Weights | None = None
    hidden_states: HiddenStatesConfig | None = dataclasses.field(
        default=None, metadata={"built_if_bound": True}
    )
    num_examples: int | None = None
    compilation_cache: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, num_examples=(1, MAX_COUNT))
        check_place("checkpoint_path", self.checkpoint_path)
        check_place("output_dir", self.output_dir)
        for path in self.ensemble_paths:
            check_place("ensemble_paths", path)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InputFileConfig:
    """Inputs that are no task: a text file with one a line, or a .jsonl file whose lines have the
    field `inputs` and perhaps `targets`.

    `inputs_length` None leaves inputs as long as they are. `vocabulary` None is the checkpoint's
    own; else a SentencePiece model, the folder of a vocabulary, or "bytes".
    """

    path: str
    batch_size: int = 32
    inputs_length: int | None = None
    vocabulary: str | None = None

    def __post_init__(self) -> None:
        check_bounds(self, batch_size=(1, MAX_BATCH), inputs_length=(1, MAX_LENGTH))
        check_place("path", self.path)
        check_place("vocabulary", self.vocabulary)


@dataclasses.dataclass(frozen=True, kw_only=True)
class InferConfig(PredictionConfig):
    """Everything `t5x_lite infer` needs: a task's `dataset` or an `input_file`.

    Shard `shard_id` of `num_shards` answers every num_shards-th example. After every
    `checkpoint_period` batches the answers are on disk, and a job that is started again goes on
    behind them. `output_ids` adds `prediction_tokens`. `prompt_with_targets` makes each prediction
    begin with the example's target, its end token left out; `length_of_targets` makes it as long.
    """

    dataset: DatasetConfig | None = None
    input_file: InputFileConfig | None = None
    mode: Mode = Mode.PREDICT
    shard_id: int = 0
    num_shards: int = 1
    checkpoint_period: int = 100
    output_ids: bool = False
    prompt_with_targets: bool = False
    length_of_targets: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        check_bounds(
            self,
            shard_id=(0, MAX_COUNT),
            num_shards=(1, MAX_COUNT),
            checkpoint_period=(1, MAX_COUNT),
        )
        if (self.dataset is None) == (self.input_file is None):
            raise UserError(
                "needed is either dataset or input_file: recipes/infer.gin reads a task, "
                "recipes/infer_file.gin a file."
            )
        if self.of_targets and not self.mode.writes:
            name = self.of_targets[0]
            raise UserError(
                f"{name}=True with mode={self.mode.value!r}, which writes nothing: needed is "
                f"mode=predict or predict_with_aux, or --gin.{name.upper()}=False."
            )
        if self.hidden_states is not None and self.mode is not Mode.SCORE:
            raise UserError(
                f"hidden_states with mode={self.mode.value!r}: they are optimised where targets "
                "are scored: needed is --gin.MODE=score, or no gin file evaluation/hidden_states."
            )
        if self.shard_id >= self.num_shards:
            raise UserError(
                f"shard_id={self.shard_id} of num_shards={self.num_shards}: needed is "
                "0 <= shard_id < num_shards: --shard_id=... --gin.NUM_SHARDS=..."
            )

    @property
    def of_targets(self) -> tuple[str, ...]:
        """The settings by which targets tell how outputs are to be."""
        asked = {
            "prompt_with_targets": self.prompt_with_targets,
            "length_of_targets": self.length_of_targets,
        }
        return tuple(name for name, is_asked in asked.items() if is_asked)
