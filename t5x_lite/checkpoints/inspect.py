"""A checkpoint in words and tables, from its small files: no tensor is read."""

import datetime
import math
import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax.numpy as jnp
from etils import epath

from t5x_lite import gin_text
from t5x_lite.checkpoints import folders, manifest, pretrained, restoring
from t5x_lite.checkpoints import scores as scores_log
from t5x_lite.checkpoints.description import Description
from t5x_lite.checkpoints.formats.table import detect
from t5x_lite.checkpoints.pretrained import Pretrained
from t5x_lite.display.terminal import aligned, shown_size
from t5x_lite.model import transformer
from t5x_lite.model.choices import HeadKind, Weights
from t5x_lite.model.config import LayerSharing, ModelConfig, Sharing, StackConfig, Visibility

_SHARD = re.compile(r"(\d+)[-_]of[-_](\d+)")
_LAYER = re.compile(r"layers_\d+")


def is_inspectable(path: str) -> bool:
    """Whether a path is a checkpoint, a directory that holds some, or a Hugging Face directory."""
    directory = folders.absolute(path)
    return directory.is_dir() and (
        folders.is_checkpoint_name(directory)
        or bool(folders.steps(directory))
        or detect(directory) is not None
    )


def inspect_checkpoint(path: epath.PathLike) -> str:
    """Step, date, model, leaves, slots, data position, tokenizer, scores and gin macros.

    Raises:
        FileNotFoundError, ValueError: as `pretrained.describe`.
    """
    found = pretrained.describe(path)
    facts = [str(found.path), *_facts(found)]
    sections = ["\n  ".join(facts)]
    if found.description is None:
        return sections[0]
    stored = restoring.leaves(restoring.metadata(found.path))
    sections.append(_leaves_table(stored))
    macros = gin_text.macros(found.description.operative_config)
    if macros:
        lines = [f"{name} = {value}" for name, value in macros.items()]
        sections.append("\n  ".join(["the macros of its run", *lines]))
    return "\n\n".join(sections)


def in_words(model: ModelConfig) -> str:
    """What a model is, on one line."""
    block = model.block
    layers = " + ".join(f"{stack.depth}" for stack in model.stacks.values())
    width = f"embed {model.embed_dim}"
    if model.token_dim is not None:
        width += f" from tokens of {model.token_dim}"
    tellers = (_streams, _sharings, _top, _windows, _added, _bits)
    parts = [part for tell in tellers for part in tell(model)]
    return (
        f"{_kind(model)}, {layers} layers, {width}, {_heads(model.top)}, mlp {block.mlp.mlp_dim} "
        f"({' x '.join(block.mlp.activations)}), vocabulary {model.vocab_size:,}"
        f"{''.join(f', {part}' for part in parts)}: "
        f"{transformer.num_parameters(model):,} parameters"
    )


def _kind(model: ModelConfig) -> str:
    if model.decoder is None:
        return "encoder"
    if model.encoder is None:
        return "prefix LM" if model.decoder.visibility is Visibility.PREFIX else "LM"
    if model.denoises:
        return "denoising encoder-decoder"
    if model.sharing is Sharing.ENCODER_DECODER:
        return "encoder-decoder with shared weights"
    return "encoder-decoder"


def _top(model: ModelConfig) -> Iterable[str]:
    """What reads hidden states."""
    if model.pooler:
        yield "a pooler"
    for head in model.heads:
        if head.kind is not HeadKind.TOKENS:
            classes = f" ({head.num_classes})" if head.kind is HeadKind.CLASSES else ""
            yield f"a head of {head.kind.value}{classes}"
        elif model.head_is_separate:
            yield "a head of its own"
        else:
            yield "a head tied to the embedding"


def _streams(model: ModelConfig) -> Iterable[str]:
    for name, stack in model.stacks.items():
        if stack.two_streams:
            yield f"two streams in the {name}"


def _sharings(model: ModelConfig) -> Iterable[str]:
    for name, stack in model.stacks.items():
        if stack.layer_sharing is not LayerSharing.NONE:
            yield f"layers of the {name} share {stack.layer_sharing.value}"


def _windows(model: ModelConfig) -> Iterable[str]:
    for name, stack in model.stacks.items():
        if stack.window is not None:
            of = "" if stack.window_every == 1 else f"every {stack.window_every} layers of "
            yield f"a window of {stack.window} in {of}the {name}"


def _added(model: ModelConfig) -> Iterable[str]:
    """What fine-tuning added to it."""
    block = model.block
    if block.adapter_dim is not None:
        yield f"adapters of {block.adapter_dim}"
    if block.lora is not None:
        yield f"LoRA of rank {block.lora.rank} ({', '.join(block.lora.targets)})"
    if model.prompt_length:
        yield f"a prompt of {model.prompt_length}"
    if (own := model.recurrence) is not None:
        yield f"windows of {own.window} with {own.num_memories} memories of the one before"


def _bits(model: ModelConfig) -> Iterable[str]:
    """How few bits are multiplied and held."""
    rounded = model.quantization
    if rounded is not None:
        kept = f", but for {', '.join(rounded.float_kernels)}" if rounded.float_kernels else ""
        yield f"products of 8 bits with a scale for each {rounded.granularity.value}{kept}"
    if model.weights is not Weights.FLOAT32:
        yield f"weights in {model.weights.value}"


def _heads(stack: StackConfig) -> str:
    attention = stack.block.attention
    return f"{attention.num_heads} heads of {attention.head_dim}"


def _facts(found: Pretrained) -> Iterable[str]:
    if found.description is None:
        assert found.format is not None, "a path is one or the other"
        yield f"a Hugging Face directory of a {found.format.name}"
        yield f"model: {in_words(found.model)}"
        return
    checkpoint = found.path
    written = manifest.read(checkpoint)
    date = datetime.datetime.fromtimestamp(written["saved_at"], datetime.UTC)
    yield (
        f"step {found.step:,}, saved {date:%Y-%m-%d %H:%M} UTC, "
        f"{shown_size(written['num_bytes'])} in {len(written['files'])} files, "
        "none missing or of another size"
    )
    yield f"model: {in_words(found.model)}"
    yield f"run: began at step {found.description.initial_step:,}{_taught(found.description)}"
    yield f"data position: {_position(found)}"
    names = [] if found.vocabulary is None else [path.name for path in found.vocabulary.iterdir()]
    yield f"vocabulary: {', '.join(sorted(names)) or 'none is stored'}"
    scores = scores_log.read(checkpoint.parent).get(found.step, {})
    values = [f"{name} {value:.4g}" for name, value in sorted(scores.items())]
    yield f"scores: {', '.join(values) or 'none are recorded'}"
    pinned = (checkpoint / folders.PINNED).exists()
    hint = "yes" if pinned else f"no (a file {folders.PINNED} in its folder keeps it for good)"
    yield f"pinned: {hint}"


def _taught(description: Description) -> str:
    """By whom the run was, if it was."""
    given = gin_text.statements(description.operative_config)
    path = given.get("TrainConfig.teacher_path", "None")
    while path.startswith("%"):  # a macro, which may be another one
        path = given.get(path[1:], "None")
    return "" if path == "None" else f", taught by {path}"


def _position(found: Pretrained) -> str:
    folder = found.path / "dataset"
    if found.description is None or not folder.is_dir():
        return "none is stored: the data begins anew, or is replayed"
    files = manifest.files_below(folder)
    shards = {match.groups() for path in files if (match := _SHARD.search(path.name))}
    count, kind = (len(shards), "shard") if shards else (len(files), "file")
    in_shards = f"{count} {kind}{'' if count == 1 else 's'}"
    num_bytes = sum(path.stat().length for path in files)
    batches = found.step - found.description.initial_step
    return f"behind batch {batches:,}, {shown_size(num_bytes)} in {in_shards}"


def _leaves_table(stored: Mapping[str, Any]) -> str:
    """Parameters one by one, of layers stored one by one a line for all; slots by their kind."""
    rows = [("leaf", "shape", "dtype", "bytes")]
    groups: dict[str, list[Any]] = {}
    slots: dict[str, list[Any]] = {}
    for name, leaf in stored.items():
        part, _, rest = name.partition("/")
        if part == "optimizer_state":
            slots.setdefault(f"optimizer slots: {rest.rpartition('/')[2]}", []).append(leaf)
        else:
            shown = rest if part == "parameters" else name
            groups.setdefault(_LAYER.sub("layers_*", shown), []).append(leaf)
    for name, leaves in (groups | slots).items():
        same_shape = len({tuple(leaf.shape) for leaf in leaves}) == 1
        shape = " x ".join(map(str, leaves[0].shape)) if same_shape else ""
        if len(leaves) > 1:
            shape = f"{len(leaves)} of {shape}" if shape else f"{len(leaves)} leaves"
        dtypes = ", ".join(sorted({str(jnp.dtype(leaf.dtype)) for leaf in leaves}))
        rows.append((name, shape, dtypes, f"{sum(map(_bytes, leaves)):,}"))
    rows.append(("all", "", "", f"{sum(map(_bytes, stored.values())):,}"))
    return aligned(rows, numbers_from=3)


def _bytes(leaf: Any) -> int:
    return math.prod(leaf.shape) * jnp.dtype(leaf.dtype).itemsize
