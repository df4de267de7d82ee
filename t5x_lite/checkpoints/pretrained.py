"""What can be known of a trained model from its path alone, and its parameters.

    found = describe("/runs/one")                    # reads no tensor
    parameters, step = load_parameters("/runs/one", None, partitioner)

A path is a checkpoint of ours, a model directory (its newest checkpoint) or a Hugging Face
directory.
"""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any

from etils import epath

from t5x_lite.checkpoints import description as descriptions
from t5x_lite.checkpoints import folders, huggingface, lookup, manifest, sparse_tensors
from t5x_lite.checkpoints.description import Description, check_model
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.table import detect
from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.checkpoints.restoring import restore
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.partitioner import Partitioner
from t5x_lite.text.vocabulary_paths import naming_file

VOCABULARY = "vocabulary"
# Files of a Hugging Face directory that decide what its model says.
_OF_THE_MODEL = (".safetensors", ".json")


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """A trained model before its tensors are read.

    `vocabulary` is the folder with the files of its tokenizer, if it has any. A checkpoint of ours
    has a `description`, a directory in a foreign format has a `format`.
    """

    path: epath.Path
    step: int
    model: ModelConfig
    vocabulary: epath.Path | None
    description: Description | None = None
    format: Format | None = None


def describe(path: epath.PathLike, model: ModelConfig | None = None) -> Pretrained:
    """The model, step and tokenizer of a path.

    Args:
        model: what the path has to hold; only an old checkpoint that does not say needs it.

    Raises:
        ModelMismatchError: it holds another model.
        FileNotFoundError: there is no checkpoint; the message lists the nearest.
        UserError: it is damaged, or does not say which model it holds.
    """
    directory = folders.absolute(path)
    format = detect(directory)
    if format is not None:
        stored = huggingface.read_config(directory)
        if model is not None:
            check_model(model, stored, directory)
        return Pretrained(directory, 0, model or stored, directory, format=format)
    checkpoint = lookup.find(directory)
    vocabulary = checkpoint / VOCABULARY
    return Pretrained(
        checkpoint,
        folders.step_of(checkpoint),
        model_for(checkpoint, model),
        vocabulary if vocabulary.is_dir() else None,
        descriptions.read(checkpoint),
    )


def identity(path: epath.PathLike) -> str:
    """A hash that changes with what a path holds: a checkpoint written again under the same path
    has another one, a copy of one of ours has the same.

    Raises:
        FileNotFoundError, ValueError: as `describe`.
    """
    directory = folders.absolute(path)
    if detect(directory) is not None:
        files = [file for file in sorted(directory.iterdir()) if file.suffix in _OF_THE_MODEL]
        # Checksums would cost as much as reading the model.
        stats = ((file.name, file.stat()) for file in files)
        parts = [(name, int(stat.length), stat.mtime) for name, stat in stats]
        return hashlib.sha256(repr(parts).encode()).hexdigest()
    checkpoint = lookup.find(directory)
    leaves, written = manifest.leaf_sums(checkpoint), manifest.read(checkpoint)["files"]
    if leaves is not None:
        sparse = written.get(f"{sparse_tensors.FOLDER}/{sparse_tensors.FILE}")
        sums: list[Any] = sorted(leaves.items())
        sums += [] if sparse is None else [sparse]
        return hashlib.sha256(repr(sums).encode()).hexdigest()
    # What is written beside the state later, such as PINNED, changes no parameter.
    state = sorted((name, sums) for name, sums in written.items() if name.startswith("state/"))
    return hashlib.sha256(repr(state).encode()).hexdigest()


def step_of(path: epath.PathLike) -> int:
    """The step that the parameters of a path were saved at; 0 for a Hugging Face directory.

    Raises:
        FileNotFoundError, ValueError: as `describe`.
    """
    return 0 if detect(path) is not None else folders.step_of(lookup.find(path))


def vocabulary_file(path: epath.PathLike) -> epath.Path | None:
    """The file that names the vocabulary which a path carries, if it carries one; that of ByT5, the
    bytes, has none.

    Raises:
        FileNotFoundError, ValueError: as `describe`.
    """
    is_ours = detect(path) is None
    return naming_file(lookup.find(path) / VOCABULARY if is_ours else path)


def load_parameters(
    path: epath.PathLike,
    model: ModelConfig | None,
    partitioner: Partitioner,
    dtype: str | None = None,
) -> tuple[Any, int]:
    """Parameters alone, as evaluation and inference need them, and the step they were saved at (0
    for a Hugging Face directory); `model` None means the checkpoint's own.

    Raises:
        ModelMismatchError: the model is another one; the message shows the fields that differ.
        FileNotFoundError, ValueError: there is no checkpoint, or it is damaged.
    """
    if detect(path) is not None:
        with open_foreign(path, model) as (stored, parameters):
            abstract = abstract_parameters(stored, partitioner, dtype)
            return place_parameters(parameters, abstract), 0

    def take(checkpoint: epath.Path) -> tuple[Any, int]:
        abstract = abstract_parameters(model_for(checkpoint, model), partitioner, dtype)
        parts = restore(checkpoint, {"parameters": abstract})
        return parts["parameters"], folders.step_of(checkpoint)

    return lookup.read(path, take)


@contextlib.contextmanager
def open_foreign(
    directory: epath.PathLike, model: ModelConfig | None
) -> Iterator[tuple[ModelConfig, Any]]:
    """The model of a Hugging Face directory, and parameters that are read when they are placed.

    Raises:
        ModelMismatchError: `model` is another one.
    """
    if model is not None:
        check_model(model, huggingface.read_config(directory), directory)
    with huggingface.opened(directory) as opened:
        yield opened


def check_initial(checkpoint: epath.Path, model: ModelConfig) -> None:
    """Whether training may start from a checkpoint, from what it says of its model.

    Raises:
        ModelMismatchError: it is another model, not only one without what fine-tuning adds.
    """
    if descriptions.read(checkpoint).model:
        descriptions.check_initial(model, descriptions.model_of(checkpoint), checkpoint)


def model_for(checkpoint: epath.Path, model: ModelConfig | None) -> ModelConfig:
    """The given model if it is the checkpoint's, else the checkpoint's own as it is kept.

    A checkpoint that does not say which model it holds is compared leaf by leaf, when it is read.

    Raises:
        ModelMismatchError: the given model is another one.
    """
    if model is None:
        return descriptions.model_of(checkpoint).kept
    if descriptions.read(checkpoint).model:
        stored = descriptions.model_of(checkpoint)
        check_model(model, descriptions.as_read(stored, model), checkpoint)
    return model


def check_own(checkpoint: epath.Path, model: ModelConfig) -> None:
    """Whether a run may go on from a checkpoint of its own, from what that says of its model.

    Raises:
        ModelMismatchError: it is another model in whatever it has.
    """
    if descriptions.read(checkpoint).model:
        check_model(model, descriptions.model_of(checkpoint), checkpoint)
