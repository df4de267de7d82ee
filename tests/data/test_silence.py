"""TensorFlow only reads data here: it says nothing unless something breaks, and takes no GPU."""

import subprocess
import sys

import pytest


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


@pytest.mark.slow
def test_a_data_job_starts_without_a_word():
    """A user's terminal shows the job's own lines, not TensorFlow's about CUDA."""
    result = run(
        "from t5x_lite.data import silence; silence.silence_tensorflow();"
        "import t5x_lite.data.pipeline, tensorflow as tf;"
        "print(tf.data.Dataset.range(3).reduce(0, lambda a, b: a + tf.cast(b, tf.int32)).numpy())"
    )
    assert (result.stdout, result.stderr, result.returncode) == ("3\n", "", 0)


def test_what_is_held_back_is_shown_if_something_breaks():
    """C++ writes past Python, so the file descriptor itself is held back."""
    result = run(
        "import os; from t5x_lite.data.silence import _stderr_held_back\n"
        "with _stderr_held_back(): os.write(2, b'quiet')\n"
        "with _stderr_held_back(): os.write(2, b'the cause'); 1 / 0\n"
    )
    assert "quiet" not in result.stderr
    assert "the cause" in result.stderr and "ZeroDivisionError" in result.stderr
