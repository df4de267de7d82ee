"""A trained model -> a directory that others read, whole or not there."""

import os
import pathlib
import shutil
from collections.abc import Callable, Mapping

from t5x_lite.checkpoints import huggingface
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.exporting import source, stablehlo
from t5x_lite.exporting.config import ExportConfig, Format
from t5x_lite.exporting.source import Source

Write = Callable[[pathlib.Path, Source, ExportConfig], None]


def export(config: ExportConfig) -> None:
    """Reads the model and writes it under another name, which becomes `output` at the end.

    Raises:
        UserError: `output` is not empty or in an object store, or the format cannot hold the model.
        FileNotFoundError, ValueError: `path` is no checkpoint, or it is damaged.
    """
    output = _new_folder(config.output)
    partial = output.with_name(f"{output.name}.partial")
    found = source.read(config.path, config.vocabulary)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _WRITERS[config.format](partial, found, config)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(output)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    say(f"{config.output}: {config.format.value} of step {found.step}, {size / 1e6:,.1f} MB")


def _new_folder(name: str) -> pathlib.Path:
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


def _huggingface(folder: pathlib.Path, found: Source, _: ExportConfig) -> None:
    huggingface.save(folder, found.model, found.parameters, found.tokenizer)


def _ctranslate2(folder: pathlib.Path, found: Source, _: ExportConfig) -> None:
    # Its imports are those of torch; they are installed by who wants this format.
    from t5x_lite.exporting import to_ctranslate2

    to_ctranslate2.write(folder, found)


_WRITERS: Mapping[Format, Write] = {
    Format.HUGGINGFACE: _huggingface,
    Format.STABLEHLO: stablehlo.write,
    Format.CTRANSLATE2: _ctranslate2,
}
