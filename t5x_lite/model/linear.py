"""The one matrix product of the model: parameters used in the activations' dtype."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from t5x_lite.model import parameters
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.lora import Lora
from t5x_lite.model.precision import precision_of
from t5x_lite.model.quantization import quantized_parameter
from t5x_lite.partitioning.constrain import constrain, num_pieces, platform


class Linear(nnx.Module):
    """`x @ kernel`, a bias if asked for; fine-tuning may have added a low-rank term."""

    def __init__(self, kernel: nnx.Param, *, bias: bool = False, lora: Lora | None = None):
        self.kernel = kernel
        out_dim, out_axis = kernel[...].shape[-1], kernel.get_metadata("axes")[-1]
        self.bias = parameters.zeros((out_dim,), axes=(out_axis,)) if bias else None
        self.lora = lora
        # Of inference, see `quantize`.
        self.kernel_scale: nnx.Param | None = None

    def quantize(self) -> None:
        """The kernel as int8."""
        kernel, scale = quantized_parameter(self.kernel, axis=-2)
        self.kernel, self.kernel_scale = kernel, nnx.data(scale)

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
        kernel = self._kernel(x.dtype)
        product = self._finished(
            of_rows(lambda rows: jnp.matmul(rows, kernel, precision=precision), x)
        )
        return product if self.lora is None else product + self.lora(x, dropout)

    def of_copies(
        self, x: Float[Array, "pieces batch length in_dim"]
    ) -> Float[Array, "batch length out_dim"]:
        """The product where every piece of out_dim has a copy of `x` of its own, so that gradients
        of copies stay on their devices: whoever made them sums once for all that read them.
        """
        assert self.lora is None, "a low-rank term is not split as the kernel is"
        out_axis = self.kernel.get_metadata("axes")[-1]
        kernel = self._kernel(x.dtype)
        pieces = kernel.reshape(kernel.shape[0], x.shape[0], -1)
        pieces = constrain(pieces, (None, out_axis, None))
        product = jnp.einsum("pbli,ipo->blpo", x, pieces, precision=precision_of(x.dtype))
        return self._finished(product.reshape(*product.shape[:2], -1))

    def _kernel(self, dtype: jnp.dtype) -> Float[Array, "in_dim out_dim"]:
        """Where it is split over `data` it travels here, in the dtype of the product."""
        return constrain(self.kernel[...].astype(dtype), self.kernel.get_metadata("axes"))

    def _finished(self, product: Float[Array, "batch length out_dim"]) -> Array:
        """With the scale of each channel, if it has one, and the bias."""
        if self.kernel_scale is not None:
            product = product * self.kernel_scale[...].astype(product.dtype)[None, None, :]
        if self.bias is None:
            return product
        return product + self.bias[...].astype(product.dtype)[None, None, :]


def of_rows(product: Callable[[Array], Array], x: Float[Array, "batch length in_dim"]) -> Array:
    """`product(x)`, on a CPU of [batch * length, in_dim]: the gradient of a product with a kernel
    then sums over one dimension, for which no operand has to be transposed. Where a mesh splits
    rows or positions they stay apart.
    """
    if platform() != "cpu" or num_pieces(("batch", "length")) != (1, 1):
        return product(x)
    out = product(x.reshape(-1, x.shape[-1]))
    return out.reshape(*x.shape[:-1], out.shape[-1])


def joined(linears: Sequence[Linear]) -> Linear | None:
    """One for several as wide as each other that read the same, whose kernels lie side by side: few
    rows read one large kernel at a higher bandwidth. None where they learn a low-rank term, or a
    mesh splits them.
    """
    out_axis = linears[0].kernel.get_metadata("axes")[-1]
    if any(linear.lora is not None for linear in linears) or num_pieces((out_axis,)) != (1,):
        return None
    row = Linear(parameters.joined([linear.kernel for linear in linears]))
    for name in ("bias", "kernel_scale"):
        each = [getattr(linear, name) for linear in linears]
        if each[0] is not None:
            setattr(row, name, nnx.data(parameters.joined(each)))
    return row


def part_of(row: Linear, x: Float[Array, "batch length in_dim"], part: int, count: int) -> Array:
    """The product of one of the `count` that were joined. Each computes the whole row, which the
    compiler finds to be one product.
    """
    return jnp.split(row(x), count, axis=-1)[part]
