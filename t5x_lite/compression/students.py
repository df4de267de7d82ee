"""A student that begins as some layers of a trained model.

model, parameters = make(StudentConfig(encoder_layers=(1, 3, 5)), model, parameters)
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from t5x_lite.compression.distillation_config import StudentConfig
from t5x_lite.errors import UserError
from t5x_lite.model.config import (
    LearnedPositionsConfig,
    ModelConfig,
    Sharing,
    StackConfig,
)

Parameters = dict[str, Any]


def make(
    config: StudentConfig, model: ModelConfig, parameters: Parameters
) -> tuple[ModelConfig, Parameters]:
    """The student and its parameters, of those of the model on the host.

    Raises:
        UserError: the model has no such layers or parts.
    """
    chosen = _chosen(config, model)
    model = model.with_stacks(
        lambda name, stack: _shortened(stack, len(chosen[name])) if name in chosen else stack
    )
    parameters = {
        name: _taken(chosen[name], part) if name in chosen else part
        for name, part in parameters.items()
    }
    if "token_types" in config.without:
        model, parameters = _without_types(model, parameters)
    if "pooler" in config.without:
        model, parameters = _without_pooler(model, parameters)
    return model, parameters


def _chosen(config: StudentConfig, model: ModelConfig) -> dict[str, tuple[int, ...]]:
    """The layers of stacks of which not all are taken; stacks that share theirs have the same."""
    given = {"encoder": config.encoder_layers, "decoder": config.decoder_layers}
    chosen = {name: layers for name, layers in given.items() if layers}
    if chosen and model.sharing is Sharing.ENCODER_DECODER:
        layers, *others = set(chosen.values())
        if others:
            raise UserError(
                f"encoder_layers={_listed(config.encoder_layers)} and decoder_layers="
                f"{_listed(config.decoder_layers)} of a model whose stacks share theirs: needed "
                "are the same, or one of the two."
            )
        chosen = dict.fromkeys(model.stacks, layers)
    for name, layers in chosen.items():
        _check(name, layers, model)
    return chosen


def _check(name: str, layers: Sequence[int], model: ModelConfig) -> None:
    stack = model.stacks.get(name)
    if stack is None:
        raise UserError(
            f"{name}_layers={_listed(layers)} of a model without {name}: needed are layers of its "
            f"{' and '.join(model.stacks)}."
        )
    if max(layers) > stack.depth:
        raise UserError(
            f"{name}_layers={_listed(layers)} of a model whose {name} has {stack.depth} layers: "
            f"needed are layers from 1 to {stack.depth}: --{name}_layers="
            f"{_listed(range(1, stack.depth + 1, 2))}"
        )
    every = stack.window_every
    if stack.window is not None and any((layer - 1 - n) % every for n, layer in enumerate(layers)):
        raise UserError(
            f"{name}_layers={_listed(layers)} of a model whose layers see {stack.window} tokens in "
            f"every {every}. layer alone: needed are layers that keep their turns, each a multiple "
            f"of {every} away from where it was."
        )


def _shortened(stack: StackConfig, num_layers: int) -> StackConfig:
    return dataclasses.replace(stack, num_layers=num_layers, layers_divisor=1)


def _taken(layers: Sequence[int], stack: Parameters) -> Parameters:
    """A stack with these layers; where all layers are one, it has none of their own."""
    indices = np.asarray(layers) - 1
    own = stack.get("layers", {})
    taken = jax.tree.map(lambda leaf: leaf[indices], own)
    return {**stack, "layers": taken} if own else stack


def _without_types(model: ModelConfig, parameters: Parameters) -> tuple[ModelConfig, Parameters]:
    encoder = model.encoder
    if encoder is None or not encoder.token_types:
        raise UserError("--without=token_types of a model that has none: leave it out.")
    if not isinstance(encoder.positions, LearnedPositionsConfig):
        raise UserError(
            f"--without=token_types with positions={encoder.positions}: needed are learned ones, "
            "which hold the vector of the first type from then on."
        )
    own = dict(parameters["encoder"])
    first = own.pop("type_embedder")["embedding"][:1]
    own["position_embedder"] = {"embedding": own["position_embedder"]["embedding"] + first}
    encoder = dataclasses.replace(encoder, token_types=0)
    return dataclasses.replace(model, encoder=encoder), {**parameters, "encoder": own}


def _without_pooler(model: ModelConfig, parameters: Parameters) -> tuple[ModelConfig, Parameters]:
    if not model.pooler:
        raise UserError("--without=pooler of a model that has none: leave it out.")
    heads = tuple(head for head in model.heads if not head.pooled)
    kept = {head.kind.value for head in heads}
    rest = {name: each for name, each in parameters.items() if name not in ("pooler", "heads")}
    own = {name: each for name, each in parameters.get("heads", {}).items() if name in kept}
    if own:
        rest["heads"] = own
    return dataclasses.replace(model, heads=heads, pooler=False), rest


def _listed(layers: Sequence[int]) -> str:
    return ",".join(map(str, layers))
