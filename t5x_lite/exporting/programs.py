"""A model as functions that need nothing but arrays: generate, score and encode, in one form for
all layouts.

`parameters` is one flat dict, "decoder/final_norm/scale" -> array. Tokens are int32, a mask is 1
where a row has a token and 0 in the padding behind; a start token is put in front here.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.decoding.config import DecodingConfig
from t5x_lite.decoding.language_model import Decoded
from t5x_lite.decoding.table import Decoder
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.inference.generate import EXAMPLE_INDEX, decode_prompts, decoder_for
from t5x_lite.model.config import ModelConfig
from t5x_lite.partitioning.constrain import constraints

Flat = Mapping[str, Array]
Tokens = Int[Array, "batch length"]
_BATCH = "batch"


class Argument(NamedTuple):
    """One array; `batch` in its shape is any number of rows."""

    name: str
    shape: tuple[str | int, ...]


@dataclasses.dataclass(frozen=True)
class Program:
    """A function of flat parameters and of arrays of int32, and what its results are called."""

    function: Callable[..., Any]
    arguments: tuple[Argument, ...]
    results: tuple[str, ...]


def programs(
    model: ModelConfig,
    decoding: DecodingConfig,
    *,
    inputs_length: int,
    first_sentinel: int | None,
    platform: str,
) -> dict[str, Program]:
    """Name -> program; `score` has room for as many target tokens as `generate` writes. An encoder
    alone has `encode`, of tokens of the first type.

    Args:
        platform: whose forms are traced; one that no device has asks for those that all run.
    """
    functions = _Functions(
        model, _decoder(model, decoding, first_sentinel), decoding.max_decode_length, platform
    )
    inputs = (
        Argument("input_tokens", (_BATCH, inputs_length)),
        Argument("input_mask", (_BATCH, inputs_length)),
    )
    targets = (
        Argument("target_tokens", (_BATCH, decoding.max_decode_length)),
        Argument("target_mask", (_BATCH, decoding.max_decode_length)),
    )
    index = Argument(EXAMPLE_INDEX, (_BATCH,))
    encode = {"encode": Program(functions.encode, inputs, ("hidden",))}
    if model.decoder is None:  # which alone writes and scores
        return encode
    return {
        "generate": Program(functions.generate, (*inputs, index), Decoded._fields),
        "score": Program(functions.score, (*inputs, *targets), ("log_probs",)),
        **encode,
    }


def _decoder(
    model: ModelConfig, decoding: DecodingConfig, first_sentinel: int | None
) -> Decoder | None:
    """None of an encoder alone."""
    if model.decoder is None:
        return None
    return decoder_for(Ensemble((model,)), decoding, first_sentinel)


@dataclasses.dataclass(frozen=True)
class _Functions:
    model: ModelConfig
    decoder: Decoder | None
    max_decode_length: int
    platform: str

    def generate(
        self, parameters: Flat, tokens: Tokens, mask: Tokens, index: Int[Array, "batch"]
    ) -> tuple[Array, ...]:
        """As `Decoded`. A row whose index is negative is filler; sampling draws by the index."""
        side = "encoder_input" if self._has_encoder else "decoder_prefix"
        stack = "encoder" if self._has_encoder else "decoder_prefix"
        prompts = {f"{side}_tokens": tokens, f"{stack}_segment_ids": mask, EXAMPLE_INDEX: index}
        decoder, longest = self.decoder, self.max_decode_length
        assert decoder is not None, "what writes nothing has no such program"
        with constraints(None, self.platform):
            networks = self._models.prepare((nested(parameters),))
            return tuple(decode_prompts(self._models, networks, prompts, decoder, longest))

    def score(
        self,
        parameters: Flat,
        inputs: Tokens,
        input_mask: Tokens,
        targets: Int[Array, "batch targets_length"],
        target_mask: Int[Array, "batch targets_length"],
    ) -> tuple[Float[Array, "batch targets_length"]]:
        """The log-probability of each target token, given its input; 0 in the padding."""
        special = self.model.special
        if self._has_encoder:
            batch = {
                "encoder_input_tokens": inputs,
                "encoder_segment_ids": input_mask,
                "decoder_input_tokens": jnp.pad(
                    targets[:, :-1], ((0, 0), (1, 0)), constant_values=special.start
                ),
                "decoder_target_tokens": targets,
                "decoder_segment_ids": target_mask,
            }
            first = jnp.zeros_like(targets[:, :1])
        else:
            row = self._row(inputs, input_mask, targets, target_mask)
            first = row.first + jnp.sum(input_mask, axis=1, keepdims=True) - 1
            positions = jnp.arange(row.tokens.shape[1] - 1, dtype=jnp.int32)[None, :]
            batch = {
                "decoder_input_tokens": row.tokens[:, :-1],
                "decoder_target_tokens": row.tokens[:, 1:],
                "decoder_segment_ids": row.mask[:, 1:],
                # The position that scores the first target sees the whole prefix.
                "decoder_causal_attention": (positions <= first).astype(jnp.int32),
            }
        with constraints(None, self.platform):
            log_probs = self._models.log_probs((nested(parameters),), batch)
        found = _from(log_probs, first, targets.shape[1])
        return (jnp.where(target_mask > 0, found, 0.0),)

    def encode(
        self, parameters: Flat, tokens: Tokens, mask: Tokens
    ) -> tuple[Float[Array, "batch length embed"]]:
        """The last hidden states of the input, the encoder's or without one the decoder's; 0 in
        the padding.
        """
        if self._has_encoder:
            batch = {"encoder_input_tokens": tokens, "encoder_segment_ids": mask}
            first = jnp.zeros_like(tokens[:, :1])
        else:
            row = self._row(tokens, mask, tokens[:, :1], jnp.zeros_like(mask[:, :1]))
            batch = {
                "decoder_input_tokens": row.tokens,
                "decoder_segment_ids": row.mask,
                "decoder_causal_attention": row.mask,
            }
            first = row.first
        with constraints(None, self.platform):
            hidden = self._models.encode((nested(parameters),), batch)
        return (jnp.where(mask[..., None] > 0, _from(hidden, first, tokens.shape[1]), 0.0),)

    @property
    def _models(self) -> Ensemble:
        return Ensemble((self.model,))

    @property
    def _has_encoder(self) -> bool:
        return self.model.encoder is not None

    def _row(
        self, inputs: Tokens, input_mask: Tokens, targets: Array, target_mask: Array
    ) -> "_Row":
        """What a language model reads: the start token, if it does, inputs, targets, padding."""
        num_inputs = jnp.sum(input_mask, axis=1, keepdims=True, dtype=jnp.int32)
        num_targets = jnp.sum(target_mask, axis=1, keepdims=True, dtype=jnp.int32)
        starts = (num_inputs == 0) | self.model.prompts.start_token
        first = starts.astype(jnp.int32)
        width = 1 + inputs.shape[1] + targets.shape[1]
        at = jnp.arange(width, dtype=jnp.int32)[None, :]
        special = self.model.special
        tokens = jnp.where(
            at < first + num_inputs,
            _taken(inputs, at - first),
            _taken(targets, at - first - num_inputs),
        )
        mask = at < first + num_inputs + num_targets
        tokens = jnp.where(mask, jnp.where(at < first, special.start, tokens), special.padding)
        return _Row(tokens, mask.astype(jnp.int32), first)


class _Row(NamedTuple):
    """Tokens and mask [batch, width], and where inputs begin [batch, 1]."""

    tokens: Array
    mask: Array
    first: Array


def _taken(tokens: Tokens, at: Int[Array, "batch width"]) -> Int[Array, "batch width"]:
    """Each row's token at these places; any one beyond its ends."""
    return jnp.take_along_axis(tokens, jnp.clip(at, 0, tokens.shape[1] - 1), axis=1)


def _from(values: Array, first: Int[Array, "batch 1"], length: int) -> Array:
    """`length` positions of each row from its own first one on."""
    at = first + jnp.arange(length, dtype=jnp.int32)[None, :]
    at = jnp.clip(at, 0, values.shape[1] - 1).reshape(*at.shape, *(1,) * (values.ndim - 2))
    return jnp.take_along_axis(values, at, axis=1)


def flat(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Names with slashes -> leaves, sorted."""
    leaves = jax.tree_util.tree_flatten_with_path(parameters)[0]
    return {"/".join(key.key for key in keys): leaf for keys, leaf in leaves}


def nested(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The tree that `flat` was given."""
    tree: dict[str, Any] = {}
    for name, leaf in leaves.items():
        *folders, last = name.split("/")
        folder = tree
        for part in folders:
            folder = folder.setdefault(part, {})
        folder[last] = leaf
    return tree
