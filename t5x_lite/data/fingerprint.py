"""What decides the order of examples, as a JSON value that two runs can be compared by."""

import dataclasses
import importlib.metadata
from collections.abc import Mapping
from typing import Any

import seqio

from t5x_lite.data import streams
from t5x_lite.data.config import DatasetConfig
from t5x_lite.features.config import SpecialTokens
from t5x_lite.features.layouts import ModelFeatures
from t5x_lite.text.seqio_vocabulary import describe


def fingerprint(config: DatasetConfig, features: ModelFeatures, num_shards: int) -> dict[str, Any]:
    """The job's own settings, and of each task what it reads, as what, and how often."""
    loss_on_targets_only = config.loss_on_targets_only
    if loss_on_targets_only is None:
        loss_on_targets_only = features.row.loss_on_targets_only
    fields: dict[str, Any] = {
        "mixture_or_task_name": config.mixture_or_task_name,
        "split": config.split,
        "seed": config.seed,
        "task_feature_lengths": dict(config.task_feature_lengths or {}),
        "batch_size": config.batch_size,
        "pack": config.pack,
        "shuffle": config.shuffle,
        "num_data_shards": num_shards,
        "layout": features.layout.value,
        "loss_on_targets_only": loss_on_targets_only,
    }
    if config.batch_ramp is not None:
        fields["batch_ramp"] = dataclasses.asdict(config.batch_ramp)
    if config.prompt_length:
        fields["prompt_length"] = config.prompt_length
    if config.few_shot.k:
        fields["few_shot"] = dataclasses.asdict(config.few_shot)
    # Fingerprints of T5's are older than this field.
    if (special := features.special) != SpecialTokens():
        fields["special_tokens"] = {"padding": special.padding, "start": special.start}
    provider = seqio.get_mixture_or_task(config.mixture_or_task_name)
    for task in streams.tasks_with_split(provider, config.split):
        cached = streams.reads_cache(task, config.use_cached, config.split)
        fields[f"task {task.name}"] = {
            "reads": "its cache" if cached else "its source",
            "files": len(streams.source_of(task, config)[0].list_shards(config.split)),
            "rate": 1.0 if provider is task else float(provider.get_rate(task)),
            "vocabularies": {
                name: describe(feature.vocabulary) for name, feature in task.output_features.items()
            },
        }
    return fields


def differences(
    stored: Mapping[str, Any], now: Mapping[str, Any], *, where: str = "in the checkpoint"
) -> list[str]:
    """One line for each field that differs, nested ones by their path; `where` they are stored."""
    lines = []
    for name in sorted(stored.keys() | now.keys()):
        before, after = stored.get(name), now.get(name)
        if before == after:
            continue
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            lines += [f"{name}.{line}" for line in differences(before, after, where=where)]
        else:
            lines.append(f"{name}: {_show(before)} {where}, {_show(after)} now")
    return lines


def versions() -> dict[str, str]:
    """The packages whose other versions may read, shuffle or save differently."""
    return {name: importlib.metadata.version(name) for name in ("seqio", "tensorflow")}


def _show(value: object) -> str:
    return "nothing" if value is None else repr(value)
