"""A directory that is written whole, or is not there."""

import contextlib
import dataclasses
import os
import pathlib
import shutil
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from t5x_lite.checkpoints import codec, pretrained, sparse_tensors
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.exporting.source import Source
from t5x_lite.finetuning import additions

_PARAMETERS = "parameters"


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


def write_checkpoint(folder: pathlib.Path, found: Source, *, sparse: bool = False) -> None:
    """The model as a checkpoint without an optimizer's slots, which says what it is.

    Args:
        sparse: leaves the zeros of a pruned model out.

    Raises:
        UserError: without its zeros no tensor is smaller.
    """
    described = found.description or describe_run("", found.model)
    described = dataclasses.replace(described, model=codec.to_json(found.model))
    vocabulary = {} if found.tokenizer is None else found.tokenizer.files()
    files: dict[str, dict[str, bytes]] = {pretrained.VOCABULARY: vocabulary}
    parameters: Mapping[str, Any] = found.parameters
    if sparse:
        parameters, content = _without_zeros(found)
        files[sparse_tensors.FOLDER] = {sparse_tensors.FILE: content}
    checkpoints = Checkpoints(folder, SaveCheckpointConfig(keep=1))
    state = {_PARAMETERS: jax.device_put(parameters)}
    checkpoints.save(found.step, state, described, files)
    checkpoints.close()


def _without_zeros(found: Source) -> tuple[dict[str, Any], bytes]:
    """The parameters that are written as they are, and a file of the others.

    Raises:
        UserError: there is none that becomes smaller.
    """
    whole = leaves(found.parameters)
    content, names = sparse_tensors.without_zeros(
        {f"{_PARAMETERS}/{name}": leaf for name, leaf in whole.items()}
    )
    if not names:
        raise UserError(
            "--sparse makes no tensor of this model smaller: needed is one that was pruned "
            "(--gin_file=compression/prune.gin), or no --sparse."
        )
    taken = [name.removeprefix(f"{_PARAMETERS}/") for name in names]
    before = sum(whole[name].nbytes for name in taken)
    say(
        f"{len(taken)} of {len(whole)} tensors are without their zeros: {len(content) / 1e6:,.1f} "
        f"MB in place of {before / 1e6:,.1f}"
    )
    return additions.without(found.parameters, taken), content
