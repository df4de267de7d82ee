"""States of a student as wide as its teacher's (Jiao et al. 2020, section 3.1): E W_e and H W_h."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.model.config import ModelConfig
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.precision import precision_of
from t5x_lite.model.projections_config import ProjectionsConfig


class Projections(nnx.Module):
    """The two matrices, alike for all layers."""

    def __init__(self, config: ProjectionsConfig, model: ModelConfig, *, key: PRNGKeyArray):
        def matrix(key: PRNGKeyArray) -> nnx.Param:
            return Initializer(model.init).kernel(
                key,
                (model.embed_dim, config.width),
                axes=("embed", "hidden"),
                t5_stddev=model.embed_dim**-0.5,
            )

        of_input, of_states = jax.random.split(key)
        self.input = matrix(of_input)
        self.states = matrix(of_states)

    def __call__(
        self, states: Float[Array, "states batch length embed"]
    ) -> Float[Array, "states batch length width"]:
        """Of a stack's input, the first one, and of the output of each layer."""
        parts = (states[:1], self.input[...]), (states[1:], self.states[...])
        precision = precision_of(states.dtype)
        return jnp.concatenate(
            [
                jnp.matmul(each, matrix.astype(each.dtype), precision=precision)
                for each, matrix in parts
            ]
        )
