"""Cross-entropy of target tokens with z-loss and label smoothing: what T5 is trained by."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from t5x_lite.features.outputs import TOKENS, Outputs, Scores, Wanted
from t5x_lite.losses import cross_entropy
from t5x_lite.losses.config import LossConfig
from t5x_lite.losses.denoising_config import DenoisingLossConfig
from t5x_lite.losses.weighting import (
    Batch,
    Sums,
    is_real,
    loss_normalizer,
    loss_weights,
    of_targets,
    sequence_scale,
)
from t5x_lite.partitioning.chunks import each_position


@dataclasses.dataclass(frozen=True)
class TokenCrossEntropy:
    """The term of `LossConfig`."""

    config: LossConfig
    wanted: Wanted = Wanted()
    wanted_of_teacher: Wanted | None = None

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
        """The loss and the sums behind it; the teacher is not asked."""
        scores = outputs.heads[TOKENS]
        return compute_loss(scores, batch, self.config, training=training, normalizer=normalizer)


def compute_loss(
    scores: Scores,
    batch: Batch,
    config: LossConfig | DenoisingLossConfig,
    *,
    training: bool,
    normalizer: Float[Array, ""] | None = None,
) -> tuple[Float[Array, ""], Sums]:
    """The normalized loss and the sums behind it; z-loss counts in training only.

    Args:
        normalizer: what to divide by; default is this batch's own. Give the whole batch's to
            microbatches, so that their losses and gradients add up to those of the whole.
    """
    of_tokens = functools.partial(
        _of_tokens,
        label_smoothing=config.label_smoothing,
        z_loss=config.z_loss if training else 0.0,
    )
    token_loss, z_loss, correct = each_position(
        of_tokens, [scores], of_targets(batch, "target_tokens")
    )
    weights = loss_weights(batch)
    metrics = {
        "cross_entropy_sum": jnp.sum(token_loss * weights),
        "z_loss_sum": jnp.sum(z_loss * weights),
        "correct_sum": jnp.sum(correct * weights),
        "weight_sum": jnp.sum(weights),
        "num_tokens": jnp.sum(is_real(batch)).astype(jnp.float32),
    }
    metrics["loss_sum"] = metrics["cross_entropy_sum"] + metrics["z_loss_sum"]
    if normalizer is None:
        normalizer = loss_normalizer(batch, weights, config)
    scaled = weights * sequence_scale(batch, weights, config)
    return jnp.sum((token_loss + z_loss) * scaled) / normalizer, metrics


def _of_tokens(
    logits: Float[Array, "batch length vocab"],
    targets: Int[Array, "batch length"],
    **settings: float,
) -> tuple[Float[Array, "batch length"], ...]:
    """Both losses of every position, and 1 where the target has the highest score."""
    correct = is_first_of_largest(logits, targets).astype(jnp.float32)
    return *cross_entropy.token_losses(logits, targets, **settings), correct


def is_first_of_largest(
    logits: Float[Array, "batch length vocab"], targets: Int[Array, "batch length"]
) -> Bool[Array, "batch length"]:
    """Whether argmax would give the target; nowhere if there is a NaN.

    Sums, which compilers make vector code of and which stay local when the vocabulary is split; an
    argmax is neither.
    """
    ids = jax.lax.broadcasted_iota(jnp.int32, logits.shape, logits.ndim - 1)
    wide = targets[..., None]
    own = jnp.sum(jnp.where(ids == wide, logits, 0.0), axis=-1, keepdims=True)
    is_below = (logits < own) | ((logits == own) & (ids >= wide))
    return jnp.sum(jnp.where(is_below, 0.0, 1.0), axis=-1) == 0.0
