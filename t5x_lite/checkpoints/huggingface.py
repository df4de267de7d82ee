"""Hugging Face's T5 directories (config.json, model.safetensors, spiece.model), read and written.

Neither torch nor transformers is needed. The model says which tensors there must be: a file in
which one is missing, left over or misshapen is refused, with all their names at once, before any
is read. Reading is lazy, so memory holds the parameters, or a process's part of them, and not also
the file.
"""

import contextlib
import dataclasses
import json
import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
import safetensors
import safetensors.numpy
from etils import epath

from t5x_lite.checkpoints import huggingface_config, remap, safetensors_files
from t5x_lite.checkpoints.huggingface_names import (
    EMBEDDING,
    EMBEDDING_COPIES,
    HEAD,
    UNUSED,
    huggingface_name,
    is_transposed,
)
from t5x_lite.checkpoints.safetensors_files import FLOATS
from t5x_lite.errors import UserError
from t5x_lite.model import transformer
from t5x_lite.model.config import ModelConfig
from t5x_lite.text_files import read_json_object

_CONFIG = "config.json"
_WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_VOCABULARY = "spiece.model"
_FILE_NAME = re.compile(r"[^/\\\0]+\.safetensors")
_ROWS = 64  # read at a time where only some have to be seen


def is_huggingface_directory(directory: epath.PathLike) -> bool:
    """Whether this is a model in Hugging Face's layout, not a checkpoint of ours."""
    return (epath.Path(directory) / _CONFIG).is_file()


def vocabulary_path(directory: epath.PathLike) -> epath.Path | None:
    """The SentencePiece model in the directory; ByT5 has none, its vocabulary is the bytes."""
    path = epath.Path(directory) / _VOCABULARY
    return path if path.is_file() else None


def read_config(directory: epath.PathLike) -> ModelConfig:
    """The model of config.json; who ties the head may show only in the names of the tensors."""
    with _open(epath.Path(directory)) as stored:
        return _config(epath.Path(directory), stored)


def load(directory: epath.PathLike) -> tuple[ModelConfig, dict]:
    """The model and its parameters: NumPy float32, layers stacked."""
    with opened(directory) as (config, parameters):
        return config, jax.tree.map(np.asarray, parameters)


@contextlib.contextmanager
def opened(directory: epath.PathLike) -> Iterator[tuple[ModelConfig, dict]]:
    """The model and, as long as the files are open, parameters of which nothing is read yet.

    A leaf has a shape and gives the slices that it is asked for as NumPy float32, layers stacked;
    so a process needs memory for its own part of a model only.
    """
    directory = epath.Path(directory)
    with _open(directory) as stored:
        config = _config(directory, stored)
        wanted = _wanted(config)
        copies = EMBEDDING_COPIES + ((HEAD,) if config.logits_via_embedding else ())
        tensors = _with_embedding(stored, copies)
        _check(directory, wanted, tensors, copies)
        parameters = jax.tree_util.tree_map_with_path(
            lambda path, _: _Leaf(
                tensors[huggingface_name(_keys(path))], is_transposed(_keys(path))
            ),
            wanted,
        )
        yield config, remap.stack_layers(parameters, _Stack)


def save(directory: epath.PathLike, config: ModelConfig, parameters: Mapping) -> None:
    """Writes what `load` reads back bit for bit and transformers reads as well."""
    directory = epath.Path(directory)
    values = huggingface_config.to_values(config)
    leaves = jax.tree_util.tree_leaves_with_path(remap.unstack_layers(parameters))
    tensors = {
        huggingface_name(_keys(path)): np.ascontiguousarray(
            np.asarray(leaf).T if is_transposed(_keys(path)) else leaf
        )
        for path, leaf in leaves
    }
    directory.mkdir(parents=True, exist_ok=True)
    (directory / _CONFIG).write_text(json.dumps(values, indent=2) + "\n")
    # transformers refuses a file that does not say which framework wrote its layout.
    (directory / _WEIGHTS).write_bytes(safetensors.numpy.save(tensors, metadata={"format": "pt"}))


@dataclasses.dataclass(frozen=True)
class _Stored:
    """A tensor still in its file."""

    file: safetensors.safe_open
    name: str

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.file.get_slice(self.name).get_shape())

    @property
    def dtype(self) -> str:
        return self.file.get_slice(self.name).get_dtype()

    def read(self, index: tuple[slice, ...] = ()) -> np.ndarray:
        """The tensor, or a part of it.

        Raises:
            UserError: it holds what is no number.
        """
        stored = self.file.get_slice(self.name)[index] if index else self.file.get_tensor(self.name)
        with np.errstate(over="ignore"):  # a float64 may be too large; said below
            values = stored.astype(np.float32)
        if not np.isfinite(values).all():
            raise UserError(
                f"{self.name} holds NaN or infinite values, so every answer would be nonsense: "
                "the file is damaged, or its training failed; needed are other weights."
            )
        return values

    def is_zero(self) -> bool:
        """Whether it is nothing but zeros; of most tensors the first rows tell."""
        size = self.shape[0]
        parts = (slice(start, min(start + _ROWS, size)) for start in range(0, size, _ROWS))
        return not any(self.read((part,)).any() for part in parts)


@dataclasses.dataclass(frozen=True)
class _Leaf:
    """A parameter that is read, upcast and turned when it is asked for."""

    stored: _Stored
    transposed: bool

    @property
    def shape(self) -> tuple[int, ...]:
        return self.stored.shape[::-1] if self.transposed else self.stored.shape

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        array = self.stored.read(index[::-1] if self.transposed else index)
        return np.ascontiguousarray(array.T) if self.transposed else array

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[()]


@dataclasses.dataclass(frozen=True)
class _Stack:
    """The same parameter of every layer, on a leading axis."""

    layers: Sequence[_Leaf]

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self.layers), *self.layers[0].shape)

    def __getitem__(self, index: tuple[slice, ...]) -> np.ndarray:
        first, *rest = index or (slice(None),)
        return np.stack([layer[tuple(rest)] for layer in self.layers[first]])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self[()]


@contextlib.contextmanager
def _open(directory: epath.Path) -> Iterator[dict[str, _Stored]]:
    """Every tensor of a whole or sharded file, by name."""
    names = _weight_files(directory)
    if absent := [name for name in names if not (directory / name).is_file()]:
        raise FileNotFoundError(
            f"{directory} lacks {', '.join(absent)}. Weights are read from safetensors only; a "
            "pytorch_model.bin is turned into them by transformers: "
            "T5ForConditionalGeneration.from_pretrained(old).save_pretrained(new)."
        )
    with contextlib.ExitStack() as stack:
        files = [stack.enter_context(safetensors_files.opened(directory / name)) for name in names]
        yield {name: _Stored(file, name) for file in files for name in file.keys()}


def _weight_files(directory: epath.Path) -> list[str]:
    """The names of the files that the index names, or of the only one."""
    if not (directory / _INDEX).is_file():
        return [_WEIGHTS]
    weight_map = read_json_object(directory / _INDEX).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise UserError(
            f"{directory / _INDEX} has no weight_map, from the names of tensors to those of files."
        )
    names = sorted(set(map(str, weight_map.values())))
    # A name that leads out of the directory would have any file of the machine read.
    if outside := [name for name in names if not _FILE_NAME.fullmatch(name)]:
        raise UserError(
            f"{directory / _INDEX} names {', '.join(map(repr, outside[:3]))}; needed are names of "
            "files beside it, *.safetensors."
        )
    return names


def _config(directory: epath.Path, stored: Mapping[str, _Stored]) -> ModelConfig:
    config = huggingface_config.from_values(read_json_object(directory / _CONFIG), stored)
    depths = [stack.depth for stack in (config.encoder, config.decoder) if stack is not None]
    if max(depths) > len(stored):
        raise UserError(
            f"{directory} has {len(stored)} tensors, too few for the {max(depths):,} layers of its "
            f"{_CONFIG}."
        )
    return config


def _wanted(config: ModelConfig) -> dict:
    """The shapes the model needs, layers one by one."""
    return jax.eval_shape(remap.unstack_layers, transformer.abstract_parameters(config))


def _with_embedding(stored: Mapping[str, _Stored], copies: tuple[str, ...]) -> dict[str, _Stored]:
    """Some exports kept the embedding only under the name of a copy."""
    found = next((stored[name] for name in (EMBEDDING, *copies) if name in stored), None)
    return {**stored, EMBEDDING: found} if found else dict(stored)


def _check(
    directory: epath.Path, wanted: dict, tensors: Mapping[str, _Stored], copies: tuple[str, ...]
) -> None:
    shapes = {
        huggingface_name(_keys(path)): leaf.shape[::-1]
        if is_transposed(_keys(path))
        else leaf.shape
        for path, leaf in jax.tree_util.tree_leaves_with_path(wanted)
    }
    wrong = [
        f"missing: {name}, needed {shapes[name]}" for name in sorted(shapes.keys() - tensors.keys())
    ]
    for name in sorted(tensors.keys() - shapes.keys() - {*copies, UNUSED}):
        wrong.append(f"left over: {name}, found {tensors[name].shape}")
    for name in sorted(shapes.keys() & tensors.keys()):
        if tensors[name].shape != shapes[name]:
            wrong.append(f"shape: {name}, needed {shapes[name]}, found {tensors[name].shape}")
        elif tensors[name].dtype not in FLOATS:
            wrong.append(f"type: {name}, needed one of {FLOATS}, found {tensors[name].dtype}")
    for name in copies:
        if not wrong and name in tensors and not _same(tensors[name], tensors[EMBEDDING]):
            wrong.append(
                f"not a copy: {name} differs from {tensors[EMBEDDING].name}, which {_CONFIG} says "
                "it repeats; if the head has weights of its own, set tie_word_embeddings to false"
            )
    if wrong:
        raise UserError(f"{directory} does not hold the T5 of its {_CONFIG}:\n" + "\n".join(wrong))
    if zeros := [name for name in sorted(shapes) if tensors[name].is_zero()]:
        more = f" and {len(zeros) - 3} more" if len(zeros) > 3 else ""
        logging.getLogger(__name__).warning(
            "%s has tensors that are 0 throughout, as no training leaves them: %s%s.",
            directory,
            ", ".join(zeros[:3]),
            more,
        )
    if UNUSED in tensors:
        logging.getLogger(__name__).warning("Not used, because no T5 uses it: %s.", UNUSED)


def _same(one: _Stored, other: _Stored) -> bool:
    return one.shape == other.shape and np.array_equal(one.read(), other.read())


def _keys(path: tuple[jax.tree_util.DictKey, ...]) -> tuple[str, ...]:
    return tuple(key.key for key in path)
