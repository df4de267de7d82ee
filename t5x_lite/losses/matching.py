"""Matching a teacher (Hinton et al. 2015): its whole distribution is the target of each token."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.features.outputs import TOKENS, Outputs, Wanted
from t5x_lite.losses.config import MatchTeacherConfig
from t5x_lite.losses.weighting import Batch, Sums, loss_weights, reduced
from t5x_lite.partitioning.chunks import each_position


@dataclasses.dataclass(frozen=True)
class MatchTeacher:
    """The term of `MatchTeacherConfig`: KL(teacher || model), 0 for a copy of the teacher."""

    config: MatchTeacherConfig
    wanted: Wanted = Wanted()
    wanted_of_teacher: Wanted | None = Wanted()

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
        """The loss, alike in training and evaluation, and the sums behind it."""
        assert teacher is not None, "a job without a teacher is refused"
        temperature = self.config.temperature

        def divergence_of(ours: Array, theirs: Array) -> Array:
            ours = jax.nn.log_softmax(ours / temperature, axis=-1)
            theirs = jax.nn.log_softmax(theirs / temperature, axis=-1)
            return jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=-1) * temperature**2

        divergence = each_position(divergence_of, [outputs.heads[TOKENS], teacher.heads[TOKENS]])
        return reduced(batch, divergence, self.weights(batch), self.config, normalizer)
