"""The one device that all parts of JAX run on, and how much of its memory was taken."""

import resource

import jax

_KILOBYTE = 1024


def device() -> jax.Device:
    """The first of those that JAX takes by itself."""
    return jax.devices()[0]


def card() -> str:
    """As JAX calls it."""
    return device().device_kind


def peak_bytes() -> int:
    """The most that was taken at a time; of a CPU what the process has taken."""
    known = device().memory_stats()
    if known and "peak_bytes_in_use" in known:
        return known["peak_bytes_in_use"]
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _KILOBYTE
