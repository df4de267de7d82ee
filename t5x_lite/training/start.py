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
    """A state to train from, its step, the step to train to, the batches this run has had already,
    and a sentence that says whence.
    """

    state: TrainState
    first_step: int
    last_step: int
    batches_done: int
    source: str
    from_scratch: bool = False


def start(config: TrainConfig, factory: StateFactory, latest_step: int | None) -> Start:
    """Takes the first that there is: the newest checkpoint in MODEL_DIR, INITIAL_CHECKPOINT_PATH,
    random parameters.

    As in T5X, INITIAL_CHECKPOINT_PATH brings optimizer slots and step along; TRAIN_STEPS counts
    from zero all the same, TRAIN_STEPS_RELATIVE from the step it brings.

    Raises:
        ValueError: the run would train no step.
    """
    initial = _initial_checkpoint(config.restore.path)
    initial_step = manager.step_of(initial) if isinstance(initial, epath.Path) else 0
    first_step = initial_step if latest_step is None else latest_step
    if config.train_steps is not None:
        last_step = config.train_steps
    else:
        assert config.train_steps_relative is not None, "TrainConfig asks for one of the two"
        last_step = initial_step + config.train_steps_relative
    if last_step <= first_step:
        raise ValueError(_no_step_message(config, first_step, last_step, latest_step is not None))
    if latest_step is not None:
        checkpoint = manager.find(manager.absolute(config.model_dir) / f"checkpoint_{latest_step}")
        return Start(
            manager.restore(checkpoint, factory.abstract),
            first_step,
            last_step,
            first_step - initial_step,
            f"continues from {checkpoint}",
        )
    if isinstance(initial, epath.Path):
        state = manager.restore(initial, factory.abstract)
        source = f"starts from {initial}, optimizer and step included"
        return Start(state, first_step, last_step, 0, source)
    if initial is not None:
        state = factory.from_parameters(load_huggingface(initial, factory.model))
        return Start(state, 0, last_step, 0, f"starts from the Hugging Face model {initial}")
    return Start(
        factory.initialize(config.random_seed),
        0,
        last_step,
        0,
        f"starts from scratch, seed {config.random_seed}",
        from_scratch=True,
    )


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


def _initial_checkpoint(path: str | None) -> epath.Path | str | None:
    """A checkpoint of ours as a path, a Hugging Face directory as a string, or nothing."""
    if path is None:
        return None
    return path if huggingface.is_huggingface_directory(path) else manager.find(path)


def _no_step_message(config: TrainConfig, first: int, last: int, resumed: bool) -> str:
    whence = f"its newest checkpoint in {config.model_dir}" if resumed else str(config.restore.path)
    given = "TRAIN_STEPS" if config.train_steps is not None else "TRAIN_STEPS_RELATIVE"
    fix = f"raise --gin.{given}"
    if not resumed and config.train_steps is not None:
        fix += f", or count from there with --gin.TRAIN_STEPS_RELATIVE={config.train_steps}"
    elif resumed:
        fix += " to train on, or give another --gin.MODEL_DIR to start afresh"
    return (
        f"this run would train no step: it starts at step {first} (from {whence}) and {given} ends "
        f"it at step {last}. To fix it, {fix}."
    )


def _lines(config: Any, prefix: str = "") -> list[str]:
    lines: list[str] = []
    for field in dataclasses.fields(config):
        value, name = getattr(config, field.name), f"{prefix}{field.name}"
        lines += (
            _lines(value, f"{name}.") if dataclasses.is_dataclass(value) else [f"{name}={value}"]
        )
    return lines
