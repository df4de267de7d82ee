"""Cross-entropies of steps of denoising (Savinov et al. 2022), and of the length of targets."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.features.outputs import TOKENS, Outputs, Wanted
from t5x_lite.losses import cross_entropy
from t5x_lite.losses.denoising_config import DenoisingLossConfig, LengthLossConfig
from t5x_lite.losses.tokens import compute_loss, is_first_of_largest
from t5x_lite.losses.weighting import Batch, Sums, loss_weights, of_rows, reduced

LENGTH = "length"
# Of sums that are counted once, however many steps there are.
_ONCE = ("weight_sum", "num_tokens")


@dataclasses.dataclass(frozen=True)
class UnrolledCrossEntropy:
    """The term of `DenoisingLossConfig`."""

    config: DenoisingLossConfig
    wanted_of_teacher: Wanted | None = None

    @property
    def wanted(self) -> Wanted:
        """The head of tokens, at each step."""
        return Wanted((TOKENS,), denoising=self.config.denoising)

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """Of target tokens."""
        return loss_weights(batch)

    def __call__(
        self,
        outputs: Outputs,
        teacher: Outputs | None,
        batch: Batch,
        normalizer: Float[Array, ""],
        *,
        training: bool,
    ) -> tuple[Float[Array, ""], Sums]:
        """The mean over the steps of the loss and of the sums behind it."""
        steps = [
            compute_loss(scores, batch, self.config, training=training, normalizer=normalizer)
            for scores in outputs.unrolled
        ]
        sums = {
            name: value if name in _ONCE else _mean([own[name] for _, own in steps])
            for name, value in steps[0][1].items()
        }
        return _mean([value for value, _ in steps]), sums


@dataclasses.dataclass(frozen=True)
class LengthCrossEntropy:
    """The term of `LengthLossConfig`."""

    config: LengthLossConfig
    wanted: Wanted = Wanted((LENGTH,))
    wanted_of_teacher: Wanted | None = None

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """1 at the first position of each example of the encoder."""
        is_first = (batch["encoder_segment_ids"] > 0) & (batch["encoder_positions"] == 0)
        return of_rows(batch, is_first)

    def __call__(
        self,
        outputs: Outputs,
        teacher: Outputs | None,
        batch: Batch,
        normalizer: Float[Array, ""],
        *,
        training: bool,
    ) -> tuple[Float[Array, ""], Sums]:
        """The loss, alike in training and evaluation, and the sums behind it."""
        logits = outputs.heads[LENGTH].all()
        told = jnp.maximum(lengths_of(batch) - 1, 0)
        loss, _ = cross_entropy.token_losses(logits, told)
        weights = self.weights(batch)
        value, sums = reduced(batch, loss, weights, self.config, normalizer)
        is_right = is_first_of_largest(logits, told)
        return value, sums | {"correct_sum": jnp.sum(is_right * weights)}


def _mean(values: Sequence[Float[Array, ""]]) -> Float[Array, ""]:
    return jnp.sum(jnp.stack(values)) / len(values)


def lengths_of(batch: Batch) -> Int[Array, "batch enc_len"]:
    """At each position of the encoder how many tokens the target of its example has."""
    own, others = batch["encoder_segment_ids"], batch["decoder_segment_ids"]
    return jnp.sum(own[:, :, None] == others[:, None, :], axis=-1)
