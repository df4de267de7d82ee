"""What a step makes of whole targets: SUNDAE's low-temperature draws, and mask-predict."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, Key

from t5x_lite.decoding.refinement import Denoiser, Draft


class Told(NamedTuple):
    """Of each position the likeliest token and one that was drawn, each with its log-probability;
    of equally likely ones that of the lowest id.
    """

    best: Int[Array, "rows length"]
    best_log_probs: Float[Array, "rows length"]
    drawn: Int[Array, "rows length"]
    drawn_log_probs: Float[Array, "rows length"]


@dataclasses.dataclass(frozen=True)
class LowTemperature:
    """Savinov et al. (2022), section 3.2: from random tokens on a share of the positions is drawn
    anew in each step, and in the last one every position has its likeliest token.

    """

    num_steps: int
    temperature: float | int
    share: float | int

    def begin(
        self, denoiser: Denoiser, keys: Key[Array, "rows"], is_real: Bool[Array, "rows length"]
    ) -> Draft:
        """Any token at every position."""

        def anything(key: Key[Array, ""]) -> Int[Array, "length"]:
            return jax.random.randint(key, is_real.shape[1:], 0, denoiser.vocab_size, jnp.int32)

        nothing = jnp.zeros(is_real.shape)
        return Draft(jax.vmap(anything)(keys), nothing, nothing > 0, is_real)

    def improve(
        self, denoiser: Denoiser, keys: Key[Array, "rows"], draft: Draft, step: Int[Array, ""]
    ) -> tuple[Draft, Bool[Array, "rows"]]:
        """Rows are fixed points once each of their tokens is the likeliest."""
        told = tell(denoiser, keys, draft, self.temperature)
        is_last = step + 1 >= self.num_steps
        is_same = jnp.all((told.best == draft.tokens) | ~draft.is_real, axis=1)
        takes_best = (is_same | is_last)[:, None]
        drawn = drawn_again(keys, draft, told, self.share)
        better = drawn._replace(
            tokens=jnp.where(takes_best, told.best, drawn.tokens),
            log_probs=jnp.where(takes_best, told.best_log_probs, drawn.log_probs),
        )
        return better, is_same


@dataclasses.dataclass(frozen=True)
class MaskPredict:
    """Ghazvininejad et al. (2019), section 3.1: the least sure tokens are masked and told again,
    fewer in each step.
    """

    num_steps: int

    def begin(
        self, denoiser: Denoiser, keys: Key[Array, "rows"], is_real: Bool[Array, "rows length"]
    ) -> Draft:
        """Masks."""
        assert denoiser.mask is not None, "a model without masks is refused"
        tokens = jnp.full(is_real.shape, denoiser.mask, jnp.int32)
        return Draft(tokens, jnp.zeros(is_real.shape), is_real, is_real)

    def improve(
        self, denoiser: Denoiser, keys: Key[Array, "rows"], draft: Draft, step: Int[Array, ""]
    ) -> tuple[Draft, Bool[Array, "rows"]]:
        """A row in which nothing is masked any more is done."""
        assert denoiser.mask is not None, "a model without masks is refused"
        read = draft._replace(tokens=jnp.where(draft.is_hidden, denoiser.mask, draft.tokens))
        told = tell(denoiser, keys, read, 0.0)
        tokens = jnp.where(draft.is_hidden, told.best, draft.tokens)
        log_probs = jnp.where(draft.is_hidden, told.best_log_probs, draft.log_probs)
        lengths = jnp.sum(draft.is_real, axis=1)
        count = lengths * (self.num_steps - 1 - step) // self.num_steps
        is_hidden = ranks(jnp.where(draft.is_real, log_probs, jnp.inf)) < count[:, None]
        return Draft(tokens, log_probs, is_hidden, draft.is_real), count == 0


def tell(
    denoiser: Denoiser, keys: Key[Array, "rows"], draft: Draft, temperature: float | int
) -> Told:
    """One pass of the model, and what it tells of each position. What a position draws depends on
    nothing but the key of its row and its number; at a temperature of 0 it is the likeliest.
    """

    def of_positions(key: Key[Array, ""]) -> Array:
        positions = jnp.arange(draft.tokens.shape[1])
        own = jax.vmap(lambda position: jax.random.fold_in(key, position))(positions)
        return jax.random.key_data(own)

    def of_logits(logits: Float[Array, "*any vocab"], data: Array) -> Told:
        best = jnp.argmax(logits, axis=-1).astype(jnp.int32)
        of_best = _log_probs(logits, best)
        if not temperature:
            return Told(best, of_best, best, of_best)

        def noise(own: Array) -> Float[Array, "vocab"]:
            return jax.random.gumbel(jax.random.wrap_key_data(own), logits.shape[-1:])

        noises = jax.vmap(noise)(data.reshape(-1, data.shape[-1])).reshape(logits.shape)
        drawn = jnp.argmax(logits / temperature + noises, axis=-1).astype(jnp.int32)
        return Told(best, of_best, drawn, _log_probs(logits, drawn))

    return denoiser.read(draft.tokens, draft.is_real, of_logits, jax.vmap(of_positions)(keys))


def drawn_again(keys: Key[Array, "rows"], draft: Draft, told: Told, share: float | int) -> Draft:
    """With what was drawn at a share of the positions. Of a single position at a temperature of 1
    it is a step of Gibbs sampling, if the model tells what stands at a position by what stands at
    the others.
    """
    is_drawn = chosen(keys, draft.is_real, share)
    return draft._replace(
        tokens=jnp.where(is_drawn, told.drawn, draft.tokens),
        log_probs=jnp.where(is_drawn, told.drawn_log_probs, draft.log_probs),
    )


def chosen(
    keys: Key[Array, "rows"], is_real: Bool[Array, "rows length"], share: float | int
) -> Bool[Array, "rows length"]:
    """A share of the positions of each row, at least one of them, all equally often."""
    length = is_real.shape[1]
    # Behind the keys of positions.
    draw = jax.vmap(lambda key: jax.random.uniform(jax.random.fold_in(key, length), (length,)))
    counts = jnp.maximum(jnp.round(share * jnp.sum(is_real, axis=1)), 1)
    return is_real & (ranks(jnp.where(is_real, draw(keys), jnp.inf)) < counts[:, None])


def ranks(values: Float[Array, "rows length"]) -> Int[Array, "rows length"]:
    """0 for the least of each row; of equal ones the first is less."""
    return jnp.argsort(jnp.argsort(values, axis=1, stable=True), axis=1, stable=True)


def _log_probs(
    logits: Float[Array, "*any vocab"], tokens: Int[Array, "*any"]
) -> Float[Array, "*any"]:
    own = jnp.take_along_axis(logits, tokens[..., None], axis=-1)[..., 0]
    return own - jax.nn.logsumexp(logits, axis=-1)
