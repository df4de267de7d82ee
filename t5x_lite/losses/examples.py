"""What a head tells of whole examples: their class, or a number. It stands at every position and
counts at the first one of each example, packed or not.
"""

import dataclasses

import jax.numpy as jnp
from jaxtyping import Array, Float

from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Outputs, Wanted
from t5x_lite.losses.config import ClassesLossConfig, RegressionLossConfig
from t5x_lite.losses.cross_entropy import token_losses
from t5x_lite.losses.weighting import Batch, Sums, first_positions, reduced


@dataclasses.dataclass(frozen=True)
class ClassCrossEntropy:
    """The term of `ClassesLossConfig`."""

    config: ClassesLossConfig
    wanted_of_teacher: Wanted | None = None

    @property
    def wanted(self) -> Wanted:
        """The head that tells classes."""
        return Wanted((self.config.head,), ())

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """Of examples, by their classes."""
        weights = first_positions(batch)
        if self.config.class_weights:
            of_class = jnp.asarray(self.config.class_weights, jnp.float32)
            weights *= of_class[batch["encoder_classes"]]
        return weights

    def __call__(
        self,
        outputs: Outputs,
        teacher: Outputs | None,
        batch: Batch,
        normalizer: Float[Array, ""],
        *,
        training: bool,
    ) -> tuple[Float[Array, ""], Sums]:
        """The loss, alike in training and evaluation, and the sums behind it. Raises UserError
        where there is not a weight for each class.
        """
        logits, classes = outputs.heads[self.config.head].all(), batch["encoder_classes"]
        if self.config.class_weights and len(self.config.class_weights) != logits.shape[-1]:
            raise UserError(
                f"class_weights={self.config.class_weights} of {logits.shape[-1]} classes: needed "
                "is one for each: --gin.CLASS_WEIGHTS=..."
            )
        loss, _ = token_losses(logits, classes, label_smoothing=self.config.label_smoothing)
        is_right = (jnp.argmax(logits, axis=-1) == classes).astype(jnp.float32)
        weights = self.weights(batch)
        value, sums = reduced(batch, loss, weights, self.config, normalizer)
        return value, sums | {"correct_sum": jnp.sum(is_right * weights)}


@dataclasses.dataclass(frozen=True)
class SquaredError:
    """The term of `RegressionLossConfig`."""

    config: RegressionLossConfig
    wanted_of_teacher: Wanted | None = None

    @property
    def wanted(self) -> Wanted:
        """The head that tells a number."""
        return Wanted(("regression",), ())

    def weights(self, batch: Batch) -> Float[Array, "batch length"]:
        """Of examples."""
        return first_positions(batch)

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
        error = outputs.heads["regression"].all()[..., 0] - batch["encoder_values"]
        return reduced(batch, jnp.square(error), self.weights(batch), self.config, normalizer)
