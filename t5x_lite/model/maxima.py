"""How large activations are: the largest absolute value at each place of a forward pass.

A model says `maxima.observe("residual", x)`. Unless something collects while it is traced, that is
nothing at all. NaN is larger than everything, so one bad number anywhere shows.
"""

import contextlib
from collections.abc import Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from t5x_lite.model.collected import Collection

Maxima = dict[str, Float[Array, "*layers"]]

_COLLECTION = Collection("maxima")
collecting, apart, add = _COLLECTION.collecting, _COLLECTION.apart, _COLLECTION.add

# Places of one layer in the order in which numbers flow through them.
_SITES = (
    "self_attention/logits",
    "self_attention/output",
    "cross_attention/logits",
    "cross_attention/output",
    "mlp/hidden",
    "mlp/output",
    "residual",
)
# Parts of a model in that order; heads come last.
_PARTS = ("generator/encoder", "generator", "encoder", "decoder")


def are_collected() -> bool:
    """Whether to observe is of use, for what has to be computed first."""
    return _COLLECTION.is_on


def observe(site: str, x: Float[Array, "..."]) -> None:
    """Notes the largest absolute value of `x`, padding included."""
    if _COLLECTION.is_on:
        _COLLECTION.note(site, largest(jax.lax.stop_gradient(x)))


def largest(x: Float[Array, "..."], *, per_layer: bool = False) -> Float[Array, "*layers"]:
    """The largest absolute value, of each layer where the first axis counts them. NaN if any is:
    a maximum alone may lose it, where devices compare theirs.
    """
    axes = tuple(range(1 if per_layer else 0, x.ndim))
    is_nan = jnp.isnan(x)
    finite = jnp.max(jnp.where(is_nan, 0, jnp.abs(x)), axis=axes).astype(jnp.float32)
    return jnp.where(jnp.any(is_nan, axis=axes), jnp.nan, finite)


@contextlib.contextmanager
def within(part: str) -> Iterator[None]:
    """Puts the name of a part of the model before the sites observed inside."""
    with apart() as found:
        yield
    add(found, part)


def in_order(maxima: Mapping[str, np.ndarray]) -> list[tuple[str, float]]:
    """(place, value) in the order of the forward pass, layer by layer: the first one that is not
    finite is where it began.
    """
    places = []
    for site, values in maxima.items():
        stack, is_in_layers, inside = site.partition("/layers/")
        if not is_in_layers:
            stack, _, place = site.rpartition("/")
            rank = _rank(stack)
            places.append(((rank, 1 if place == "input" else 3, 0, 0), site, float(values)))
            continue
        places += [
            ((_rank(stack), 2, layer, _SITES.index(inside)), f"{stack}/layers/{layer}/{inside}", v)
            for layer, v in enumerate(values.tolist())
        ]
    return [(name, value) for _, name, value in sorted(places)]


def _rank(part: str) -> int:
    return _PARTS.index(part) if part in _PARTS else len(_PARTS)
