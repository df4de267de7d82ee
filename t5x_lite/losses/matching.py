"""Matching a teacher (Hinton et al. 2015): its whole distribution is the target of each token, or
of each example.
"""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.features.outputs import TOKENS, Outputs, Wanted
from t5x_lite.losses.config import MatchTeacherConfig
from t5x_lite.losses.weighting import Batch, Sums, first_positions, loss_weights, reduced
from t5x_lite.partitioning.chunks import each_position


@dataclasses.dataclass(frozen=True)
class MatchTeacher:
    """The term of `MatchTeacherConfig`: KL(teacher || model), 0 for a copy of the teacher."""

    config: MatchTeacherConfig

    @property
    def wanted(self) -> Wanted:
        """The head."""
        return Wanted((self.config.head,))

    @property
    def wanted_of_teacher(self) -> Wanted:
        """The same."""
        return self.wanted

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """Of target tokens, or of examples."""
        return loss_weights(batch) if self.config.head == TOKENS else first_positions(batch)

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
        head, temperature = self.config.head, self.config.temperature

        def divergence_of(ours: Array, theirs: Array) -> Array:
            ours = jax.nn.log_softmax(ours / temperature, axis=-1)
            theirs = jax.nn.log_softmax(theirs / temperature, axis=-1)
            return jnp.sum(jnp.exp(theirs) * (theirs - ours), axis=-1) * temperature**2

        distance = _squared_difference if head == "regression" else divergence_of
        costs = each_position(distance, [outputs.heads[head], teacher.heads[head]])
        return reduced(batch, costs, self.weights(batch), self.config, normalizer)


def _squared_difference(
    ours: Float[Array, "batch length 1"], theirs: Float[Array, "batch length 1"]
) -> Float[Array, "batch length"]:
    return jnp.square(ours - theirs)[..., 0]
