"""Where a run starts and where it ends."""

import dataclasses
import difflib
from typing import Any

from etils import epath

from t5x_lite.checkpoints import huggingface, manager
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import (
    StateFactory,
    TrainState,
    abstract_parameters,
    place_parameters,
)


@dataclasses.dataclass(frozen=True)
class Start:
    """A state to train from, its step, the step to train to, the step that the run's initial
    checkpoint brought, and a sentence that says whence.
    """

    state: TrainState
    first_step: int
    last_step: int
    initial_step: int
    source: str
    from_scratch: bool = False

    @property
    def batches_done(self) -> int:
        """Batches that this run has trained on before it was interrupted."""
        return self.first_step - self.initial_step


def start(config: TrainConfig, factory: StateFactory) -> Start:
    """Takes the first that there is: the newest checkpoint in MODEL_DIR, INITIAL_CHECKPOINT_PATH,
    random parameters.

    As in T5X, INITIAL_CHECKPOINT_PATH brings optimizer slots and step along; TRAIN_STEPS counts
    from zero all the same, TRAIN_STEPS_RELATIVE from the step it brings. A run that continues looks
    at its own checkpoint only: the initial one may be gone, or have been trained further.

    Raises:
        ValueError: the run would train no step.
    """
    own = manager.newest(config.model_dir)
    if own is not None:
        initial_step, first_step = manager.description(own).initial_step, manager.step_of(own)
        last_step = _last_step(config, first_step, initial_step=initial_step, whence=own)
        state = manager.restore(own, factory.abstract)
        return Start(state, first_step, last_step, initial_step, f"continues from {own}")
    path = config.restore.path
    if path is None:
        last_step = _last_step(config, 0, initial_step=0)
        state, source = factory.initialize(config.random_seed), f"seed {config.random_seed}"
        return Start(state, 0, last_step, 0, f"starts from scratch, {source}", from_scratch=True)
    if huggingface.is_huggingface_directory(path):
        last_step = _last_step(config, 0, initial_step=0)
        state = factory.from_parameters(load_huggingface(path, factory.model))
        return Start(state, 0, last_step, 0, f"starts from the Hugging Face model {path}")
    initial = manager.find(path)
    step = manager.step_of(initial)
    last_step = _last_step(config, step, initial_step=step, whence=initial)
    source = f"starts from {initial}, optimizer and step included"
    return Start(manager.restore(initial, factory.abstract), step, last_step, step, source)


def load_huggingface(directory: str, model: ModelConfig) -> Any:
    """The parameters of a Hugging Face directory, if they are those of the job's model.

    Raises:
        ValueError: the two models differ; the message shows how.
    """
    found, parameters = huggingface.load(directory)
    expected = dataclasses.replace(
        model,
        compute=found.compute,
        dropout_rate=found.dropout_rate,
        dropout_shared_along_length=found.dropout_shared_along_length,
    )
    if found != expected:
        lines = difflib.unified_diff(
            _lines(found),
            _lines(expected),
            "in the directory",
            "in the gin files",
            lineterm="",
            n=0,
        )
        raise ValueError(
            f"the Hugging Face model in {directory} is not the model of this job:\n"
            + "\n".join(list(lines)[:12])
        )
    return parameters


def load_parameters(path: str, model: ModelConfig, partitioner: Partitioner) -> tuple[Any, int]:
    """Parameters alone, for evaluation and inference: of a checkpoint, of the newest one in a model
    directory, or of a Hugging Face directory (step 0).
    """
    abstract = abstract_parameters(model, partitioner)
    if huggingface.is_huggingface_directory(path):
        return place_parameters(load_huggingface(path, model), abstract), 0
    checkpoint = manager.find(path)
    parts = manager.restore(checkpoint, {"parameters": abstract})
    return parts["parameters"], manager.step_of(checkpoint)


def _last_step(
    config: TrainConfig, first_step: int, *, initial_step: int, whence: epath.Path | None = None
) -> int:
    """The step at which the run ends, behind the one at which it starts."""
    if config.train_steps is not None:
        given, last_step = "TRAIN_STEPS", config.train_steps
    else:
        assert config.train_steps_relative is not None, "TrainConfig asks for one of the two"
        given, last_step = "TRAIN_STEPS_RELATIVE", initial_step + config.train_steps_relative
    if last_step > first_step:
        return last_step
    fix = f"raise --gin.{given}"
    if whence is not None and whence.parent == manager.absolute(config.model_dir):
        fix += " to train on, or give another --gin.MODEL_DIR to start afresh"
    elif given == "TRAIN_STEPS":
        fix += f", or count from there with --gin.TRAIN_STEPS_RELATIVE={config.train_steps}"
    raise ValueError(
        f"this run would train no step: it starts at step {first_step} (from {whence}) and {given} "
        f"ends it at step {last_step}. To fix it, {fix}."
    )


def _lines(config: Any, prefix: str = "") -> list[str]:
    lines: list[str] = []
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        lines += (
            _lines(value, f"{name}.") if dataclasses.is_dataclass(value) else [f"{name}={value}"]
        )
    return lines
