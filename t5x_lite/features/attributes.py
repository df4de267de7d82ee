"""Attributes of written sequences: what a search may ask for, what a head tells in advance.

Yoshida et al. (2024, MAP's not dead yet): the likeliest sequence of all is often degenerate, the
likeliest among those with an attribute is not.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int

from t5x_lite.features.config import Attribute

# A run of so many tokens that stands twice is a repetition: BLEU's longest n-gram.
REPEATED = 4

Tokens = Int[Array, "rows length"]
Holds = Callable[[Tokens, Tokens, int], Bool[Array, "rows length"]]


def holds(
    attribute: Attribute,
    tokens: Int[Array, "rows length"],
    segments: Int[Array, "rows length"],
    *,
    end: int,
) -> Bool[Array, "rows length"]:
    """At each position whether the whole sequence that it belongs to has the attribute.

    Args:
        segments: the number of each token's sequence, 1, 2, ... in a row, 0 where nothing stands.
        end: the end token.
    """
    return _HOLDS[attribute](tokens, segments, end)


def _anything(tokens: Tokens, segments: Tokens, end: int) -> Bool[Array, "rows length"]:
    del tokens, end
    return segments > 0


def _not_empty(tokens: Tokens, segments: Tokens, end: int) -> Bool[Array, "rows length"]:
    return _any_of_own((segments > 0) & (tokens != end), segments)


def _complete(tokens: Tokens, segments: Tokens, end: int) -> Bool[Array, "rows length"]:
    return _any_of_own((segments > 0) & (tokens == end), segments)


def _no_repetition(tokens: Tokens, segments: Tokens, end: int) -> Bool[Array, "rows length"]:
    del end
    same = segments[:, :, None] == segments[:, None, :]
    for offset in range(REPEATED):
        # What stands behind the row is in no run.
        shifted = jnp.roll(tokens, -offset, axis=1)
        own = jnp.roll(segments, -offset, axis=1).at[:, tokens.shape[1] - offset :].set(-1)
        is_own = own == segments
        same &= (shifted[:, :, None] == shifted[:, None, :]) & is_own[:, :, None]
    first = jnp.arange(tokens.shape[1])
    is_again = jnp.any(same & (first[:, None] > first[None, :])[None], axis=2)
    return (segments > 0) & ~_any_of_own(is_again & (segments > 0), segments)


def _any_of_own(
    values: Bool[Array, "rows length"], segments: Int[Array, "rows length"]
) -> Bool[Array, "rows length"]:
    """Whether any position of the own sequence has it."""
    same = (segments[:, :, None] == segments[:, None, :]) & (segments > 0)[:, :, None]
    return jnp.any(same & values[:, None, :], axis=2)


_HOLDS: Mapping[Attribute, Holds] = MappingProxyType(
    {
        Attribute.ANYTHING: _anything,
        Attribute.NOT_EMPTY: _not_empty,
        Attribute.NO_REPETITION: _no_repetition,
        Attribute.COMPLETE: _complete,
    }
)
