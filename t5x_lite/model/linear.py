"""The one matrix product of the model: float32 parameters, used in the activations' dtype."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from t5x_lite.model import parameters
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.lora import Lora
from t5x_lite.model.precision import precision_of
from t5x_lite.partitioning.constrain import constrain


class Linear(nnx.Module):
    """`x @ kernel`, a bias if asked for; fine-tuning may have added a low-rank term."""

    def __init__(self, kernel: nnx.Param, *, bias: bool = False, lora: Lora | None = None):
        self.kernel = kernel
        out_dim, out_axis = kernel[...].shape[-1], kernel.get_metadata("axes")[-1]
        self.bias = parameters.zeros((out_dim,), axes=(out_axis,)) if bias else None
        self.lora = lora

    def __call__(
        self,
        x: Float[Array, "batch length in_dim"],
        dropout: Dropout = NO_DROPOUT,
        *,
        precision: jax.lax.Precision | None = None,
    ) -> Float[Array, "batch length out_dim"]:
        """The product, in the dtype of `x`; `dropout` is the low-rank term's alone.

        Args:
            precision: of the product; None is what the dtype of `x` asks for.
        """
        precision = precision_of(x.dtype) if precision is None else precision
        # Where it is split over `data` it travels here, in the dtype of the product.
        kernel = constrain(self.kernel[...].astype(x.dtype), self.kernel.get_metadata("axes"))
        product = jnp.matmul(x, kernel, precision=precision)
        if self.bias is not None:
            product = product + self.bias[...].astype(x.dtype)[None, None, :]
        return product if self.lora is None else product + self.lora(x, dropout)
