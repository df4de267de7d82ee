"""The one matrix product of the model: a float32 kernel, used in the activations' dtype."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.lora import Lora
from t5x_lite.model.precision import precision_of


class Linear(nnx.Module):
    """`x @ kernel`, no bias; fine-tuning may have added a low-rank term."""

    def __init__(self, kernel: nnx.Param, lora: Lora | None = None):
        self.kernel = kernel
        self.lora = lora

    def __call__(
        self, x: Float[Array, "batch length in_dim"], dropout: Dropout = NO_DROPOUT
    ) -> Float[Array, "batch length out_dim"]:
        """The product, in the dtype of `x`; `dropout` is the low-rank term's alone."""
        kernel = self.kernel[...].astype(x.dtype)
        product = jnp.matmul(x, kernel, precision=precision_of(x.dtype))
        return product if self.lora is None else product + self.lora(x, dropout)
