"""The feed-forward sub-layer: one activation, or the product of several (a gated unit)."""

import functools
import operator
from collections.abc import Callable

import jax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.model import maxima
from t5x_lite.model.config import LoraConfig, MLPConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.initializer import Initializer
from t5x_lite.model.linear import Linear, joined, part_of
from t5x_lite.model.lora import make_lora
from t5x_lite.model.rematerialization import named
from t5x_lite.partitioning.constrain import constrain

FUNCTION_OF: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "gelu": functools.partial(jax.nn.gelu, approximate=True),
    "gelu_erf": functools.partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "tanh": jax.numpy.tanh,
    "linear": lambda x: x,
}


class MLP(nnx.Module):
    """wo(relu(wi x)) in T5 v1.0, wo(gelu(wi_0 x) * (wi_1 x)) in v1.1; a bias each if asked for."""

    def __init__(
        self,
        config: MLPConfig,
        embed_dim: int,
        *,
        init: Initializer,
        key: PRNGKeyArray,
        lora: LoraConfig | None = None,
    ):
        self.config = config
        names = config.inward_names
        for name, inward_key in zip(names, jax.random.split(key, len(names)), strict=True):
            kernel = init.kernel(
                inward_key,
                (embed_dim, config.mlp_dim),
                axes=("embed", "mlp"),
                t5_stddev=embed_dim**-0.5,
                t5_truncated=True,
            )
            term = make_lora(lora, name, kernel, key=key)
            setattr(self, name, Linear(kernel, bias=config.bias, lora=term))
        kernel = init.kernel(
            jax.random.fold_in(key, len(names)),
            (config.mlp_dim, embed_dim),
            axes=("mlp", "embed"),
            t5_stddev=config.mlp_dim**-0.5,
            t5_truncated=True,
            ends_residual=True,
        )
        term = make_lora(lora, "wo", kernel, key=key)
        self.wo = Linear(kernel, bias=config.bias, lora=term)
        # Of decoding, see `put_in_a_row`.
        self.row: Linear | None = None

    def quantize(self) -> None:
        """The kernels into the hidden units as int8."""
        for name in self.config.inward_names:
            getattr(self, name).quantize()

    def put_in_a_row(self) -> None:
        """As decoding reads the kernels of the branches."""
        names = self.config.inward_names
        self.row = nnx.data(joined([getattr(self, name) for name in names]))
        for name in names if self.row is not None else ():
            delattr(self, name)

    def __call__(
        self, x: Float[Array, "batch length embed"], dropout: Dropout
    ) -> Float[Array, "batch length embed"]:
        """Position by position, as wide as `x`."""
        branches = [
            FUNCTION_OF[activation](self._branch(number, x, dropout))
            for number, activation in enumerate(self.config.activations)
        ]
        hidden = functools.reduce(operator.mul, branches)
        hidden = constrain(hidden, ("batch", "length", "mlp"))
        maxima.observe("hidden", hidden)
        out = named(self.wo(dropout(hidden, "hidden"), dropout.fold("wo")), "wo")
        maxima.observe("output", out)
        return constrain(out, ("batch", "length", "embed"))

    def _branch(
        self, number: int, x: Float[Array, "batch length embed"], dropout: Dropout
    ) -> Float[Array, "batch length mlp"]:
        names = self.config.inward_names
        if self.row is not None:
            return part_of(self.row, x, number, len(names))
        name = names[number]
        return named(getattr(self, name)(x, dropout.fold(name)), name)
