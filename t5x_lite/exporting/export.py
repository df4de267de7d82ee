"""A trained model -> a directory that others read, whole or not there."""

import pathlib
from collections.abc import Callable, Mapping

from t5x_lite.checkpoints import huggingface
from t5x_lite.display.progress import say
from t5x_lite.evaluation.config import EvalConfig
from t5x_lite.exporting import folder, source, stablehlo
from t5x_lite.exporting.config import ExportConfig, Format, check_holds_int8
from t5x_lite.exporting.source import Source
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
    if found.model.weights is Weights.INT8:
        check_holds_int8(config.format)
    page = None
    if config.quality is not None and config.weights is Weights.INT8:
        found, page = _measured(found, config, config.quality)
    with folder.whole(output) as partial:
        _WRITERS[config.format](partial, found, config)
        if page is not None:
            (partial / CARD).write_text(page)
    size = folder.num_bytes(output)
    say(f"{config.output}: {config.format.value} of step {found.step}, {size / 1e6:,.1f} MB")


def _measured(found: Source, config: ExportConfig, job: EvalConfig) -> tuple[Source, str]:
    """The model in int8 and its card, unless it is too much worse."""
    # Tasks are read by TensorFlow, which other exports do not load.
    from t5x_lite.exporting import quality

    small = found.quantized()
    rows = quality.measure(job, (found.model, found.parameters), (small.model, small.parameters))
    if not config.accept_gap:
        quality.refuse(rows)
    sizes = (found.num_bytes, small.num_bytes)
    return small, quality.card(rows, job, step=found.step, sizes=sizes, accepted=config.accept_gap)


def _huggingface(path: pathlib.Path, found: Source, _: ExportConfig) -> None:
    huggingface.save(path, found.model, found.parameters, found.tokenizer)


def _checkpoint(path: pathlib.Path, found: Source, _: ExportConfig) -> None:
    folder.write_checkpoint(path, found)


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
