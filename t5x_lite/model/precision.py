"""In which numbers activations are held and multiplied."""

import jax
import jax.numpy as jnp

from t5x_lite.model.choices import ActivationDtype
from t5x_lite.partitioning.constrain import platform


def activation_dtype(choice: ActivationDtype) -> jnp.dtype:
    """The dtype activations really have; AUTO asks which kind of device runs the program, which
    need not be one of this machine.
    """
    if choice is ActivationDtype.AUTO:
        choice = ActivationDtype.FLOAT32 if platform() == "cpu" else ActivationDtype.BFLOAT16
    return jnp.dtype(choice.value)


def precision_of(dtype: jnp.dtype) -> jax.lax.Precision:
    """Whoever asks for float32 activations gets float32 products on every device.

    Accelerators otherwise round float32 operands to bfloat16 or TF32 before they multiply.
    """
    return jax.lax.Precision.HIGHEST if dtype == jnp.float32 else jax.lax.Precision.DEFAULT
