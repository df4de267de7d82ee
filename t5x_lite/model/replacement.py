"""A generator beside a model that learns to tell which tokens it replaced (Clark et al. 2020).

    targets         [CLS] the  chef  cooked the meal [SEP]
    inputs          [CLS] the [MASK] cooked the [MASK] [SEP]   read by the generator
    what it draws               chef              food
    read by the model, [CLS] the chef cooked the food [SEP]    of which food alone is replaced

The generator is a model of its own. What both have in common stands in the model's parameters, all
else under `generator/` beside them; the model is what is kept.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray, Shaped

from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Scores
from t5x_lite.model import draws
from t5x_lite.model.config import HeadConfig, ModelConfig
from t5x_lite.model.generator_config import GeneratorConfig
from t5x_lite.partitioning.chunks import each_position

GENERATOR = "generator"
# What makes an input of tokens, but for the kernel to the width of the model.
_IN_COMMON = ("position_embedder", "type_embedder", "input_norm")
_EMBEDDER = "token_embedder"
_MASKED, _TRUE, _CHOSEN = "encoder_input_tokens", "encoder_target_tokens", "encoder_loss_weights"

Tree = Mapping[str, Any]


def generator_of(model: ModelConfig) -> ModelConfig | None:
    """The model that a generator is; None where nothing learns to replace tokens."""
    given = model.generator
    if not isinstance(given, GeneratorConfig):
        return None
    encoder = model.plain.encoder
    assert encoder is not None, "a decoder has no head of replaced tokens"
    block = dataclasses.replace(
        encoder.block,
        attention=dataclasses.replace(encoder.block.attention, num_heads=given.num_heads),
        mlp=dataclasses.replace(encoder.block.mlp, mlp_dim=given.mlp_dim),
    )
    depth = given.num_layers or encoder.depth
    return dataclasses.replace(
        model.plain,
        generator=None,
        embed_dim=given.embed_dim,
        token_dim=None if given.embed_dim == model.token_width else model.token_width,
        encoder=dataclasses.replace(encoder, num_layers=depth, layers_divisor=1, block=block),
        heads=(HeadConfig(transform=block.mlp.activations[0]),),
        pooler=False,
        logits_via_embedding=True,
        scale_logits=False,
    )


def with_generator(model: ModelConfig, make: Callable[[ModelConfig], dict]) -> dict:
    """The tree of a model, with the generator's beside it if there is one.

    Args:
        make: gives the tree of a model without one.
    """
    generator = generator_of(model)
    tree = make(model.alone)
    if generator is None:
        return tree
    own = dict(make(generator))
    del own[_EMBEDDER]
    encoder = {name: part for name, part in own["encoder"].items() if name not in _IN_COMMON}
    return tree | {GENERATOR: own | {"encoder": encoder}}


def apart(parameters: Tree) -> tuple[dict, dict]:
    """The parameters of a model, and those of the generator beside it, each whole."""
    model = dict(parameters)
    own = model.pop(GENERATOR)
    common = {name: part for name, part in model["encoder"].items() if name in _IN_COMMON}
    return model, {**own, _EMBEDDER: model[_EMBEDDER], "encoder": common | own["encoder"]}


def replaced_tokens(
    model: ModelConfig,
    scores: Scores | None,
    batch: Mapping[str, Shaped[Array, "..."]],
    key: PRNGKeyArray,
) -> Int[Array, "batch length"]:
    """The true tokens, and in the places of chosen ones what is drawn by the generator's scores;
    without scores all tokens alike. What is drawn is a function of the key and of where it stands,
    however logits are made, and nothing learns by it.

    Raises:
        UserError: the batch does not tell which tokens are chosen, or what they were.
    """
    if missing := [name for name in (_TRUE, _CHOSEN) if name not in batch]:
        raise UserError(
            f"the batch has {', '.join(sorted(batch))} and no {' and no '.join(missing)}; needed "
            "for a generator are targets and target_weights, as the objective masked_for_detection "
            "makes them."
        )
    true = batch[_TRUE]
    if scores is None:
        drawn = _any_token(model, true, key)
    else:
        drawn = _by_scores(model, jax.lax.stop_gradient(scores), true, key)
    return jnp.where(batch[_CHOSEN] > 0, drawn, true)


def _any_token(
    model: ModelConfig, true: Int[Array, "batch length"], key: PRNGKeyArray
) -> Int[Array, "batch length"]:
    given = model.generator
    assert given is not None, "asked of a model that has one"
    count = model.vocab_size - given.forbid_correct
    drawn = jax.random.randint(key, true.shape, 0, count)
    return drawn + (drawn >= true) if given.forbid_correct else drawn


def _by_scores(
    model: ModelConfig, scores: Scores, true: Int[Array, "batch length"], key: PRNGKeyArray
) -> Int[Array, "batch length"]:
    given = model.generator
    assert isinstance(given, GeneratorConfig), "scores are a generator's that learns"

    def draw(
        logits: Float[Array, "rows places vocab"],
        true: Int[Array, "rows places"],
        places: Int[Array, "rows places"],
    ) -> Int[Array, "rows places"]:
        if given.forbid_correct:
            logits = jnp.where(draws.ids(logits) == true[..., None], -jnp.inf, logits)
        return draws.drawn(logits / given.temperature, places, key)

    places = jnp.arange(true.size, dtype=jnp.int32).reshape(true.shape)
    return each_position(draw, [scores], true, places)
