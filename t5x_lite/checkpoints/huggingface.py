"""Hugging Face's directories (config.json, model.safetensors, a tokenizer), read and written.

Neither torch nor transformers is needed. `formats/` says what the models of a family are called.
The model says which tensors there must be: a file in which one is missing, left over or misshapen
is refused, with all their names at once, before any is read.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from etils import epath

from t5x_lite.checkpoints.formats import names, weights
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.table import CONFIG, detect, format_of
from t5x_lite.checkpoints.formats.weights import Shape, Stored
from t5x_lite.checkpoints.safetensors_files import FLOATS
from t5x_lite.errors import UserError
from t5x_lite.model import transformer
from t5x_lite.model.config import LayerSharing, ModelConfig
from t5x_lite.text.huggingface_files import huggingface_files
from t5x_lite.text.tokenizer import Tokenizer
from t5x_lite.text_files import read_json_object


def read_config(directory: epath.PathLike) -> ModelConfig:
    """The model of config.json; who ties the head may show only in the names of the tensors."""
    with _open(epath.Path(directory)) as (_, config, _):
        return config


def load(directory: epath.PathLike) -> tuple[ModelConfig, dict]:
    """The model and its parameters: NumPy float32, layers stacked."""
    with opened(directory) as (config, parameters):
        return config, jax.tree.map(np.asarray, parameters)


@contextlib.contextmanager
def opened(directory: epath.PathLike) -> Iterator[tuple[ModelConfig, dict]]:
    """The model and, as long as the files are open, parameters of which nothing is read yet.

    A leaf has a shape and gives the slices that it is asked for as NumPy float32, layers stacked;
    so a process needs memory for its own part of a model only.

    Raises:
        FileNotFoundError: there is no such directory, or a file of it is absent.
        UserError: it is damaged, or holds another model than it says.
    """
    directory = epath.Path(directory)
    with _open(directory) as (format, config, stored):
        wanted = transformer.abstract_parameters(config)
        table = format.names_of(config)
        shapes = names.shapes(table, wanted)
        copies = {name: of for name, of in format.copies.items() if name not in shapes}
        tensors = _with_originals(_with_prefix(format, stored, shapes), copies)
        if wrong := _wrong(format, shapes, tensors, copies):
            raise UserError(
                f"{directory} does not hold the {format.name} of its {CONFIG}:\n" + "\n".join(wrong)
            )
        _warn(directory, format, shapes, tensors)
        yield config, names.lazy_tree(table, wanted, tensors)


def save(
    directory: epath.PathLike,
    config: ModelConfig,
    parameters: Mapping,
    tokenizer: Tokenizer | None = None,
) -> None:
    """Writes what `load` reads back bit for bit and transformers reads as well; with a tokenizer
    also its files, in the newest form and in older ones.

    Raises:
        UserError: no format of Hugging Face expresses the model, or these are not its parameters.
    """
    directory = epath.Path(directory)
    format, values = format_of(config)
    _check_parameters(config, parameters)
    tensors = names.to_tensors(format.names_of(config), parameters)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / CONFIG).write_text(json.dumps(values, indent=2) + "\n")
    for name, content in huggingface_files(tokenizer).items():
        (directory / name).write_bytes(content)
    # transformers refuses a file that does not say which framework wrote its layout.
    written = safetensors.numpy.save(tensors, metadata={"format": "pt"})
    (directory / weights.WEIGHTS).write_bytes(written)


def _check_parameters(config: ModelConfig, parameters: Mapping) -> None:
    """Whether all are there: an absent one would leave a hole in a tensor that joins several."""
    wanted, given = names.paths(transformer.abstract_parameters(config)), names.paths(parameters)
    if wanted != given:
        raise UserError(
            "the parameters are not those of the model: "
            f"absent are {', '.join(sorted(wanted - given)[:3]) or 'none'}, "
            f"too many {', '.join(sorted(given - wanted)[:3]) or 'none'}; needed is the tree that "
            "transformer.abstract_parameters shows."
        )


@contextlib.contextmanager
def _open(directory: epath.Path) -> Iterator[tuple[Format, ModelConfig, dict[str, Stored]]]:
    format = detect(directory)
    if format is None:
        raise FileNotFoundError(f"{directory} lacks {CONFIG}, so it is no Hugging Face directory.")
    with weights.opened(directory, format.model_class) as stored:
        config = format.read_config(read_json_object(directory / CONFIG), stored)
        own = (s for s in config.stacks.values() if s.layer_sharing is LayerSharing.NONE)
        depth = max((stack.depth for stack in own), default=0)
        if depth > len(stored):
            raise UserError(
                f"{directory} has {len(stored)} tensors, too few for the {depth:,} layers of "
                f"its {CONFIG}."
            )
        yield format, config, stored


def _with_prefix(
    format: Format, stored: Mapping[str, Stored], shapes: Mapping[str, Shape]
) -> dict[str, Stored]:
    """Under the names of the model with its head; what stands there under both stays as it is."""

    def whole(name: str) -> str:
        for old, new in format.formerly.items():
            if name.endswith(old) and name not in shapes:
                name = name.removesuffix(old) + new
        prefixed = format.prefix + name
        return prefixed if prefixed in shapes and prefixed not in stored else name

    return {whole(name): tensor for name, tensor in stored.items()}


def _with_originals(stored: Mapping[str, Stored], copies: Mapping[str, str]) -> dict[str, Stored]:
    """Some exports kept a tensor, such as the embedding, only under the name of a copy."""
    found = dict(stored)
    for copy, original in copies.items():
        if copy in stored:
            found.setdefault(original, stored[copy])
    return found


def _wrong(
    format: Format,
    shapes: Mapping[str, Shape],
    tensors: Mapping[str, Stored],
    copies: Mapping[str, str],
) -> list[str]:
    """A line for each tensor that is not what the model needs."""
    wrong = [
        f"missing: {name}, needed {shapes[name]}" for name in sorted(shapes.keys() - tensors.keys())
    ]
    for name in sorted(tensors.keys() - shapes.keys() - _repeating(shapes, copies)):
        if not format.is_unused(name) and not format.is_constant(name):
            wrong.append(f"left over: {name}, found {tensors[name].shape}")
    for name in sorted(shapes.keys() & tensors.keys()):
        if tensors[name].shape != shapes[name]:
            wrong.append(f"shape: {name}, needed {shapes[name]}, found {tensors[name].shape}")
        elif tensors[name].dtype not in FLOATS:
            wrong.append(f"type: {name}, needed one of {FLOATS}, found {tensors[name].dtype}")
    for name, original in copies.items():
        if not wrong and name in tensors and not tensors[name].equals(tensors[original]):
            wrong.append(
                f"not a copy: {name} differs from {tensors[original].name}, which {CONFIG} "
                "says it repeats; if the head has weights of its own, set tie_word_embeddings to "
                "false"
            )
    return wrong


def _repeating(shapes: Mapping[str, Shape], copies: Mapping[str, str]) -> set[str]:
    """Those copies whose originals the model has."""
    return {name for name, original in copies.items() if original in shapes}


def _warn(
    directory: epath.Path, format: Format, shapes: Mapping[str, Shape], tensors: Mapping[str, Any]
) -> None:
    """Says what is strange in a file that fits."""
    log = logging.getLogger(__name__)
    if zeros := [name for name in sorted(shapes) if tensors[name].is_zero()]:
        more = f" and {len(zeros) - 3} more" if len(zeros) > 3 else ""
        log.warning(
            "%s has tensors that are 0 throughout, as no training leaves them: %s%s.",
            directory,
            ", ".join(zeros[:3]),
            more,
        )
    if unused := [name for name in sorted(tensors) if format.is_unused(name)]:
        log.warning("Not used, because no %s uses it: %s.", format.name, ", ".join(unused))
