"""A training job as one frozen value (no JAX)."""

import dataclasses

from t5x_lite.bounds import FINITE, MAX_BATCH, MAX_COUNT, POSITIVE, SEED, check_bounds
from t5x_lite.checkpoints.config import RestoreCheckpointConfig, SaveCheckpointConfig
from t5x_lite.compression.pruning_config import PruningConfig
from t5x_lite.data.config import DatasetConfig
from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.errors import UserError
from t5x_lite.finetuning.config import UnfreezingConfig
from t5x_lite.losses.config import LossConfig, TeacherTermConfig, TermConfig
from t5x_lite.losses.denoising_config import DenoisingLossConfig, LengthLossConfig
from t5x_lite.metrics.direction import Direction
from t5x_lite.model.choices import HeadKind, Weights
from t5x_lite.model.config import ModelConfig
from t5x_lite.optim.config import OptimizerConfig, ParameterGroup, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.places import check_place
from t5x_lite.stability.config import HealthConfig

_OF_DENOISERS = (DenoisingLossConfig, LengthLossConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ProfileConfig:
    """A profiler trace of `num_steps` steps from `start_step` on; without one nothing is traced."""

    start_step: int | None = None
    num_steps: int = 5

    def __post_init__(self) -> None:
        check_bounds(self, start_step=(1, MAX_COUNT), num_steps=(1, MAX_COUNT))


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyStoppingConfig:
    """Ends a run after `patience` evaluations in a row without a gain of more than `min_delta`.

    `metric` is a regular expression for whole names "<task>/<metric>", such as "my_task/accuracy"
    of decoded answers or "my_task/loss_per_token" of held-out batches; of several that match the
    mean counts. None never stops.
    """

    metric: str | None = None
    patience: int = 5
    mode: Direction = Direction.AUTO
    min_delta: float | int = 0.0

    def __post_init__(self) -> None:
        check_bounds(self, patience=(1, MAX_COUNT), min_delta=(0.0, FINITE))


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Everything `t5x_lite train` needs; gin/recipes/train.gin fills it from the usual macros.

    `train_steps` counts from zero, also when `restore.path` brings a step along;
    `train_steps_relative` counts from the step restored there and excludes `train_steps`.
    `eval_steps` batches of `eval_dataset` are scored every `eval_period` steps. The first
    `infer_eval_examples` (None: all) of each task of `infer_eval_dataset` are decoded every
    `infer_eval_period` steps (None: `eval_period`) and scored by the task's metrics.

    A batch is computed in `num_microbatches` parts, one after the other, which needs less memory
    and gives the same update. Gradients with a longer norm than `clip_gradient_norm` are shortened
    to it. `loss` is a sum of terms; `teacher_path` is the checkpoint of a frozen model that a term
    matches; what it says of rows that are not packed is kept in the folder `teacher_cache`. With
    `unfreezing` layers begin to train one after the other; parameter groups go first.
    With `pruning` weights become 0 and stay 0.
    `log_weight_metrics` adds the size of every parameter, gradient and update to the log. With
    `dataset.batch_ramp` a step of half a batch is half a step to the learning rate.
    """

    model_dir: str
    model: ModelConfig
    dataset: DatasetConfig
    eval_dataset: DatasetConfig | None = None
    optimizer: OptimizerConfig
    learning_rate: ScheduleConfig
    loss: tuple[TermConfig, ...] = dataclasses.field(metadata={"built_unless_bound": LossConfig})
    partitioning: PartitioningConfig
    checkpoints: SaveCheckpointConfig
    restore: RestoreCheckpointConfig
    teacher_path: str | None = None
    teacher_cache: str | None = None
    health: HealthConfig = HealthConfig()
    parameter_groups: tuple[ParameterGroup, ...] = ()
    unfreezing: UnfreezingConfig | None = dataclasses.field(
        default=None, metadata={"built_if_bound": True}
    )
    pruning: PruningConfig | None = dataclasses.field(
        default=None, metadata={"built_if_bound": True}
    )
    num_microbatches: int = 1
    clip_gradient_norm: float | int | None = None
    log_weight_metrics: bool = False
    profile: ProfileConfig = ProfileConfig()
    train_steps: int | None = None
    train_steps_relative: int | None = None
    eval_period: int = 1000
    eval_steps: int = 20
    infer_eval_dataset: DatasetConfig | None = None
    infer_eval_period: int | None = None
    infer_eval_examples: int | None = None
    decoding: DecodingConfig = dataclasses.field(default_factory=DecodingConfig)
    early_stopping: EarlyStoppingConfig = dataclasses.field(default_factory=EarlyStoppingConfig)
    log_period: int = 10
    random_seed: int = 0
    compilation_cache: bool = True

    def __post_init__(self) -> None:
        check_place("model_dir", self.model_dir)
        check_bounds(
            self,
            num_microbatches=(1, MAX_BATCH),
            clip_gradient_norm=(POSITIVE, FINITE),
            train_steps=(1, MAX_COUNT),
            train_steps_relative=(1, MAX_COUNT),
            eval_period=(1, MAX_COUNT),
            eval_steps=(0, MAX_COUNT),
            infer_eval_period=(1, MAX_COUNT),
            infer_eval_examples=(1, MAX_COUNT),
            log_period=(1, MAX_COUNT),
            random_seed=SEED,
        )
        if (self.train_steps is None) == (self.train_steps_relative is None):
            raise UserError(
                f"train_steps={self.train_steps} and train_steps_relative="
                f"{self.train_steps_relative}: give exactly one, --gin.TRAIN_STEPS=... (counted "
                "from zero) or --gin.TRAIN_STEPS_RELATIVE=... (counted from the restored step)."
            )
        if self.model.weights is not Weights.FLOAT32:
            raise UserError(
                f"model.weights={self.model.weights.value!r}: it is for inference; needed is "
                "'float32', in which a model is trained."
            )
        self._check_loss()
        if self.teacher_cache is not None and (self.teacher_path is None or self.dataset.pack):
            raise UserError(
                f"teacher_cache={self.teacher_cache!r} with teacher_path={self.teacher_path!r} and "
                f"dataset.pack={self.dataset.pack}: needed is a teacher whose rows come again, as "
                "those of packed examples do not: --gin.PACK=False, or --gin.TEACHER_CACHE=None"
            )
        if self.dataset.batch_ramp is not None and self.restore.brings_step:
            raise UserError(
                f"batch_ramp with restore.path={self.restore.path!r}, which brings a step: batches "
                "grow from step 0 on. Needed is --gin.RESTORE_OPTIMIZER=False, or no ramp: "
                "--gin.BATCH_RAMP=None"
            )
        # Last: it needs the model and the data, which may not be given yet.
        for name, dataset in (("dataset", self.dataset), ("eval_dataset", self.eval_dataset)):
            if dataset is not None and dataset.pack and self.model.recurrence is not None:
                raise UserError(
                    f"{name}.pack=True with a model that reads in windows: a row is one text, from "
                    "its beginning on; needed is --gin.PACK=False"
                )
            if dataset is not None and dataset.prompt_length != self.model.prompt_length:
                raise UserError(
                    f"{name}.prompt_length={dataset.prompt_length} and model.prompt_length="
                    f"{self.model.prompt_length}: needed is one number, because rows must have "
                    "room for the prompt: --gin_file=finetuning/prompt_tuning.gin sets both "
                    "to PROMPT_LENGTH."
                )
        self._check_denoising()

    def _check_loss(self) -> None:
        kinds = [type(term) for term in self.loss]
        if not kinds or len(set(kinds)) < len(kinds):
            raise UserError(
                f"loss={tuple(kind.__name__ for kind in kinds)}: needed is a term, or several of "
                "different kinds: --gin.TrainConfig.loss=(@LossConfig(),)"
            )
        has_term = any(issubclass(kind, TeacherTermConfig) for kind in kinds)
        if has_term != (self.teacher_path is not None):
            raise UserError(
                f"teacher_path={self.teacher_path!r} with the terms "
                f"{', '.join(kind.__name__ for kind in kinds)}: a teacher is needed where a "
                "term of the loss matches one (Match...Config), and nowhere else: "
                "--gin.TrainConfig.teacher_path=..."
            )

    def _check_denoising(self) -> None:
        """Only spoiled targets are a task to a decoder that sees all of them."""
        kinds = [type(term) for term in self.loss]
        denoises = DenoisingLossConfig in kinds
        others = [kind.__name__ for kind in kinds if kind not in _OF_DENOISERS]
        if denoises != self.model.denoises or (denoises and others):
            whole = "all" if self.model.denoises else "not all"
            raise UserError(
                f"the terms {', '.join(kind.__name__ for kind in kinds)} with a decoder that sees "
                f"{whole} of its target: a model of models/architectures/denoiser.gin learns by "
                "DenoisingLossConfig, perhaps beside LengthLossConfig and nothing else, and no "
                "other model does: --gin_file=recipes/sundae.gin"
            )
        head = self.model.head(HeadKind.LENGTH)
        if (head is not None) != (LengthLossConfig in kinds):
            raise UserError(
                f"{'a' if head else 'no'} head of the length with the terms "
                f"{', '.join(kind.__name__ for kind in kinds)}: needed are LengthLossConfig and a "
                "head that learns by it, or neither: --gin.HEADS=... --gin.TrainConfig.loss=..."
            )
        for name, dataset in (("dataset", self.dataset), ("eval_dataset", self.eval_dataset)):
            lengths = None if dataset is None else dataset.task_feature_lengths
            longest = 0 if lengths is None else lengths.get("targets", 0)
            if head is not None and longest > head.max_length:
                raise UserError(
                    f"{name}.task_feature_lengths has targets of up to {longest} tokens, and the "
                    f"head of the length tells no more than {head.max_length}: "
                    f"--gin.MAX_TARGET_LENGTH={longest}, or shorter targets: "
                    "--gin.TASK_FEATURE_LENGTHS=..."
                )
