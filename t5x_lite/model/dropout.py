"""Dropout as a value: a rate, a key and how noise is shared; modules hold no random state."""

import dataclasses
import zlib

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray


@dataclasses.dataclass(frozen=True)
class Dropout:
    """One draw of noise for a whole forward pass; without a key nothing is dropped.

    Every site has a name and every layer a number, both folded into the key, so that no two
    sites share noise and adding a site changes no other.
    """

    rate: float
    shared_along_length: bool = True
    key: PRNGKeyArray | None = None

    def fold(self, part: str | int | Int[Array, ""]) -> "Dropout":
        """The dropout of one part of the model: a stack by its name, a layer by its index."""
        if self.key is None:
            return self
        number = _number(part) if isinstance(part, str) else part
        return dataclasses.replace(self, key=jax.random.fold_in(self.key, number))

    def __call__(self, x: Float[Array, "*shape"], site: str) -> Float[Array, "*shape"]:
        """Drops entries of `x`, whose second last axis is the length (or the query length).

        As in the reference the noise is one mask per row and channel, shared along the length
        (attention weights: along the queries), unless `shared_along_length` is off.
        """
        if not self.drops:
            return x
        shape = (*x.shape[:-2], 1, x.shape[-1]) if self.shared_along_length else x.shape
        return self.scaled(x, self.kept(site, shape))

    @property
    def drops(self) -> bool:
        """Whether anything is dropped at all."""
        return self.key is not None and self.rate != 0.0

    def kept(self, site: str, shape: tuple[int, ...]) -> Bool[Array, "*shape"]:
        """The noise of a site: True where an entry is kept."""
        assert self.key is not None, "without a key nothing is dropped"
        site_key = jax.random.fold_in(self.key, _number(site))
        return jax.random.bernoulli(site_key, 1.0 - self.rate, shape)

    def scaled(self, x: Float[Array, "*shape"], kept: Bool[Array, "..."]) -> Float[Array, "*shape"]:
        """`x` without what is not kept, larger so that its mean stays."""
        return jnp.where(kept, x / (1.0 - self.rate), jnp.zeros_like(x))


def _number(name: str) -> int:
    """The same in every process and Python version, unlike hash()."""
    return zlib.crc32(name.encode())


NO_DROPOUT = Dropout(rate=0.0)
