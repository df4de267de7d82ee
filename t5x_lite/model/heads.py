"""What is made of hidden states: each head is a class and a row of HEADS.

The parameters of a head of tokens are the decoder's in the tree, if there is one, as in T5X
(decoder/logits_dense); those of others are `heads/<kind>`.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, Shaped

from t5x_lite.features.outputs import Scores
from t5x_lite.model import maxima, parameters
from t5x_lite.model.choices import HeadKind
from t5x_lite.model.config import HeadConfig, ModelConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.head_config import OF_EXAMPLES
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.linear import Linear, of_rows
from t5x_lite.model.mlp import FUNCTION_OF
from t5x_lite.model.norms import make_norm
from t5x_lite.model.precision import precision_of
from t5x_lite.partitioning.chunks import each_position
from t5x_lite.partitioning.constrain import constrain, num_pieces


class Read(NamedTuple):
    """What heads read: hidden states [batch, length, embed], what the pooler made of them if a head
    asks for it, and the table of token vectors [vocab, token_embed].
    """

    hidden: Array
    pooled: Array | None
    token_vectors: Array


def dense(config: ModelConfig, width: int, axis: str, *, key: PRNGKeyArray) -> Linear:
    """A layer with a bias on top of hidden states."""
    kernel = Initializer(config.init).kernel(
        key, (config.embed_dim, width), axes=("embed", axis), t5_stddev=config.embed_dim**-0.5
    )
    return Linear(kernel, bias=True)


class Pooler(nnx.Module):
    """tanh of a dense layer: of whole examples, so it is meant at their first positions (Devlin et
    al. 2019).
    """

    def __init__(self, config: ModelConfig, *, key: PRNGKeyArray):
        self.dense = dense(config, config.embed_dim, "hidden", key=key)

    def __call__(
        self, hidden: Float[Array, "batch length embed"]
    ) -> Float[Array, "batch length hidden"]:
        """Of every position."""
        return jnp.tanh(self.dense(hidden))


class TokensHead(nnx.Module):
    """Scores of every token: by a kernel of its own, or by the table of token vectors; of hidden
    states, or of what a dense layer, its activation and a norm make of them; with a bias for each
    token, if the config says so.
    """

    def __init__(self, head: HeadConfig, config: ModelConfig, *, key: PRNGKeyArray):
        self.config, self.activation = config, head.transform
        axis = config.token_axis
        if head.transform is not None:
            # Folded, not split off: all else begins as it would without.
            self.transform = dense(config, config.token_width, axis, key=jax.random.fold_in(key, 1))
            self.norm = make_norm(config.block.norm, config.token_width, axis)
        if head.has_token_bias:
            self.bias = parameters.zeros((config.vocab_size,), axes=("vocab",))
        if config.head_is_separate:
            kernel = Initializer(config.init).kernel(
                key,
                (config.token_width, config.vocab_size),
                axes=(axis, "vocab"),
                t5_stddev=config.token_width**-0.5,
                t5_truncated=True,
            )
            self.logits_dense = Linear(kernel)
        # Of decoding, see `turn`.
        self.turned: Array | None = None

    def turn(self, token_vectors: Float[Array, "vocab token_embed"]) -> None:
        """Stores the table that is the head as well as a kernel: a CPU multiplies few rows with the
        table as it is many times as slowly.
        """
        if not self.config.head_is_separate:
            self.turned = nnx.data(token_vectors.T)

    def __call__(self, read: Read, dropout: Dropout) -> Scores:
        """Logits, made at once if they fit into `ComputeConfig.logits_bytes`."""
        head, hidden = TokenLogits(self.config, self.turned is not None), read.hidden
        kernel = self._kernel(read)
        weights: tuple[Array, ...] = (kernel,)
        if self.activation is not None:
            hidden = self.norm(FUNCTION_OF[self.activation](self.transform(hidden)))
        if hasattr(self, "bias"):
            weights = kernel, self.bias[...]
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

    def _kernel(self, read: Read) -> Array:
        if self.config.head_is_separate:
            return self.logits_dense.kernel[...]
        return read.token_vectors if self.turned is None else self.turned


@dataclasses.dataclass(frozen=True)
class TokenLogits:
    """The product that makes logits, apart from its weights: a kernel or the table of token
    vectors, and a bias if there is one.
    """

    config: ModelConfig
    is_turned: bool = False

    @property
    def is_separate(self) -> bool:
        """Whether it is a kernel, or lies as one."""
        return self.config.head_is_separate or self.is_turned

    @property
    def axes(self) -> tuple[tuple[str, ...], ...]:
        """Of both weights."""
        axis = self.config.token_axis
        return ((axis, "vocab") if self.is_separate else ("vocab", axis)), ("vocab",)

    def __call__(
        self,
        hidden: Float[Array, "batch length embed"],
        weights: tuple[Shaped[Array, "..."], ...],
    ) -> Float[Array, "batch length vocab"]:
        """Logits in float32, with products as exact as the activations are."""
        precision = precision_of(hidden.dtype)
        hidden = hidden.astype(jnp.float32)
        if self.config.scale_logits:
            hidden = hidden * self.config.embed_dim**-0.5
        kernel, *bias = weights
        axes = "ev" if self.is_separate else "ve"
        if kernel.ndim == 3:  # a copy for each row
            logits = jnp.einsum(f"ble,b{axes}->blv", hidden, kernel, precision=precision)
        else:
            logits = of_rows(
                lambda rows: jnp.einsum(f"...e,{axes}->...v", rows, kernel, precision=precision),
                hidden,
            )
        for each in bias:
            # A row each, or one for all.
            logits = logits + each.reshape(-1, 1, each.shape[-1])
        return constrain(logits, ("batch", "length", "vocab"))


def _largest_by_position(
    logits: Float[Array, "batch length vocab"],
) -> Float[Array, "batch length"]:
    return jax.vmap(jax.vmap(maxima.largest))(logits)


class DenseHead(nnx.Module):
    """A few numbers of each position: a linear layer on hidden states, on what the pooler makes of
    them, or on a dense layer with an activation. Of whole examples it learns with dropout.
    """

    def __init__(self, head: HeadConfig, config: ModelConfig, *, key: PRNGKeyArray):
        self.head = head
        own = jax.random.fold_in(key, 1 + list(HeadKind).index(head.kind))
        axis = "hidden" if head.pooled or head.transform is not None else "embed"
        if head.transform is not None:
            self.transform = dense(config, config.embed_dim, axis, key=jax.random.fold_in(own, 1))
        kernel = Initializer(config.init).kernel(
            own,
            (config.embed_dim, head.num_outputs),
            axes=(axis, "classes"),
            t5_stddev=config.embed_dim**-0.5,
        )
        self.out = Linear(kernel, bias=True)

    def __call__(self, read: Read, dropout: Dropout) -> Scores:
        """In float32."""
        x = read.hidden
        if self.head.pooled:
            assert read.pooled is not None, "a config without a pooler is refused"
            x = read.pooled
        if self.head.transform is not None:
            x = FUNCTION_OF[self.head.transform](self.transform(x))
        if self.head.kind in OF_EXAMPLES:
            x = dropout(x, self.head.kind.value)
        logits = self.out(x.astype(jnp.float32), precision=precision_of(x.dtype))
        maxima.observe(self.head.kind.value, logits)
        return Scores(logits)


Head = TokensHead | DenseHead
HEADS: Mapping[HeadKind, Callable[..., Head]] = {
    HeadKind.TOKENS: TokensHead,
    HeadKind.SENTENCE: DenseHead,
    HeadKind.REPLACED: DenseHead,
    HeadKind.CLASSES: DenseHead,
    HeadKind.REGRESSION: DenseHead,
    HeadKind.SPAN: DenseHead,
    HeadKind.ATTRIBUTE: DenseHead,
    HeadKind.LENGTH: DenseHead,
}


def make_heads(config: ModelConfig, *, key: PRNGKeyArray) -> dict[str, Head]:
    """Those of a model, by the names of their outputs."""
    return {head.kind.value: HEADS[head.kind](head, config, key=key) for head in config.heads}
