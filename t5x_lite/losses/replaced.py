"""Replaced-token detection (Clark et al. 2020): a token that is not the true one was put there."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.config import ReplacedTokensLossConfig
from t5x_lite.losses.weighting import (
    Batch,
    Sums,
    is_real,
    loss_weights,
    of_rows,
    reduced,
)


@dataclasses.dataclass(frozen=True)
class ReplacedTokens:
    """The term of `ReplacedTokensLossConfig`."""

    config: ReplacedTokensLossConfig
    wanted_of_teacher: Wanted | None = None

    @property
    def wanted(self) -> Wanted:
        """The head that tells it."""
        return Wanted(("replaced",), ())

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """Of tokens."""
        return loss_weights(batch) if self.config.weighted_only else of_rows(batch, is_real(batch))

    def __call__(
        self,
        outputs: Outputs,
        teacher: Outputs | None,
        batch: Batch,
        normalizer: Float[Array, ""],
        *,
        training: bool,
    ) -> tuple[Float[Array, ""], Sums]:
        """The loss, alike in training and evaluation, and the sums behind it; what needs the scores
        in their order is summed in evaluation only.
        """
        read = batch["encoder_input_tokens"] if outputs.read is None else outputs.read
        is_replaced = read != batch["encoder_target_tokens"]
        logits = outputs.heads["replaced"].all()[..., 0]
        # -log of the probability of what is the case.
        loss = jax.nn.softplus(jnp.where(is_replaced, -logits, logits))
        is_right = ((logits > 0) == is_replaced).astype(jnp.float32)
        weights = self.weights(batch)
        value, sums = reduced(batch, loss, weights, self.config, normalizer)
        sums |= {"correct_sum": jnp.sum(is_right * weights)}
        return value, sums if training else sums | _ranked(logits, is_replaced, weights > 0)


def _ranked(
    logits: Float[Array, "batch length"],
    is_replaced: Bool[Array, "batch length"],
    counts: Bool[Array, "batch length"],
) -> Sums:
    """Pairs of a replaced token and one that is not, and of how many the replaced one has the
    higher score: their share is the area under the ROC curve. A tie is half a pair.
    """
    ours = jnp.sort(jnp.where(counts & ~is_replaced, logits, jnp.inf).ravel())
    below, not_above = (
        jnp.searchsorted(ours, logits.ravel(), side=side).astype(jnp.float32)
        for side in ("left", "right")
    )
    replaced = (counts & is_replaced).ravel().astype(jnp.float32)
    original = jnp.sum(counts & ~is_replaced).astype(jnp.float32)
    return {
        "ranked_sum": jnp.sum(replaced * (below + not_above)) / 2,
        "pairs_sum": jnp.sum(replaced) * original,
    }
