"""A trained model -> a directory that others read, whole or not there."""

import dataclasses
import pathlib
from collections.abc import Callable, Mapping

from t5x_lite.checkpoints import huggingface
from t5x_lite.compression import students
from t5x_lite.compression.distillation_config import StudentConfig
from t5x_lite.display.progress import say
from t5x_lite.errors import UserError
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.exporting import folder, source, stablehlo
from t5x_lite.exporting.config import ExportConfig, Format, check_holds_int8
from t5x_lite.exporting.source import Source
from t5x_lite.model import transformer
from t5x_lite.model.choices import Weights

CARD = "quality.md"
Write = Callable[[pathlib.Path, Source, ExportConfig], None]


def export(config: ExportConfig) -> None:
    """Reads the model and writes it under another name, which becomes `output` at the end.

    Raises:
        UserError: `output` is not empty or in an object store, or the format cannot hold the model.
        FileNotFoundError, ValueError: `path` is no checkpoint, or it is damaged.
    """
    output = folder.new_folder(config.output)
    found = source.read(config.path, config.vocabulary)
    if not config.student.is_all:
        found = _student(found, config.student)
    _check(found, config)
    page = None
    if config.quality is not None and config.weights is Weights.INT8:
        found, page = _measured(found, config, config.quality)
    with folder.whole(output) as partial:
        _WRITERS[config.format](partial, found, config)
        if page is not None:
            (partial / CARD).write_text(page)
    size = folder.num_bytes(output)
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


def _huggingface(path: pathlib.Path, found: Source, _: ExportConfig) -> None:
    huggingface.save(path, found.model, found.parameters, found.tokenizer)


def _checkpoint(path: pathlib.Path, found: Source, config: ExportConfig) -> None:
    folder.write_checkpoint(path, found, sparse=config.sparse)


def _ctranslate2(path: pathlib.Path, found: Source, _: ExportConfig) -> None:
    # Its imports are those of torch; they are installed by who wants this format.
    from t5x_lite.exporting import to_ctranslate2

    to_ctranslate2.write(path, found)


_WRITERS: Mapping[Format, Write] = {
    Format.HUGGINGFACE: _huggingface,
    Format.STABLEHLO: stablehlo.write,
    Format.CTRANSLATE2: _ctranslate2,
    Format.CHECKPOINT: _checkpoint,
}
