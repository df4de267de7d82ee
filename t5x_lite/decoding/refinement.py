"""Decoders that write whole targets at once and improve them: the loop, whatever a step does.

A schedule says with what a target begins and what a step makes of it. Every step is one pass of the
model over all positions of all targets, so there are no more of them than the schedule has, however
long the targets are.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from t5x_lite.decoding.examples import FREE, Examples
from t5x_lite.decoding.language_model import Decoded

# Calls a function of logits [.., positions, vocab] and of features [.., positions] for the logits
# that the model has for these tokens, wherever and in how many pieces they are made.
Read = Callable[..., Any]


@dataclasses.dataclass(frozen=True)
class Denoiser:
    """A model that reads whole targets and scores what should stand at each position:
    `read(tokens, is_real, function, *features)`, see `Read`. `mask` is None where there is none.
    `length_scores` tell how likely each length from 1 on is; None where nothing tells.
    """

    read: Read
    vocab_size: int
    end: int
    padding: int
    mask: int | None = None
    length_scores: Float[Array, "examples lengths"] | None = None


class Draft(NamedTuple):
    """Targets as they are: tokens, how likely each was when it was last looked at, and which are to
    be read as masks. Where there is no target `is_real` is False.
    """

    tokens: Int[Array, "rows length"]
    log_probs: Float[Array, "rows length"]
    is_hidden: Bool[Array, "rows length"]
    is_real: Bool[Array, "rows length"]


@runtime_checkable
class Schedule(Protocol):
    """What begins, and what a step makes of it."""

    @property
    def num_steps(self) -> int:
        """How many there are at most."""

    def begin(
        self, denoiser: Denoiser, keys: Key[Array, "rows"], is_real: Bool[Array, "rows length"]
    ) -> Draft:
        """The first draft; each row draws by its own key."""

    def improve(
        self, denoiser: Denoiser, keys: Key[Array, "rows"], draft: Draft, step: Int[Array, ""]
    ) -> tuple[Draft, Bool[Array, "rows"]]:
        """The next draft, and which rows no further step changes."""


@dataclasses.dataclass(frozen=True)
class Refinement:
    """A schedule for targets of up to `max_decode_length` tokens, of `num_lengths` lengths for each
    example, of which `num_decodes` are given. Ids from `first_forbidden` on are never written.
    """

    schedule: Schedule
    max_decode_length: int
    num_lengths: int = 1
    num_decodes: int = 1
    seed: int = 0
    first_forbidden: int | None = None


class Refined(NamedTuple):
    """What a refinement gives, and how often it called the model."""

    decoded: Decoded
    num_calls: Int[Array, ""]


def refine(refinement: Refinement, denoiser: Denoiser, examples: Examples) -> Refined:
    """Targets for each example, those first whose tokens are the likeliest in the mean.

    Their log-probabilities are sums over tokens, each given what all others were in the last pass
    that the model made over them: not those of a target, which such a model does not know.
    """
    denoiser = dataclasses.replace(denoiser, read=_without(denoiser, refinement.first_forbidden))
    lengths = _lengths(refinement, denoiser, examples)
    count = lengths.shape[1]
    is_filler = jnp.repeat(examples.indices < 0, count)
    positions = jnp.arange(refinement.max_decode_length)[None, :]
    is_real = positions < lengths.reshape(-1)[:, None]
    keys = _keys(refinement.seed, examples.indices, count)
    schedule = refinement.schedule

    def goes_on(state: tuple[Array, Draft, Array]) -> Bool[Array, ""]:
        step, _, is_done = state
        return (step < schedule.num_steps) & ~jnp.all(is_done)

    def one_more(state: tuple[Array, Draft, Array]) -> tuple[Array, Draft, Array]:
        step, draft, is_done = state
        own = jax.vmap(lambda key: jax.random.fold_in(key, step))(keys)
        better, ends = schedule.improve(denoiser, own, draft, step)
        kept = jax.tree.map(lambda old, new: jnp.where(is_done[:, None], old, new), draft, better)
        return step + 1, kept, is_done | ends

    start = jax.vmap(lambda key: jax.random.fold_in(key, schedule.num_steps))(keys)
    first = jnp.int32(0), schedule.begin(denoiser, start, is_real), is_filler
    num_calls, draft, _ = jax.lax.while_loop(goes_on, one_more, first)
    return Refined(_result(refinement, denoiser, draft, count), num_calls)


def _without(denoiser: Denoiser, first_forbidden: int | None) -> Read:
    """Reading, where forbidden tokens and masks have no chance: nothing that is written."""

    def read(tokens: Array, is_real: Array, function: Callable[..., Any], *features: Array) -> Any:
        def of_allowed(logits: Float[Array, "*any vocab"], *own: Array) -> Any:
            ids = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
            if first_forbidden is not None:
                logits = jnp.where(ids < first_forbidden, logits, -jnp.inf)
            if denoiser.mask is not None:
                logits = jnp.where(ids != denoiser.mask, logits, -jnp.inf)
            return function(logits, *own)

        return denoiser.read(tokens, is_real, of_allowed, *features)

    return read


def _lengths(
    refinement: Refinement, denoiser: Denoiser, examples: Examples
) -> Int[Array, "examples lengths"]:
    """Those that are tried: the one that is asked for, else the likeliest."""
    shape = (examples.indices.shape[0], refinement.num_lengths)
    if denoiser.length_scores is None:
        assert examples.lengths is not None, "a model that tells no length is asked for one"
        return jnp.broadcast_to(examples.lengths[:, None], shape)
    known = denoiser.length_scores[:, : refinement.max_decode_length]
    lengths = jax.lax.top_k(known, min(refinement.num_lengths, known.shape[1]))[1] + 1
    if examples.lengths is None:
        return lengths
    asked = examples.lengths[:, None]
    return jnp.where(asked == FREE, lengths, asked)


def _keys(seed: int, indices: Int[Array, "examples"], count: int) -> Key[Array, "rows"]:
    """One for each target, a function of the number of its example."""

    def of_example(index: Array) -> Key[Array, "lengths"]:
        return jax.random.split(jax.random.fold_in(jax.random.key(seed), index), count)

    return jax.vmap(of_example)(indices).reshape(-1)


def _result(refinement: Refinement, denoiser: Denoiser, draft: Draft, count: int) -> Decoded:
    """What stands up to the end token of each target, the best of each example first."""
    is_end = (draft.tokens == denoiser.end) & draft.is_real
    ends_before = jnp.cumsum(is_end, axis=1) - is_end
    is_written = draft.is_real & (ends_before == 0)
    tokens = jnp.where(is_written, draft.tokens, denoiser.padding)
    log_probs = jnp.sum(jnp.where(is_written, draft.log_probs, 0.0), axis=1)
    scores = log_probs / jnp.maximum(jnp.sum(is_written, axis=1), 1)
    tokens, log_probs, scores = (
        each.reshape(-1, count, *each.shape[1:]) for each in (tokens, log_probs, scores)
    )
    order = jnp.argsort(scores, axis=1, descending=True, stable=True)[:, : refinement.num_decodes]
    return Decoded(
        jnp.take_along_axis(tokens, order[..., None], axis=1),
        jnp.take_along_axis(log_probs, order, axis=1),
        jnp.take_along_axis(scores, order, axis=1),
    )
