"""The one rule by which the parameters of a stack begin: `InitConfig`, with the stack's depth."""

import dataclasses

from flax import nnx
from jaxtyping import PRNGKeyArray

from t5x_lite.model import parameters
from t5x_lite.model.config import InitConfig, InitScheme
from t5x_lite.model.parameters import Axes, Shape


@dataclasses.dataclass(frozen=True)
class Initializer:
    """`num_residual` counts the sub-layers that add to one residual stream."""

    config: InitConfig
    num_residual: int = 1

    def kernel(
        self,
        key: PRNGKeyArray,
        shape: Shape,
        *,
        axes: Axes,
        t5_stddev: float,
        t5_truncated: bool = False,
        ends_residual: bool = False,
    ) -> nnx.Param:
        """A matrix.

        Args:
            t5_stddev: what T5's scheme draws with, by the fan-in of the place.
            t5_truncated: whether that cuts the normal distribution off.
            ends_residual: whether the product is added to the residual stream.
        """
        if self.config.scheme is InitScheme.T5:
            draw = parameters.truncated_normal if t5_truncated else parameters.normal
            return draw(key, shape, axes=axes, stddev=t5_stddev)
        stddev = self.config.stddev
        if ends_residual and self.config.scale_residual:
            stddev *= self.num_residual**-0.5
        return parameters.normal(key, shape, axes=axes, stddev=stddev)

    def vectors(
        self, key: PRNGKeyArray, shape: Shape, *, axes: Axes, are_positions: bool = False
    ) -> nnx.Param:
        """A table of vectors, such as those of tokens."""
        stddev = 1.0
        if self.config.scheme is InitScheme.NORMAL:
            stddev = self.config.positions_stddev if are_positions else self.config.stddev
        return parameters.normal(key, shape, axes=axes, stddev=stddev)
