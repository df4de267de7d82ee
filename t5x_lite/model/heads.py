"""What is made of hidden states: each head is a class and a row of HEADS.

Its parameters are the decoder's in the tree, as in T5X (decoder/logits_dense).
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from t5x_lite.features.outputs import TOKENS, Scores
from t5x_lite.model import maxima
from t5x_lite.model.config import ModelConfig
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.linear import Linear
from t5x_lite.model.precision import precision_of
from t5x_lite.partitioning.chunks import each_position
from t5x_lite.partitioning.constrain import constrain, num_pieces


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
        token_vectors: Shaped[Array, "vocab embed"],
    ) -> Scores:
        """Logits, made at once if they fit into `ComputeConfig.logits_bytes`."""
        head = TokenLogits(self.config)
        weights = self.logits_dense.kernel[...] if self.config.head_is_separate else token_vectors
        batch_pieces, _, vocab_pieces = num_pieces(("batch", "length", "vocab"))
        bytes_of_position = 4 * self.config.vocab_size // vocab_pieces
        chunk = max(1, self.config.compute.logits_bytes // bytes_of_position)
        if hidden.shape[0] * hidden.shape[1] > chunk * batch_pieces:
            scores = Scores(hidden, weights, head, chunk)
        else:
            scores = Scores(head(hidden, weights))
        if maxima.are_collected():
            alone = jax.lax.stop_gradient(scores)
            maxima.observe("logits", each_position(_largest_by_position, [alone]))
        return scores


@dataclasses.dataclass(frozen=True)
class TokenLogits:
    """The product that makes logits, apart from its weights."""

    config: ModelConfig

    @property
    def axes(self) -> tuple[str, ...]:
        """Of the kernel, or of the table of token vectors."""
        return ("embed", "vocab") if self.config.head_is_separate else ("vocab", "embed")

    def __call__(
        self, hidden: Float[Array, "batch length embed"], weights: Float[Array, "*copies _in _out"]
    ) -> Float[Array, "batch length vocab"]:
        """Logits in float32, with products as exact as the activations are."""
        precision = precision_of(hidden.dtype)
        hidden = hidden.astype(jnp.float32)
        if self.config.scale_logits:
            hidden = hidden * self.config.embed_dim**-0.5
        copies = "b" if weights.ndim == 3 else ""
        kernel = "ev" if self.config.head_is_separate else "ve"
        logits = jnp.einsum(f"ble,{copies}{kernel}->blv", hidden, weights, precision=precision)
        return constrain(logits, ("batch", "length", "vocab"))


def _largest_by_position(
    logits: Float[Array, "batch length vocab"],
) -> Float[Array, "batch length"]:
    return jax.vmap(jax.vmap(maxima.largest))(logits)


HEADS = {TOKENS: TokensHead}
