"""What can be known of a trained model from its path alone, and its parameters."""

import dataclasses
from typing import Any

import jax
from etils import epath

from t5x_lite.checkpoints import huggingface, manager
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner
from t5x_lite.training import start


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A trained model before its tensors are read.

    `vocabulary` is the folder with the files of its tokenizer, if it has any.
    """

    path: epath.Path
    step: int
    model: ModelConfig | None
    vocabulary: epath.Path | None


def describe(path: epath.PathLike) -> Pretrained:
    """The step and tokenizer of a path, and the model if the path says it."""
    directory = manager.absolute(path)
    if huggingface.is_huggingface_directory(directory):
        return Pretrained(directory, 0, huggingface.read_config(directory), directory)
    checkpoint = manager.find(directory)
    vocabulary = checkpoint / "vocabulary"
    found = vocabulary if vocabulary.is_dir() else None
    return Pretrained(checkpoint, manager.step_of(checkpoint), None, found)


def load_parameters(
    path: epath.PathLike,
    model: ModelConfig | None,
    partitioner: Partitioner,
    dtype: str | None = None,
) -> tuple[Any, int]:
    """Parameters alone, and the step they were saved at; `model` None is the path's own."""
    model = model or describe(path).model
    if model is None:
        raise ValueError(f"{path} does not say which model it holds: give its gin file.")
    parameters, step = start.load_parameters(str(path), model, partitioner)
    if dtype is not None:
        parameters = jax.tree.map(lambda leaf: leaf.astype(dtype), parameters)
    return parameters, step
