"""What a process that trains on one CPU does with memory that a step no longer needs: it keeps it.

A step of XLA takes a gigabyte of temporaries and gives it back. The C library returns so large a
piece to the system at once, so that the next step has each of its pages made anew: a tenth of the
time of a step of T5.1.1-small, and more where pages are dear.
"""

import ctypes
import os

import jax

# malloc.h of glibc.
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_NEVER = -1


def compute_in_calling_thread() -> None:
    """Makes JAX run programs of one CPU device in the thread that calls them, whose memory alone
    `keep_freed` can keep. Call it before JAX starts a backend; other devices do not feel it.
    """
    jax.config.update("jax_cpu_enable_async_dispatch", False)


def keep_freed() -> None:
    """Makes the C library keep what is freed for what is asked for next, if it is glibc."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, _NEVER)
