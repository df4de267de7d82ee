"""The plugin, used as a user would: in a folder of his own, in another pytest."""

import pathlib
import re
import subprocess
import sys

import jax.numpy as jnp
import jaxtyping
import numpy as np
import pytest

from t5x_lite import testing
from t5x_lite.model import draws

USER_FILES = {
    "conftest.py": """
import sys
pytest_plugins = ["t5x_lite.testing"]

def pytest_collection(session):
    assert "jax" not in sys.modules, "JAX is imported before a test needs it"
""",
    "my_tasks.py": """
import functools, seqio, tensorflow as tf

def examples(split, shuffle_files, seed=None):
    words = ["one", "two", "three", "four", "five", "six"] * 8
    return tf.data.Dataset.from_tensor_slices({"inputs": words, "targets": words[1:] + words[:1]})

feature = seqio.Feature(seqio.ByteVocabulary(), add_eos=True)
seqio.TaskRegistry.add(
    "counting",
    source=seqio.FunctionDataSource(examples, splits=["train"]),
    preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos],
    output_features={"inputs": feature, "targets": feature},
)
""",
    "test_my_tasks.py": """
import pytest

def test_devices(simulated_mesh):
    assert dict(simulated_mesh.shape) == {"data": 2, "model": 2}

@pytest.mark.parametrize("architecture", ["ENCODER_DECODER", "PREFIX_LM"])
def test_it_trains(architecture):
    import my_tasks
    from t5x_lite.features.layouts import Layout
    from t5x_lite.testing import assert_task_trains
    losses = assert_task_trains(
        "counting", {"inputs": 16, "targets": 16}, architecture=Layout[architecture]
    )
    assert losses[-1] < 0.8 * losses[0]

def test_a_wrong_name():
    from t5x_lite.testing import assert_task_trains
    with pytest.raises(ValueError, match="counting"):
        assert_task_trains("countin", {"inputs": 16, "targets": 16})
""",
}


@pytest.mark.slow
def test_a_users_ci_gets_a_mesh_and_trains_his_task(tmp_path):
    """Three files of his own and one option; nothing of this session's devices reaches it."""
    for name, text in USER_FILES.items():
        (tmp_path / name).write_text(text)
    result = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--t5x-lite-cpu-devices=4", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
        check=False,
        timeout=300,
    )
    assert result.returncode == 0, result.stdout[-4000:] + result.stderr[-2000:]
    assert "4 passed" in result.stdout


def batch(**changes):
    tokens = np.ones((2, 3), np.int32)
    features = {"encoder_input_tokens": tokens, "encoder_segment_ids": tokens}
    return features | {"decoder_loss_weights": tokens} | changes


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder_input_tokens": np.full((2, 3), 64, np.int32)}, "ids from 64 to 64.*0 to 63"),
        ({"encoder_segment_ids": np.zeros((2, 3), np.int32)}, "encoder's .*batch 1 is all padding"),
        ({"decoder_loss_weights": np.zeros((2, 3), np.int32)}, "no token of batch 1 counts"),
    ],
)
def test_batches_that_teach_nothing_are_explained(changes, message):
    """A NaN or a flat loss after a long compilation would not say which."""
    testing._check_batches([batch()], "mine", 64)
    with pytest.raises(AssertionError, match=message):
        testing._check_batches([batch(), batch(**changes)], "mine", 64)


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ([4.0, 3.0, float("nan"), 1.0] * 2, "loss of step 2 is nan"),
        ([4.0, 3.0, 2.0, 1.0, 1.0, 2.0, 3.0, 4.0], "loss is 2.500, at the start it was 2.500"),
    ],
)
def test_a_loss_that_does_not_fall_is_explained(losses, message):
    with pytest.raises(AssertionError, match=message):
        testing._check_losses(losses, "mine")
    testing._check_losses([4.0, 4.0, 4.0, 4.0, 3.0, 3.0, 3.0, 3.0], "mine")


def test_shapes_of_signatures_are_checked_in_tests():
    """What takes rows, places and a vocabulary is not given a matrix."""
    with pytest.raises(jaxtyping.TypeCheckError, match="rows places vocab"):
        draws.ids(jnp.zeros((2, 3)))


@pytest.mark.parametrize(
    ("mark", "rooms"),
    [
        ("parity", r"-m parity tests/(\w+)"),
        ("tpu_compiler", r"-m tpu_compiler .*tests/,([\w ]+)\)"),
    ],
)
def test_make_collects_each_room_of_a_mark(mark, rooms):
    """A test elsewhere would never be run."""
    tests = pathlib.Path(__file__).parent
    collected = re.search(rooms, (tests.parent / "Makefile").read_text())[1].split()
    found = {
        path.relative_to(tests).parts[0]
        for path in tests.rglob("test_*.py")
        if f"pytest.mark.{mark}" in path.read_text()
    }
    assert found == set(collected)
