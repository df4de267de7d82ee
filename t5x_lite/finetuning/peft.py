"""LoRA in the layout of Hugging Face's PEFT: adapter_config.json beside adapter_model.safetensors.

    save("peft", model, parameters, base="google/t5-v1_1-small")     # PEFT reads it
    model, parameters = load("peft", *huggingface.load("hf"))        # what PEFT wrote, read

Neither torch nor peft is needed. PEFT's A is ours transposed, [rank, in_dim]; so is its B.
"""

import json
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from etils import epath

from t5x_lite.checkpoints import safetensors_files
from t5x_lite.checkpoints.formats import names
from t5x_lite.checkpoints.formats.names import Names, Place
from t5x_lite.checkpoints.formats.t5 import T5
from t5x_lite.checkpoints.formats.table import format_of
from t5x_lite.checkpoints.formats.transforms import TRANSPOSED
from t5x_lite.checkpoints.formats.weights import Stored
from t5x_lite.checkpoints.safetensors_files import FLOATS
from t5x_lite.errors import UserError
from t5x_lite.finetuning import additions
from t5x_lite.finetuning.lora import merge
from t5x_lite.model import transformer
from t5x_lite.model.config import LoraConfig, ModelConfig
from t5x_lite.text_files import read_json_object

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_PARTS = {"a": "lora_A", "b": "lora_B"}
# Their modules, ours.
_MODULES = {"q": "query", "k": "key", "v": "value", "o": "out"} | {
    name: name for name in ("wi", "wi_0", "wi_1", "wo")
}
# What LoRA here cannot say, and the values that say nothing.
_NOTHING: tuple[Any, ...] = (None, False, "none", {}, [])
_UNSUPPORTED = (
    "use_dora",
    "modules_to_save",
    "rank_pattern",
    "alpha_pattern",
    "bias",
    "lora_bias",
    "fan_in_fan_out",
)


def save(
    directory: epath.PathLike, model: ModelConfig, parameters: Mapping[str, Any], *, base: str
) -> None:
    """Writes the LoRA of a model, in the names of Hugging Face's T5.

    Args:
        base: the pre-trained model it belongs to, a name at Hugging Face or a directory.

    Raises:
        UserError: the model has no LoRA, or Hugging Face's T5 cannot express its plain model.
    """
    config = model.decoder.block.lora
    if config is None:
        raise UserError(
            "this model has no LoRA to save; PEFT's layout holds nothing else here. A whole model "
            "is written by checkpoints.huggingface.save."
        )
    format, _ = format_of(model.with_blocks(lora=None))
    if format is not T5:
        raise UserError(
            f"LoRA goes to PEFT's layout from {T5.name} only; given is {format.name}. "
            "finetuning.lora.merge puts it into the kernels, and huggingface.save writes them."
        )
    lora = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), _of_lora(parameters))
    tensors = names.to_tensors(_names(lora), lora)
    theirs = {ours: name for name, ours in _MODULES.items()}
    values = {
        "peft_type": "LORA",
        "task_type": "SEQ_2_SEQ_LM",
        "base_model_name_or_path": base,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout_rate,
        "target_modules": sorted(theirs[name] for name in config.targets),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": None,
    }
    folder = epath.Path(directory)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _CONFIG).write_text(json.dumps(values, indent=2) + "\n")
    written = safetensors.numpy.save(tensors, metadata={"format": "pt"})
    (folder / _WEIGHTS).write_bytes(written)


def load(
    directory: epath.PathLike, model: ModelConfig, parameters: Mapping[str, Any]
) -> tuple[ModelConfig, dict[str, Any]]:
    """The model with the LoRA of a directory, and its parameters: the given ones and those of LoRA,
    NumPy float32. LoRA that the model has already is put into its kernels first.

    Raises:
        FileNotFoundError: a file is absent.
        UserError: it is no LoRA, says more than LoRA here can, or does not fit the model.
    """
    folder = epath.Path(directory)
    for name in (_CONFIG, _WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} lacks {name}; needed is a directory as PEFT's save_pretrained writes it "
                "(with safe_serialization)."
            )
    values = read_json_object(folder / _CONFIG)
    model, parameters = merge(model, parameters)
    with safetensors_files.opened(folder / _WEIGHTS) as file:
        tensors = {name: Stored(file, name) for name in file.keys()}
        if wrong := [tensor for tensor in tensors.values() if tensor.dtype not in FLOATS]:
            raise UserError(
                f"{folder / _WEIGHTS}: {wrong[0].name} is {wrong[0].dtype}; needed is one of "
                f"{FLOATS}."
            )
        model = model.with_blocks(lora=_config(folder, values, tensors))
        shapes = transformer.abstract_parameters(model)
        lora = _read(folder, _of_lora(shapes), tensors)
    return model, additions.join(additions.join(shapes, lora), parameters)


def _config(
    folder: epath.Path, values: Mapping[str, Any], tensors: Mapping[str, Stored]
) -> LoraConfig:
    if values.get("peft_type") != "LORA":
        raise UserError(
            f"{folder / _CONFIG} has peft_type={values.get('peft_type')!r}; needed is 'LORA'."
        )
    if more := [
        f"{name}={values[name]!r}" for name in _UNSUPPORTED if values.get(name) not in _NOTHING
    ]:
        raise UserError(
            f"{folder / _CONFIG} has {', '.join(more)}, which LoRA here does not know. PEFT's "
            "merge_and_unload gives a model of plain kernels, which is read as a Hugging Face one."
        )
    modules = {(["", "", *name.split(".")])[-3] for name in tensors}
    if unknown := modules - set(_MODULES):
        raise UserError(
            f"{folder / _WEIGHTS} has LoRA of {', '.join(sorted(unknown))}; LoRA here is of "
            f"{', '.join(_MODULES)}."
        )
    rank: Any = values.get("r")
    alpha: Any = values.get("lora_alpha")
    dropout_rate = values.get("lora_dropout", 0.0)
    if type(rank) is not int or rank < 1 or not _are_numbers(alpha, dropout_rate):
        raise UserError(
            f"{folder / _CONFIG} has r={rank!r}, lora_alpha={alpha!r}, lora_dropout="
            f"{dropout_rate!r}; needed are a rank from 1 on and numbers."
        )
    return LoraConfig(
        rank=rank,
        # Rank-stabilized LoRA divides by the root of the rank.
        alpha=alpha * rank**0.5 if values.get("use_rslora") else alpha,
        targets=tuple(ours for name, ours in _MODULES.items() if name in modules),
        dropout_rate=float(dropout_rate),
    )


def _are_numbers(*values: object) -> bool:
    return all(type(value) in (int, float) for value in values)


def _read(
    folder: epath.Path, wanted: Mapping[str, Any], tensors: Mapping[str, Stored]
) -> dict[str, Any]:
    """The parameters of LoRA, of which `wanted` says the shapes."""
    shapes = names.shapes(_names(wanted), wanted)
    wrong = [f"missing: {name}, needed {shapes[name]}" for name in shapes.keys() - tensors.keys()]
    wrong += [f"left over: {name}" for name in tensors.keys() - shapes.keys()]
    wrong += [
        f"shape: {name}, needed {shapes[name]}, found {tensors[name].shape}"
        for name in shapes.keys() & tensors.keys()
        if tensors[name].shape != shapes[name]
    ]
    if wrong:
        listed = "\n".join(f"  {line}" for line in sorted(wrong)[:8])
        raise UserError(
            f"{folder} does not fit the model ({len(wrong)} tensors):\n{listed}\nNeeded is LoRA of "
            "the same kernels in every layer of this very model."
        )
    return jax.tree.map(np.asarray, names.lazy_tree(_names(wanted), wanted, tensors))


def _of_lora(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a tree of parameters that is LoRA's."""
    found = {}
    for name, node in tree.items():
        if name == "lora":
            found[name] = node
        elif isinstance(node, Mapping) and (below := _of_lora(node)):
            found[name] = below
    return found


def _names(lora: Mapping[str, Any]) -> Names:
    """Where PEFT keeps each of them: encoder/layers/attention/query/lora/a beside its kernel."""
    return {path: Place(_peft_name(path), TRANSPOSED) for path in names.paths(lora)}


def _peft_name(path: str) -> str:
    module, _, part = path.rpartition("/lora/")
    kernel = T5.names[f"{module}/kernel"].name.removesuffix(".weight")
    return f"{_PREFIX}{kernel}.{_PARTS[part]}.weight"
