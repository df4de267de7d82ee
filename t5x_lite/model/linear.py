"""The one matrix product of the model: parameters used in the activations' dtype, or of 8 bits."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from t5x_lite.model import parameters, rounding
from t5x_lite.model.dropout import NO_DROPOUT, Dropout
from t5x_lite.model.lora import Lora
from t5x_lite.model.precision import precision_of
from t5x_lite.model.quantization import quantized_parameter
from t5x_lite.model.quantization_config import QuantizationConfig
from t5x_lite.partitioning.constrain import constrain, num_pieces, platform

# A product of what is read with a kernel.
Contract = Callable[..., Array]


class Linear(nnx.Module):
    """`x @ kernel`, a bias if asked for; fine-tuning may have added a low-rank term."""

    def __init__(self, kernel: nnx.Param, *, bias: bool = False, lora: Lora | None = None):
        self.kernel = kernel
        out_dim, out_axis = kernel[...].shape[-1], kernel.get_metadata("axes")[-1]
        self.bias = parameters.zeros((out_dim,), axes=(out_axis,)) if bias else None
        self.lora = lora
        # Of inference, see `quantize`.
        self.kernel_scale: nnx.Param | None = None
        # Of products of 8 bits, see `round_to`.
        self.quantization: QuantizationConfig | None = None
        self.input_range: nnx.Param | None = None

    def round_to(self, config: QuantizationConfig, place: str) -> None:
        """Makes products of 8 bits of its own, with a range that is not known yet.

        Args:
            place: the name under which the range of what it reads is noted.
        """
        self.quantization = config
        shape = (*self.kernel[...].shape[:-2], 2)
        zeros = parameters.zeros(shape, axes=("range_ends",))
        zeros.set_metadata("place", place)
        self.input_range = nnx.data(zeros)

    def quantize(self, dtype: Any = jnp.int8) -> None:
        """The kernel as int8, or its whole numbers in another dtype."""
        if self.kernel_scale is None:
            config = self.quantization
            how = {} if config is None else {"granularity": config.granularity}
            self.kernel, scale = quantized_parameter(self.kernel, axis=-2, **how)
            self.kernel_scale = nnx.data(scale)
        axes = self.kernel.get_metadata("axes")
        self.kernel = nnx.Param(self.kernel[...].astype(dtype), axes=axes)

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

        def contract(x: Array, kernel: Array, **how: Any) -> Array:
            return of_rows(lambda rows: jnp.matmul(rows, kernel, precision=precision, **how), x)

        product = self._finished(self._product(x, contract))
        return product if self.lora is None else product + self.lora(x, dropout)

    def of_copies(
        self, x: Float[Array, "pieces batch length in_dim"]
    ) -> Float[Array, "batch length out_dim"]:
        """The product where every piece of out_dim has a copy of `x` of its own, so that gradients
        of copies stay on their devices: whoever made them sums once for all that read them.
        """
        assert self.lora is None, "a low-rank term is not split as the kernel is"
        out_axis, precision = self.kernel.get_metadata("axes")[-1], precision_of(x.dtype)

        def contract(x: Array, kernel: Array, **how: Any) -> Array:
            pieces = kernel.reshape(kernel.shape[0], x.shape[0], -1)
            pieces = constrain(pieces, (None, out_axis, None))
            product = jnp.einsum("pbli,ipo->blpo", x, pieces, precision=precision, **how)
            return product.reshape(*product.shape[:2], -1)

        return self._finished(self._product(x, contract))

    def _product(self, x: Float[Array, "*rows in_dim"], contract: Contract) -> Array:
        """Without the bias; in the dtype of `x`."""
        if self.input_range is not None:
            return self._product_of_steps(x, self.input_range, contract)
        product = contract(x, self._placed(self.kernel[...].astype(x.dtype)))
        if self.kernel_scale is None:
            return product
        return product * self.kernel_scale[...].astype(x.dtype)[None, None, :]

    def _product_of_steps(
        self, x: Float[Array, "*rows in_dim"], input_range: nnx.Param, contract: Contract
    ) -> Array:
        """The same of 8 bits: of integers where the kernel is int8, else of their values."""
        rounding.observe(input_range.get_metadata("place"), x)
        grid = rounding.grid_of(input_range[...])
        kernel, kernel_step = self._kernel_steps()
        if kernel.dtype == jnp.int8:
            kernel = self._placed(kernel)
            integers, offset = rounding.integers_of(x, grid)
            sums = contract(integers, kernel, preferred_element_type=jnp.int32)
            columns = jnp.sum(kernel, axis=0, dtype=jnp.int32)
            sums = sums + offset * columns[None, None, :]
        else:
            kernel = self._placed(kernel.astype(x.dtype))
            sums = contract(rounding.steps_of(x, grid), kernel)
        step = grid.step * kernel_step
        return (sums.astype(jnp.float32) * step[None, None, :]).astype(x.dtype)

    def _kernel_steps(self) -> tuple[Array, Float[Array, "out_dim"]]:
        """Whole numbers, and what one of them is in each channel."""
        kernel = self.kernel[...]
        if self.kernel_scale is not None:
            return kernel, self.kernel_scale[...].astype(jnp.float32)
        assert self.quantization is not None, "a range comes with it"
        step = rounding.step_of(kernel, -2, self.quantization.granularity)
        return rounding.steps_of_weights(kernel, step), step[0]

    def _placed(self, kernel: Shaped[Array, "in_dim out_dim"]) -> Array:
        """Where it is split over `data` it travels here, in the dtype of the product."""
        return constrain(kernel, self.kernel.get_metadata("axes"))

    def _finished(self, product: Float[Array, "batch length out_dim"]) -> Array:
        """With the bias."""
        if self.bias is None:
            return product
        return product + self.bias[...].astype(product.dtype)[None, None, :]


def of_rows(product: Callable[[Array], Array], x: Shaped[Array, "batch length in_dim"]) -> Array:
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
    if linears[0].input_range is not None:  # what reads the same has seen the same
        row.input_range = nnx.data(linears[0].input_range)
    return row


def part_of(row: Linear, x: Float[Array, "batch length in_dim"], part: int, count: int) -> Array:
    """The product of one of the `count` that were joined. Each computes the whole row, which the
    compiler finds to be one product.
    """
    return jnp.split(row(x), count, axis=-1)[part]
