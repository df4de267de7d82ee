"""Whether a target will have an attribute, told behind each of its tokens (Yoshida et al. 2024)."""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.features.attributes import holds
from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.binary import binary_losses, ranked
from t5x_lite.losses.config import AttributeLossConfig
from t5x_lite.losses.weighting import Batch, Sums, loss_weights, of_targets, reduced


@dataclasses.dataclass(frozen=True)
class AttributeCrossEntropy:
    """The term of `AttributeLossConfig`: the position of a token has read those before it alone, so
    the label of the whole target is told of each of its prefixes.
    """

    config: AttributeLossConfig
    wanted: Wanted = Wanted(("attribute",), ())
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
        """The binary cross-entropy, and the sums behind it."""
        tokens, segments = of_targets(batch, "target_tokens"), of_targets(batch, "segment_ids")
        has_it = holds(self.config.attribute, tokens, segments, end=self.config.special.end)
        logits = outputs.heads["attribute"].all()[..., 0]
        weights = self.weights(batch)
        loss, is_right = binary_losses(logits, has_it)
        value, sums = reduced(batch, loss, weights, self.config, normalizer)
        sums |= {"correct_sum": jnp.sum(is_right * weights)}
        return value, sums if training else sums | ranked(logits, has_it, weights > 0)
