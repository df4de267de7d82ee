"""What a checkpoint says of the run that wrote it, and whether its model is the one of a job."""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from etils import epath

from t5x_lite import storage
from t5x_lite.bounds import MAX_COUNT, check_bounds
from t5x_lite.checkpoints import codec, folders
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.errors import UserError
from t5x_lite.features.layouts import Layout
from t5x_lite.model.choices import HeadKind, Weights
from t5x_lite.model.config import ModelConfig
from t5x_lite.text_files import read_json_object

_FILE = "metadata"  # where Orbax's JsonCheckpointHandler looks
_SHOWN = 5
# How the same numbers begin, are computed, disturbed or asked: no checkpoint has to agree.
_NOT_OF_THE_PARAMETERS = (
    "compute.",
    "dropout_rate",
    "dropout_shared_along_length",
    "init.",
    "prompts.",
    "quantization.decay",
)


@dataclasses.dataclass(frozen=True)
class Description:
    """The gin text that made a run, the step its initial checkpoint brought along (0 from scratch),
    from which relative steps are counted, its ModelConfig as JSON, and facts about its data.
    """

    operative_config: str
    initial_step: int = 0
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    dataset: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        check_bounds(self, initial_step=(0, MAX_COUNT))


def describe_run(
    operative_config: str,
    model: ModelConfig,
    *,
    initial_step: int = 0,
    dataset: Mapping[str, Any] | None = None,
) -> Description:
    """The description of a run that trains this model."""
    return Description(operative_config, initial_step, codec.to_json(model), dict(dataset or {}))


def write(checkpoint: epath.Path, description: Description) -> epath.Path:
    """Writes it into a checkpoint's folder."""
    folder = checkpoint / folders.CONFIG
    storage.make_folder(folder)
    (folder / _FILE).write_text(json.dumps(dataclasses.asdict(description)))
    return folder / _FILE


def read(checkpoint: epath.Path) -> Description:
    """What a checkpoint says of the run that wrote it.

    Raises:
        OSError: it cannot be read.
        UserError: it is no description, or one of a version that says more.
    """
    path = checkpoint / folders.CONFIG / _FILE
    return codec.from_json(Description, read_json_object(path), str(path))


def model_of(checkpoint: epath.Path) -> ModelConfig:
    """The model whose parameters a checkpoint holds.

    Raises:
        UserError: it does not say, or says what this version does not understand.
    """
    stored = read(checkpoint).model
    if not stored:
        raise UserError(
            f"the checkpoint {checkpoint} does not say which model it holds; give the gin file of "
            "its model, such as --gin_file=models/t5_1_1/small.gin."
        )
    return codec.from_json(ModelConfig, stored, f"the model of {checkpoint}")


def check_model(job: ModelConfig, stored: ModelConfig, whence: epath.PathLike) -> None:
    """Refuses a job whose model is not that of the checkpoint it reads.

    Raises:
        ModelMismatchError: at most five of the fields that differ, with both values.
    """
    differing = differences(job, stored)
    if not differing:
        return
    lines = [
        f"  {name}: {ours} in the job, {theirs} in the checkpoint"
        for name, ours, theirs in differing[:_SHOWN]
    ]
    if len(differing) > _SHOWN:
        lines.append(f"  ... and {len(differing) - _SHOWN} more")
    raise ModelMismatchError(
        f"the model of this job is not the one in {whence}:\n" + "\n".join(lines),
        codec.to_json(stored),
    )


def check_initial(job: ModelConfig, stored: ModelConfig, whence: epath.PathLike) -> None:
    """Refuses a job that cannot start from a checkpoint: its model may differ in nothing but what
    `foundation` allows, and what was rounded for inference cannot be trained.

    Raises:
        ModelMismatchError: as `check_model`.
        UserError: its weights are int8.
    """
    if stored.weights is not Weights.FLOAT32:
        raise UserError(
            f"the weights in {whence} are {stored.weights.value}, rounded for inference, and "
            f"training needs {job.weights.value}: start from the checkpoint that it was exported "
            "from: --gin.INITIAL_CHECKPOINT_PATH=..."
        )
    check_model(foundation(job, stored), as_read(stored, job), whence)


def foundation(job: ModelConfig, stored: ModelConfig) -> ModelConfig:
    """The part of a job's model that its initial checkpoint has to hold. What fine-tuning adds
    (adapters) a checkpoint of a pre-trained model may lack, and an encoder by itself may have other
    heads there, and a generator, a model that writes others beside its head of tokens: what it
    lacks begins anew, what is left over is left. So do projections to another width.
    """
    stored = as_read(stored, job)
    kept = stored.kept
    model = job.plain if kept == kept.plain else job
    model = dataclasses.replace(model, projections=stored.projections)
    if Layout.ENCODER in (model.layout, stored.layout) and model.layout is not stored.layout:
        return model
    if model.layout is Layout.ENCODER:
        return dataclasses.replace(model, heads=stored.heads, pooler=stored.pooler)
    own = [head for head in model.heads if head.kind is HeadKind.TOKENS]
    others = [head for head in stored.heads if head.kind is not HeadKind.TOKENS]
    return dataclasses.replace(model, heads=(*own, *others))


def as_read(stored: ModelConfig, job: ModelConfig | None) -> ModelConfig:
    """What a job reads of a stored model: neither a generator nor projections, unless it trains
    some.
    """
    if job is None:
        return stored.kept
    generator = None if job.generator is None else stored.generator
    projections = None if job.projections is None else stored.projections
    return dataclasses.replace(stored, generator=generator, projections=projections)


def differences(ours: ModelConfig, theirs: ModelConfig) -> list[tuple[str, Any, Any]]:
    """Fields that matter to parameters or logits and differ: name, our value, their value."""
    one, other = _flat(codec.to_json(ours)), _flat(codec.to_json(theirs))
    return [
        (name, one.get(name), other.get(name))
        for name in dict.fromkeys([*one, *other])
        if one.get(name) != other.get(name) and not name.startswith(_NOT_OF_THE_PARAMETERS)
    ]


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if name == "layers_divisor":
            continue  # 24 layers by 2 are 12
        if name == "num_layers" and "layers_divisor" in values:
            value //= values["layers_divisor"]
        flat |= (
            _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
        )
    return flat
