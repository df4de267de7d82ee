"""A span of each example: where it begins and where it ends, among the example's own positions."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.config import SpanLossConfig
from t5x_lite.losses.weighting import Batch, Sums, of_rows, of_targets, reduced


@dataclasses.dataclass(frozen=True)
class SpanCrossEntropy:
    """The term of `SpanLossConfig`."""

    config: SpanLossConfig
    wanted_of_teacher: Wanted | None = None

    @property
    def wanted(self) -> Wanted:
        """The head that tells spans."""
        return Wanted(("span",), ())

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """Of examples that have a span, at its first position."""
        return of_rows(batch, batch["encoder_span_starts"])

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
        logits, segments = outputs.heads["span"].all(), of_targets(batch, "segment_ids")
        marks = jnp.stack([batch["encoder_span_starts"], batch["encoder_span_ends"]], axis=-1)
        each = (_log_sums(logits, segments) - logits) * marks / 2
        # Both at the first position, so that they count as one.
        total = _of_segments(jnp.sum(each, axis=-1), segments)
        return reduced(batch, total, self.weights(batch), self.config, normalizer)


def _log_sums(
    logits: Float[Array, "batch length outputs"], segments: Int[Array, "batch length"]
) -> Float[Array, "batch length outputs"]:
    """Log of the sum of exp over the positions of each example, at all of them."""
    same = segments[:, :, None] == segments[:, None, :]
    wide = jnp.where(same[..., None], logits[:, None], -jnp.inf)
    return jax.nn.logsumexp(wide, axis=2)


def _of_segments(
    values: Float[Array, "batch length"], segments: Int[Array, "batch length"]
) -> Float[Array, "batch length"]:
    """Their sum over the positions of each example, at all of them."""
    same = segments[:, :, None] == segments[:, None, :]
    return jnp.sum(jnp.where(same, values[:, None, :], 0.0), axis=2)
