"""LoRA (Hu et al. 2021): a trained product of two thin matrices beside a kernel that is frozen.

    y = x W + alpha / rank * dropout(x) A B

B begins as zero, so the model starts as the pre-trained one, to the last bit.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from t5x_lite.model import parameters
from t5x_lite.model.choices import KERNELS
from t5x_lite.model.config import LoraConfig
from t5x_lite.model.dropout import Dropout
from t5x_lite.model.precision import precision_of

# Numbers that no module folds into its key for its own kernels, one for each kernel.
_FIRST_NUMBER = 16


class Lora(nnx.Module):
    """A and B of one kernel; what is split over devices of the kernel is split of them."""

    def __init__(self, config: LoraConfig, kernel: nnx.Param, *, key: PRNGKeyArray):
        self.config = config
        in_dim, out_dim = kernel[...].shape
        in_axis, out_axis = kernel.get_metadata("axes")
        # Uniform within in_dim ** -0.5, as in PEFT.
        self.a = parameters.uniform(
            key, (in_dim, config.rank), axes=(in_axis, "lora_rank"), stddev=(3 * in_dim) ** -0.5
        )
        self.b = parameters.zeros((config.rank, out_dim), axes=("lora_rank", out_axis))

    def __call__(
        self, x: Float[Array, "batch length in_dim"], dropout: Dropout
    ) -> Float[Array, "batch length out_dim"]:
        """The low-rank term, in the dtype of `x`."""
        own = dataclasses.replace(dropout, rate=self.config.dropout_rate)
        precision = precision_of(x.dtype)
        low = jnp.matmul(own(x, "lora"), self.a[...].astype(x.dtype), precision=precision)
        term = jnp.matmul(low, self.b[...].astype(x.dtype), precision=precision)
        return term * (self.config.alpha / self.config.rank)


def make_lora(
    config: LoraConfig | None, name: str, kernel: nnx.Param, *, key: PRNGKeyArray
) -> Lora | None:
    """The low-rank term of the kernel `name`, if the config targets it.

    Args:
        key: of the module the kernel belongs to; what that draws stays the same.
    """
    if config is None or name not in config.targets:
        return None
    own = jax.random.fold_in(key, _FIRST_NUMBER + KERNELS.index(name))
    return Lora(config, kernel, key=own)
