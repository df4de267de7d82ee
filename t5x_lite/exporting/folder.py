"""A directory that is written whole, or is not there."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator

import jax

from t5x_lite.checkpoints import codec, pretrained
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.errors import UserError
from t5x_lite.exporting.source import Source


def new_folder(name: str) -> pathlib.Path:
    """The path of a folder of this machine that is not there yet, or empty.

    Raises:
        UserError: it holds something, or is in an object store.
    """
    if "://" in name:
        raise UserError(
            f"output={name}: needed is a folder of this machine; copy it to the store afterwards."
        )
    path = pathlib.Path(os.path.abspath(os.path.expanduser(name)))
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise UserError(
            f"output={name} is there already and not empty; nothing is overwritten: name another "
            "folder, or remove it."
        )
    return path


@contextlib.contextmanager
def whole(output: pathlib.Path) -> Iterator[pathlib.Path]:
    """A folder to write into, under another name, which becomes `output` at the end; after an error
    it is gone.
    """
    partial = output.with_name(f"{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(output)


def num_bytes(folder: pathlib.Path) -> int:
    """Of all files in it."""
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def write_checkpoint(folder: pathlib.Path, found: Source) -> None:
    """The model as a checkpoint without an optimizer's slots, which says what it is."""
    described = found.description or describe_run("", found.model)
    described = dataclasses.replace(described, model=codec.to_json(found.model))
    vocabulary = {} if found.tokenizer is None else found.tokenizer.files()
    checkpoints = Checkpoints(folder, SaveCheckpointConfig(keep=1))
    state = {"parameters": jax.device_put(found.parameters)}
    checkpoints.save(found.step, state, described, {pretrained.VOCABULARY: vocabulary})
    checkpoints.close()
