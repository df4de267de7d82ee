"""LoRA in the layout of Hugging Face's PEFT: adapter_config.json beside adapter_model.safetensors.

    save("peft", model, parameters, base="google/t5-v1_1-small")     # PEFT reads it
    model, parameters = load("peft", *huggingface.load("hf"))        # what PEFT wrote, read

Neither torch nor peft is needed. PEFT's A is ours transposed, [rank, in_dim]; so is its B. Heads of
encoders by themselves are new where LoRA is, so they travel whole beside it (`modules_to_save`).
"""

import dataclasses
import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import jax
import numpy as np
import safetensors.numpy
from etils import epath

from t5x_lite.checkpoints import safetensors_files
from t5x_lite.checkpoints.formats import names
from t5x_lite.checkpoints.formats.format import Format
from t5x_lite.checkpoints.formats.names import Names, Place
from t5x_lite.checkpoints.formats.t5 import T5
from t5x_lite.checkpoints.formats.table import FORMATS, detect, formats_of
from t5x_lite.checkpoints.formats.transforms import TRANSPOSED
from t5x_lite.checkpoints.formats.weights import Stored
from t5x_lite.checkpoints.safetensors_files import FLOATS
from t5x_lite.errors import UserError
from t5x_lite.finetuning import additions
from t5x_lite.finetuning.lora import merge
from t5x_lite.model import transformer
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import LoraConfig, ModelConfig
from t5x_lite.text_files import read_json_object

_CONFIG = "adapter_config.json"
_WEIGHTS = "adapter_model.safetensors"
_PREFIX = "base_model.model."
_PARTS = {"a": "lora_A", "b": "lora_B"}
# What PEFT calls the task of a model with this head; a head of tokens is pre-trained.
_TASKS = {
    HeadKind.CLASSES: "SEQ_CLS",
    HeadKind.REGRESSION: "SEQ_CLS",
    HeadKind.SPAN: "QUESTION_ANS",
}
# What LoRA here cannot say, and the values that say nothing.
_NOTHING: tuple[Any, ...] = (None, False, "none", {}, [])
_UNSUPPORTED = (
    "use_dora",
    "rank_pattern",
    "alpha_pattern",
    "bias",
    "lora_bias",
    "fan_in_fan_out",
)


def save(
    directory: epath.PathLike, model: ModelConfig, parameters: Mapping[str, Any], *, base: str
) -> None:
    """Writes the LoRA of a model, in the names of Hugging Face's model, and a head of classes, a
    number or spans.

    Args:
        base: the pre-trained model it belongs to, a name at Hugging Face or a directory, which of
            several formats that express the model says the right one.

    Raises:
        UserError: the model has no LoRA, or no format of Hugging Face's that keeps each kernel in a
            tensor of its own can express its plain model.
    """
    config = model.block.lora
    if config is None:
        raise UserError(
            "this model has no LoRA to save; PEFT's layout holds nothing else here. A whole model "
            "is written by checkpoints.huggingface.save."
        )
    able = [format for format, _ in formats_of(model.with_blocks(lora=None))]
    format = next((each for each in able if each is detect(base)), able[0])
    _check_kernels(format)
    added = jax.tree.map(lambda leaf: np.asarray(leaf, np.float32), _of_lora(parameters))
    heads = _of_heads(model, parameters)
    tensors = names.to_tensors(_names(format, added), added)
    tensors |= names.to_tensors(_names_of_heads(format, heads), heads)
    kinds = [head.kind for head in model.heads]
    values = {
        "peft_type": "LORA",
        "task_type": next(
            (task for kind, task in _TASKS.items() if kind in kinds),
            "SEQ_2_SEQ_LM" if model.decoder is not None else "FEATURE_EXTRACTION",
        ),
        "base_model_name_or_path": base,
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": config.dropout_rate,
        "target_modules": sorted(_modules(format, added)),
        "bias": "none",
        "fan_in_fan_out": False,
        "inference_mode": True,
        "use_rslora": False,
        "use_dora": False,
        "modules_to_save": sorted({_top(name) for name in tensors if ".lora_" not in name}) or None,
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
    NumPy float32. LoRA that the model has already is put into its kernels first; a head that stands
    beside LoRA takes the place of one that the model has.

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
    able = [format for format, _ in formats_of(model)]
    with safetensors_files.opened(folder / _WEIGHTS) as file:
        tensors = {name: Stored(file, name) for name in file.keys()}
        format = next((each for each in able if _has_modules(each, tensors)), able[0])
        _check_kernels(format)
        if wrong := [tensor for tensor in tensors.values() if tensor.dtype not in FLOATS]:
            raise UserError(
                f"{folder / _WEIGHTS}: {wrong[0].name} is {wrong[0].dtype}; needed is one of "
                f"{FLOATS}."
            )
        lora = _config(folder, format, values, tensors)
        model = _with_heads(model, format, tensors).with_blocks(lora=lora)
        shapes = transformer.abstract_parameters(model)
        wanted = _of_lora(shapes)
        if any(".lora_" not in name for name in tensors):
            wanted |= _of_heads(model, shapes)
        read = _read(folder, format, wanted, tensors)
    given = additions.without(parameters, names.paths(read))
    given = additions.without(given, names.paths(given) - names.paths(shapes))
    return model, additions.join(additions.join(shapes, read), given)


def _check_kernels(format: Format) -> None:
    """Refuses a format that joins kernels of ours to one, beside which they cannot have LoRA."""
    if not _has_kernels(format):
        able = ", ".join(each.name for each in FORMATS if _has_kernels(each))
        raise UserError(
            f"LoRA goes to PEFT's layout from {able}; given is {format.name}. "
            "finetuning.lora.merge puts it into the kernels, and huggingface.save writes them."
        )


def _has_kernels(format: Format) -> bool:
    """Whether each kernel of a layer is a tensor of its own."""
    kernels = [each for path, each in format.names.items() if _is_kernel(path)]
    return all(place.transform is TRANSPOSED for place in kernels)


def _is_kernel(path: str) -> bool:
    """Whether it is one of a layer."""
    return path.endswith("/kernel") and ("layers/" in path or "shared_layer/" in path)


def _with_heads(model: ModelConfig, format: Format, tensors: Mapping[str, Stored]) -> ModelConfig:
    """The model with the head that stands beside LoRA."""
    beside = [name.removeprefix(_PREFIX) for name in tensors if ".lora_" not in name]
    if not beside or model.decoder is not None:
        return model
    plain = dataclasses.replace(model, heads=())
    values, known = format.write_config(plain), format.tensors(plain)
    assert values is not None and known is not None, "without heads it is what it was"
    # Of layers of a head the last is the narrowest: a number for each class.
    count = min(tensors[f"{_PREFIX}{name}"].shape[0] for name in beside)
    found = format.read_config(values | {"num_labels": count, "id2label": None}, [*known, *beside])
    return dataclasses.replace(model, heads=found.heads, pooler=model.pooler)


def _config(
    folder: epath.Path, format: Format, values: Mapping[str, Any], tensors: Mapping[str, Stored]
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
        targets=_targets(folder, format, tensors),
        dropout_rate=float(dropout_rate),
    )


def _targets(folder: epath.Path, format: Format, tensors: Collection[str]) -> tuple[str, ...]:
    """Our names of the kernels that have LoRA."""
    patterns = _patterns(format)
    found, unknown = set(), set()
    for name in tensors:
        module, is_lora, _ = name.removeprefix(_PREFIX).partition(".lora_")
        if is_lora:
            fitting = [ours for pattern, ours in patterns.items() if pattern.fullmatch(module)]
            found.update(fitting)
            unknown.update([] if fitting else [module.rpartition(".")[2]])
    known = list(dict.fromkeys(patterns.values()))
    if unknown:
        raise UserError(
            f"{folder / _WEIGHTS} has LoRA of {', '.join(sorted(unknown))}; LoRA here is of the "
            f"kernels of {format.name} that are {', '.join(known)}."
        )
    return tuple(ours for ours in known if ours in found)


def _has_modules(format: Format, tensors: Collection[str]) -> bool:
    """Whether a tensor is LoRA of a module of the format's models."""
    modules = [name.removeprefix(_PREFIX).partition(".lora_")[0] for name in tensors]
    return any(pattern.fullmatch(each) for pattern in _patterns(format) for each in modules)


def _patterns(format: Format) -> dict[re.Pattern[str], str]:
    """Of the modules that have kernels of a layer, each with our name of the kernel."""
    return {
        re.compile(re.escape(module).replace(r"\{i\}", r"\d+")): ours
        for ours, module in _kernels(format)
    }


def _kernels(format: Format) -> Iterator[tuple[str, str]]:
    """Our name of each kernel in a layer, and their module that has it."""
    for path, place in format.names.items():
        if _is_kernel(path):
            yield path.split("/")[-2], place.name.removesuffix(".weight")


def _are_numbers(*values: object) -> bool:
    return all(type(value) in (int, float) for value in values)


def _read(
    folder: epath.Path, format: Format, wanted: Mapping[str, Any], tensors: Mapping[str, Stored]
) -> dict[str, Any]:
    """The parameters of LoRA and of heads, of which `wanted` says the shapes."""
    table = {**_names(format, _of_lora(wanted)), **_names_of_heads(format, wanted)}
    shapes = names.shapes(table, wanted)
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
    return jax.tree.map(np.asarray, names.lazy_tree(table, wanted, tensors))


def _of_lora(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a tree of parameters that is LoRA's."""
    found = {}
    for name, node in tree.items():
        if name == "lora":
            found[name] = node
        elif isinstance(node, Mapping) and (below := _of_lora(node)):
            found[name] = below
    return found


def _of_heads(model: ModelConfig, tree: Mapping[str, Any]) -> dict[str, Any]:
    """The heads that are not pre-trained."""
    kinds = [head.kind.value for head in model.heads if head.kind in _TASKS]
    return {"heads": {kind: tree["heads"][kind] for kind in kinds}} if kinds else {}


def _names(format: Format, lora: Mapping[str, Any]) -> Names:
    """Where PEFT keeps each of them: encoder/layers/attention/query/lora/a beside its kernel."""
    return {path: _place_of_lora(format, path) for path in names.paths(lora)}


def _place_of_lora(format: Format, path: str) -> Place:
    module, _, part = path.rpartition("/lora/")
    kernel = format.names[f"{module}/kernel"].name.removesuffix(".weight")
    return Place(f"{_PREFIX}{kernel}.{_PARTS[part]}.weight", TRANSPOSED)


def _names_of_heads(format: Format, tree: Mapping[str, Any]) -> Names:
    """As in a whole model, with PEFT's prefix."""
    own = {path: format.names[path] for path in names.paths(tree) if path.startswith("heads/")}
    return {path: Place(f"{_PREFIX}{each.name}", each.transform) for path, each in own.items()}


def _modules(format: Format, lora: Mapping[str, Any]) -> set[str]:
    """What has LoRA: T5's modules by their last names, as is usual, others by all of it, since an
    encoder's last names are those of several.
    """
    tensors = names.shapes(_names(format, lora), lora)
    modules = {name.removeprefix(_PREFIX).partition(".lora_")[0] for name in tensors}
    return {name.rpartition(".")[2] for name in modules} if format is T5 else modules


def _top(tensor: str) -> str:
    return tensor.removeprefix(_PREFIX).partition(".")[0]
