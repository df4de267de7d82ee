"""What is installed and not used costs a start nothing."""

import subprocess
import sys

import pytest

from t5x_lite.imports import without


def test_what_is_left_out_can_be_imported_afterwards():
    """Also after an error; what was imported before stays."""
    sys.modules.pop("this", None)
    with pytest.raises(ImportError), without("this", "pytest"):
        assert sys.modules["pytest"] is pytest
        import this  # noqa: F401
    assert "this" not in sys.modules and sys.modules["pytest"] is pytest


@pytest.mark.slow
def test_training_imports_no_library_for_nothing():
    """PyTorch, which takes as long to import as TensorFlow, and what Keras has wrappers for; a
    metric finds them all the same.
    """
    code = (
        "import sys; from t5x_lite.data.silence import silence_tensorflow; silence_tensorflow();"
        "import t5x_lite.training.loop, t5x_lite.evaluation.during_training, t5x_lite.tasks.glue;"
        "print(sorted({'torch', 'sklearn', 'scipy.stats'} & sys.modules.keys()));"
        "from t5x_lite.metrics.classification import f1_score_with_invalid;"
        "print(f1_score_with_invalid([1], [1]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n{'f1': 100.0}\n"
