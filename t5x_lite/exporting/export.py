"""A trained model -> a directory that others read, whole or not there."""

import dataclasses
import os
import pathlib
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import jax

from t5x_lite.checkpoints import codec, huggingface, pretrained, sparse_tensors
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.checkpoints.restoring import leaves
from t5x_lite.compression import students
from t5x_lite.compression.distillation_config import StudentConfig
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.exporting import source, stablehlo
from t5x_lite.exporting.config import ExportConfig, Format, check_holds_int8
from t5x_lite.exporting.source import Source
from t5x_lite.finetuning import additions
from t5x_lite.model import transformer
from t5x_lite.model.choices import Weights

CARD = "quality.md"
_PARAMETERS = "parameters"
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
    if not config.student.is_all:
        found = _student(found, config.student)
    _check(found, config)
    page = None
    if config.quality is not None and config.weights is Weights.INT8:
        found, page = _measured(found, config, config.quality)
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        _WRITERS[config.format](partial, found, config)
        if page is not None:
            (partial / CARD).write_text(page)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    partial.rename(output)
    size = sum(file.stat().st_size for file in output.rglob("*") if file.is_file())
    say(f"{config.output}: {config.format.value} of step {found.step}, {size / 1e6:,.1f} MB")


def _student(found: Source, config: StudentConfig) -> Source:
    model, parameters = students.make(config, found.model, found.parameters)
    counts = [transformer.num_parameters(each) for each in (model, found.model)]
    say(f"the student has {counts[0]:,} of {counts[1]:,} parameters")
    return dataclasses.replace(found, model=model, parameters=parameters)


def _check(found: Source, config: ExportConfig) -> None:
    """Refuses what the model cannot become."""
    if found.model.weights is Weights.INT8:
        if config.weights is Weights.INT8:
            raise UserError(
                f"--weights=int8 of {config.path}, whose weights are int8 already: rounded again "
                "they would only lose. Name the checkpoint in float32 that it was exported from, "
                "or leave --weights out, and it is written as it is."
            )
        check_holds_int8(config.format)
    if found.model.quantization is not None:
        check_holds_int8(config.format, "products of 8 bits")


def _measured(found: Source, config: ExportConfig, job: EvalConfig) -> tuple[Source, str]:
    """The model in int8 and its card, unless it is too much worse."""
    # Tasks are read by TensorFlow, which other exports do not load.
    from t5x_lite.exporting import calibrate, quality

    given = config.calibration
    rounded = found if given is None else calibrate.calibrated(found, given, job)
    small, full = rounded.quantized(), found.in_float32()
    rows = quality.measure(job, (full.model, full.parameters), (small.model, small.parameters))
    if not config.accept_gap:
        quality.refuse(rows)
    return small, quality.card(
        rows,
        job,
        small.model,
        step=found.step,
        sizes=(full.num_bytes, small.num_bytes),
        accepted=config.accept_gap,
    )


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


def _checkpoint(folder: pathlib.Path, found: Source, config: ExportConfig) -> None:
    described = found.description or describe_run("", found.model)
    described = dataclasses.replace(described, model=codec.to_json(found.model))
    vocabulary = {} if found.tokenizer is None else found.tokenizer.files()
    files: dict[str, dict[str, bytes]] = {pretrained.VOCABULARY: vocabulary}
    parameters: Mapping[str, Any] = found.parameters
    if config.sparse:
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


def _ctranslate2(folder: pathlib.Path, found: Source, _: ExportConfig) -> None:
    # Its imports are those of torch; they are installed by who wants this format.
    from t5x_lite.exporting import to_ctranslate2

    to_ctranslate2.write(folder, found)


_WRITERS: Mapping[Format, Write] = {
    Format.HUGGINGFACE: _huggingface,
    Format.STABLEHLO: stablehlo.write,
    Format.CTRANSLATE2: _ctranslate2,
    Format.CHECKPOINT: _checkpoint,
}
