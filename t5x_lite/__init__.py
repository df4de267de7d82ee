"""t5x_lite: text-to-text transfer learning in JAX, from a laptop to a TPU pod."""

__version__ = "0.1.0"
