"""What is run, as values, and the command lines that run it."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benchmarks.experiments.lab import Lab

# Everything that all runs have in common: d_model 128, 2 + 2 layers, no dropout unless said.
MODEL_FILE = "models/t5_1_0/mini.gin"
MODULE = "benchmarks.experiments.tasks"
SCORED_SPLIT = "test"
COMMON = {"DROPOUT_RATE": 0.0, "SCAN_UNROLL": 2, "LOG_PERIOD": 25, "COMPILATION_CACHE": False}

Settings = Mapping[str, object]


class Statement(str):
    """A value in gin's own words, such as a reference."""

    def __repr__(self) -> str:
        return str(self)


@dataclasses.dataclass(frozen=True)
class Run:
    """A training run and its folder under OUTPUT/runs.

    It begins with the last checkpoint of `start_from`, or that of `start_step`, with its optimizer
    and step, or if `fresh` with its parameters only; or with random ones. `settings` are gin macros
    and bindings that override those of COMMON and the files. `vocabulary` is the kind of the lab's;
    None is for a task that has its own. Instead of a run it may start from a Hugging Face
    `directory`, which the lab asks for when it is needed.
    """

    name: str
    steps: int
    seed: int
    settings: Settings
    gin_files: tuple[str, ...] = ("recipes/pretrain.gin",)
    start_from: "Run | None" = None
    start_step: int | None = None
    fresh: bool = False
    model_file: str = MODEL_FILE
    vocabulary: str | None = "sentencepiece"
    directory: Callable[["Lab"], pathlib.Path] | None = None

    @property
    def first_step(self) -> int:
        """Where it starts to count."""
        return 0 if self.start_from is None or self.fresh else self.parent_step

    @property
    def parent_step(self) -> int:
        """The step of the checkpoint that it starts from."""
        assert self.start_from is not None, "it starts from none"
        return self.start_step or self.start_from.last_step

    @property
    def last_step(self) -> int:
        """Where it ends: the step of its checkpoint."""
        return self.first_step + self.steps

    @property
    def decaying(self) -> "Run":
        """The same with a learning rate that falls to zero in a line over the second half."""
        schedule = {
            "LEARNING_RATE_FACTORS": "constant * linear_decay",
            "LEARNING_RATE": 0.01,
            "WARMUP_STEPS": self.first_step + self.steps // 2,
            "ScheduleConfig.total_steps": self.last_step,
        }
        return dataclasses.replace(self, settings={**schedule, **self.settings})


def train_words(
    run: Run, *, model_dir: str, vocabulary: str | None, parent_dir: str | None
) -> list[str]:
    """The command line of `t5x_lite train`."""
    fresh = {"RESTORE_OPTIMIZER": False} if run.fresh and run.start_from else {}
    settings = {
        **COMMON,
        **fresh,
        "RANDOM_SEED": run.seed,
        "TRAIN_STEPS_RELATIVE": run.steps,
        "EVAL_PERIOD": run.steps,
        "CHECKPOINT_PERIOD": run.steps,
        "KEEP_CHECKPOINTS": 1,
        # The same held-out examples with the same noise for every seed.
        "train_eval/DatasetConfig.seed": 0,
        **run.settings,
        "INFER_EVAL_DATASET": None,
        "INITIAL_CHECKPOINT_PATH": parent_dir,
        "VOCABULARY": vocabulary,
        "MODEL_DIR": model_dir,
    }
    return ["train", *_files((run.model_file, *run.gin_files)), *_flags(settings)]


def eval_words(
    run: Run,
    task: str,
    *,
    checkpoint: str,
    output: str,
    num_examples: int | None,
    members: Sequence[str] = (),
    settings: Settings = MappingProxyType({}),
) -> list[str]:
    """The command line of `t5x_lite eval` on SCORED_SPLIT; `members` answer together with it."""
    given = {
        "MIXTURE_OR_TASK_NAME": task,
        "SPLIT": SCORED_SPLIT,
        "TASK_FEATURE_LENGTHS": {"inputs": 64, "targets": 64},
        "BATCH_SIZE": 64,
        "MAX_DECODE_LENGTH": 48,
        "NUM_EXAMPLES": num_examples,
        "COMPILATION_CACHE": False,
        **settings,
        "ENSEMBLE_PATHS": tuple(members),
        "CHECKPOINT_PATH": checkpoint,
        "EVAL_OUTPUT_DIR": output,
    }
    return ["eval", *_files(("recipes/eval.gin",)), *_flags(given)]


def _files(names: Sequence[str]) -> list[str]:
    return [f"--gin_file={name}" for name in names] + [f"--module_import={MODULE}"]


def _flags(settings: Settings) -> list[str]:
    return [f"--gin.{name}={value!r}" for name, value in settings.items()]
