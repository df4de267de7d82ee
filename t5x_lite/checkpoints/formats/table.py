"""The foreign formats that there are, and which of them a directory or a model has."""

from collections.abc import Collection
from typing import Any

from etils import epath

from t5x_lite.checkpoints.description import differences
from t5x_lite.checkpoints.formats.albert import ALBERT
from t5x_lite.checkpoints.formats.bert import BERT
from t5x_lite.checkpoints.formats.distilbert import DISTILBERT
from t5x_lite.checkpoints.formats.electra import ELECTRA
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.gpt2 import GPT2
from t5x_lite.checkpoints.formats.roberta import ROBERTA
from t5x_lite.checkpoints.formats.t5 import T5
from t5x_lite.checkpoints.formats.xlnet import XLNET
from t5x_lite.errors import UserError
from t5x_lite.model.config import ModelConfig
from t5x_lite.text_files import read_json_object

CONFIG = "config.json"
FORMATS = (T5, GPT2, BERT, ROBERTA, DISTILBERT, ALBERT, ELECTRA, XLNET)


def detect(directory: epath.PathLike) -> Format | None:
    """The format of a directory, by the model_type of its config.json; None if it has no such file,
    as no checkpoint of ours has.

    Raises:
        UserError: the file is damaged, or of a model that no format here knows.
    """
    path = epath.Path(directory) / CONFIG
    if not path.is_file():
        return None
    family = read_json_object(path).get("model_type")
    for format in FORMATS:
        if family in format.model_types:
            return format
    known = ", ".join(name for format in FORMATS for name in format.model_types)
    raise UserError(
        f"{path} has model_type={family!r}; needed is one of {known} (ByT5, Flan-T5 and T5 v1.1 "
        "are t5): other architectures are not read."
    )


def format_of(model: ModelConfig) -> tuple[Format, dict[str, Any]]:
    """The format that expresses a model, and the values of its config.json.

    Raises:
        UserError: none does; the message says what each of them needs.
    """
    return formats_of(model)[0]


def formats_of(model: ModelConfig) -> list[tuple[Format, dict[str, Any]]]:
    """All formats that express a model, as several do of an encoder without its head.

    Raises:
        UserError: none does; the message says what each of them needs.
    """
    if model != model.plain:
        raise UserError(
            "Hugging Face's formats have no place for what fine-tuning added to this model: "
            f"{_added(model)}; needed is a model without."
        )
    found = []
    for format in FORMATS:
        values, tensors = format.write_config(model), format.tensors(model)
        # What reading does not give back, the format cannot say.
        if values is not None and tensors is not None and _says(format, values, tensors, model):
            found.append((format, values))
    if not found:
        needed = "; ".join(f"for {format.name} {format.scope}" for format in FORMATS)
        raise UserError(
            f"Hugging Face's formats cannot express this model: needed are {needed}; given {model}."
        )
    return found


def _says(
    format: Format, values: dict[str, Any], tensors: Collection[str], model: ModelConfig
) -> bool:
    try:
        return not differences(model, format.read_config(values, tensors))
    except UserError:  # of what no model of the format can be
        return False


def _added(model: ModelConfig) -> str:
    block = model.block
    parts = {
        f"adapters (adapter_dim={block.adapter_dim})": block.adapter_dim is not None,
        "LoRA (finetuning.lora.merge puts it into the kernels, finetuning.peft.save writes it as "
        "PEFT does)": block.lora is not None,
        f"a prompt (prompt_length={model.prompt_length})": model.prompt_length > 0,
        "a memory between windows (recurrence)": model.recurrence is not None,
    }
    return ", ".join(name for name, is_there in parts.items() if is_there)
