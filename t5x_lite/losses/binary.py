"""Of each position whether something is so: its cross-entropy, and how well scores rank it."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from t5x_lite.losses.weighting import Sums


def binary_losses(
    logits: Float[Array, "batch length"], is_so: Bool[Array, "batch length"]
) -> tuple[Float[Array, "batch length"], Float[Array, "batch length"]]:
    """-log of the probability of what is the case, and 1 where the likelier is."""
    loss = jax.nn.softplus(jnp.where(is_so, -logits, logits))
    return loss, ((logits > 0) == is_so).astype(jnp.float32)


def ranked(
    logits: Float[Array, "batch length"],
    is_so: Bool[Array, "batch length"],
    counts: Bool[Array, "batch length"],
) -> Sums:
    """Pairs of a position where it is so and one where it is not, and of how many the first has the
    higher score: their share is the area under the ROC curve. A tie is half a pair.
    """
    others = jnp.sort(jnp.where(counts & ~is_so, logits, jnp.inf).ravel())
    below, not_above = (
        jnp.searchsorted(others, logits.ravel(), side=side).astype(jnp.float32)
        for side in ("left", "right")
    )
    positive = (counts & is_so).ravel().astype(jnp.float32)
    negative = jnp.sum(counts & ~is_so).astype(jnp.float32)
    return {
        "ranked_sum": jnp.sum(positive * (below + not_above)) / 2,
        "pairs_sum": jnp.sum(positive) * negative,
    }
