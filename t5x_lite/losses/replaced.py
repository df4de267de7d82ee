"""Replaced-token detection (Clark et al. 2020): a token that is not the true one was put there."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.binary import binary_losses, ranked
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
        weights = self.weights(batch)
        loss, is_right = binary_losses(logits, is_replaced)
        value, sums = reduced(batch, loss, weights, self.config, normalizer)
        sums |= {"correct_sum": jnp.sum(is_right * weights)}
        return value, sums if training else sums | ranked(logits, is_replaced, weights > 0)
