"""Tensors without their zeros come back bit for bit, in the form that takes fewer bytes."""

import json

import ml_dtypes
import numpy as np
import pytest
import safetensors
from etils import epath

from t5x_lite.checkpoints import sparse_tensors


def tensor_of(shape, share, dtype=np.float32):
    """Random, a share of it 0; one of the rest is -0.0, one not a number."""
    rng = np.random.default_rng(0)
    tensor = (20 * rng.standard_normal(shape) + 0.5).astype(dtype)
    tensor[tensor == 0] = 1
    tensor[rng.random(shape) < share] = 0
    if dtype != np.int8:
        tensor.flat[:2] = [-0.0, np.nan]
    return tensor


@pytest.mark.parametrize("dtype", [np.float32, ml_dtypes.bfloat16, np.int8])
@pytest.mark.parametrize(
    ("shape", "share", "form"),
    [
        ((2, 40, 300), 0.9, {"bitmap"}),
        ((2, 40, 300), 0.99, {"counts", "columns"}),
        ((40, 256), 1.0, None),
        ((4000,), 0.8, {"bitmap"}),
    ],
)
def test_what_is_read_is_what_was_written(shape, share, form, dtype):
    tensor = tensor_of(shape, share, dtype)
    parts = sparse_tensors.encode(tensor)
    assert form is None or parts.keys() == {"values"} | form
    assert sum(part.nbytes for part in parts.values()) < tensor.nbytes
    found = sparse_tensors.decode(parts, shape)
    assert found.dtype == tensor.dtype
    assert found.tobytes() == tensor.tobytes()


@pytest.mark.parametrize("shape", [(3, 50), (70,), (), (0, 4)])
def test_a_dense_tensor_is_left_to_others(shape):
    assert sparse_tensors.encode(np.ones(shape, np.float32)) is None


def test_the_forms_cost_what_they_say():
    """At a tenth of weights a bit each and 4 bytes of those; of 1 % their columns are cheaper."""
    for left, each in ((0.1, 4 + 1 / 8 / 0.1), (0.01, 4 + 2)):
        tensor = np.zeros((768, 3072), np.float32)
        count = round(left * tensor.size)
        tensor.flat[np.random.default_rng(0).choice(tensor.size, count, replace=False)] = 1.0
        parts = sparse_tensors.encode(tensor)
        found = sum(part.nbytes for part in parts.values())
        assert found == pytest.approx(each * count, rel=0.02)


def test_a_file_has_only_what_it_makes_smaller(tmp_path):
    """Names, shapes and types are known without a value."""
    tensors = {"a/kernel": tensor_of((4, 60), 0.9), "b": np.ones((4, 60), np.float32)}
    content, names = sparse_tensors.without_zeros(tensors)
    assert names == ["a/kernel"]
    folder = epath.Path(tmp_path) / sparse_tensors.FOLDER
    folder.mkdir()
    (folder / sparse_tensors.FILE).write_bytes(content)
    shapes = sparse_tensors.shapes(epath.Path(tmp_path))
    assert {name: (leaf.shape, leaf.dtype) for name, leaf in shapes.items()} == {
        "a/kernel": ((4, 60), np.float32)
    }
    ((name, found),) = sparse_tensors.read(epath.Path(tmp_path), shapes)
    assert found.tobytes() == tensors[name].tobytes()
    with safetensors.safe_open(folder / sparse_tensors.FILE, framework="np") as file:
        assert json.loads(file.metadata()["tensors"]) == {"a/kernel": [[4, 60], "float32"]}
    assert sparse_tensors.shapes(epath.Path(tmp_path) / "elsewhere") == {}
