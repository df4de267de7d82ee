"""What is made of hidden states: each head is a class and a row of HEADS.

Its parameters are the decoder's in the tree, as in T5X (decoder/logits_dense).
"""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.features.outputs import TOKENS
from t5x_lite.model import maxima
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.linear import Linear
from t5x_lite.model.precision import precision_of
from t5x_lite.partitioning.constrain import constrain


class TokensHead(nnx.Module):
    """Scores of every token: by a kernel of its own, or by the table of token vectors."""

    def __init__(self, config: ModelConfig, *, key: PRNGKeyArray):
        self.config = config
        if config.head_is_separate:
            kernel = Initializer(config.init).kernel(
                key,
                (config.embed_dim, config.vocab_size),
                axes=("embed", "vocab"),
                t5_stddev=config.embed_dim**-0.5,
                t5_truncated=True,
            )
            self.logits_dense = Linear(kernel)

    def __call__(
        self,
        hidden: Float[Array, "batch length embed"],
        token_vectors: Float[Array, "vocab embed"],
    ) -> Float[Array, "batch length vocab"]:
        """Logits in float32, with products as exact as the activations are."""
        precision = precision_of(hidden.dtype)
        hidden = hidden.astype(jnp.float32)
        if self.config.scale_logits:
            hidden = hidden * self.config.embed_dim**-0.5
        if self.config.head_is_separate:
            logits = self.logits_dense(hidden, precision=precision)
        else:
            logits = jnp.einsum("ble,ve->blv", hidden, token_vectors, precision=precision)
        maxima.observe("logits", logits)
        return constrain(logits, ("batch", "length", "vocab"))


HEADS = {TOKENS: TokensHead}
