"""Keeps TensorFlow, which only reads data here, out of the terminal and off the accelerator."""

import contextlib
import logging
import os
import sys
import tempfile
from collections.abc import Iterator

from t5x_lite.imports import without


def silence_tensorflow() -> None:
    """Imports TensorFlow and SeqIO so that only their errors are shown.

    Call it before anything else imports TensorFlow.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    # SeqIO and TFDS log through absl: cache look-ups, shards, features, at each data set made.
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    # While it starts, TensorFlow's C++ writes regardless of the level. Keras 3, which TensorFlow
    # and its text operations import, has wrappers for the first of these and draws with the second.
    with without("sklearn", "matplotlib"), _stderr_held_back():
        import seqio  # noqa: F401

        hide_accelerators_from_tensorflow()


def hide_accelerators_from_tensorflow() -> None:
    """TensorFlow would otherwise take the GPU memory that JAX needs."""
    import tensorflow as tf

    tf.autograph.set_verbosity(0)
    for kind in ("GPU", "TPU"):
        try:
            tf.config.set_visible_devices([], kind)
        except RuntimeError:
            # The user's own program has started TensorFlow with its devices already.
            logging.getLogger(__name__).warning(
                "TensorFlow already uses its %ss, so it may hold memory that JAX wants; import "
                "t5x_lite.data before using TensorFlow.",
                kind,
            )


@contextlib.contextmanager
def _stderr_held_back() -> Iterator[None]:
    """What C and Python write to standard error is shown only if there is an exception."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, 2)
            os.close(saved)
