"""A table of names and transforms is one statement, read in both directions and in parts."""

import jax
import numpy as np
import pytest
import safetensors.numpy

from t5x_lite.checkpoints import safetensors_files
from t5x_lite.checkpoints.formats import names
from t5x_lite.checkpoints.formats.weights import Stored

TABLE = names.parse("""
embedding          same         wte
head/kernel        transposed   lm_head
layers/query       columns:1/2  h.{i}.q_and_k
layers/key         columns:0/2  h.{i}.q_and_k
layers/out/kernel  transposed   h.{i}.out
layers/scale       same         h.{i}.scale
layers/value       split        h.{i}.value
layers/mix         transposed_split  h.{i}.mix
query              lifted       query
""")
TABLE = names.of_heads(TABLE, 3)


def numbers(*shape):
    return np.random.default_rng(sum(shape)).normal(size=shape).astype(np.float32)


PARAMETERS = {
    "embedding": numbers(7, 4),
    "head": {"kernel": numbers(4, 7)},
    "query": numbers(5),
    "layers": {
        "query": numbers(11, 4, 6),
        "key": numbers(11, 4, 6) + 1,
        "out": {"kernel": numbers(11, 6, 4)},
        "scale": numbers(11, 4),
        "value": numbers(11, 5, 9),
        "mix": numbers(11, 9, 5),
    },
}


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """What the table makes of the parameters, in a file."""
    path = tmp_path_factory.mktemp("names") / "model.safetensors"
    safetensors.numpy.save_file(names.to_tensors(TABLE, PARAMETERS), path)
    with safetensors_files.opened(path) as file:
        yield {name: Stored(file, name) for name in file.keys()}


def test_what_was_written_is_read(stored):
    lazy = names.lazy_tree(TABLE, PARAMETERS, stored)
    jax.tree.map(lambda leaf, wanted: np.testing.assert_array_equal(leaf, wanted), lazy, PARAMETERS)


def test_theirs_is_where_the_table_says():
    """The round trip alone would not see layers in a wrong order, or parts in another place."""
    written = names.to_tensors(TABLE, PARAMETERS)
    layers = PARAMETERS["layers"]
    for i in range(11):  # 11, because names sort 0, 1, 10, 2 and numbers do not
        joined = np.concatenate([layers["key"][i], layers["query"][i]], axis=-1)
        np.testing.assert_array_equal(written[f"h.{i}.q_and_k"], joined)
        np.testing.assert_array_equal(written[f"h.{i}.out"], layers["out"]["kernel"][i].T)
        np.testing.assert_array_equal(written[f"h.{i}.scale"], layers["scale"][i])
        apart = layers["value"][i].reshape(5, 3, 3)
        np.testing.assert_array_equal(written[f"h.{i}.value"], apart)
        np.testing.assert_array_equal(written[f"h.{i}.mix"], layers["mix"][i].T.reshape(5, 3, 3))
    np.testing.assert_array_equal(written["lm_head"], PARAMETERS["head"]["kernel"].T)
    np.testing.assert_array_equal(written["query"][0, 0], PARAMETERS["query"])
    assert len(written) == 3 + 5 * 11


def test_shapes_are_those_of_what_is_written():
    written = names.to_tensors(TABLE, PARAMETERS)
    assert names.shapes(TABLE, PARAMETERS) == {name: x.shape for name, x in written.items()}


def test_a_slice_is_the_slice_of_the_whole(stored):
    """From every side, and with open ends as JAX gives them."""
    lazy = names.lazy_tree(TABLE, PARAMETERS, stored)
    for leaf, whole in zip(jax.tree.leaves(lazy), jax.tree.leaves(PARAMETERS), strict=True):
        assert leaf.shape == whole.shape
        for cut in (slice(0, 2), slice(1, 3), slice(2, None), slice(None)):
            index = (cut,) * whole.ndim
            np.testing.assert_array_equal(leaf[index], whole[index])


def test_of_a_split_tensor_only_the_part_is_read(stored, monkeypatch):
    """A process that needs the keys of two rows must not hold the queries too."""
    read = []
    original = Stored.read
    monkeypatch.setattr(
        Stored, "read", lambda self, index=(): read.append(original(self, index)) or read[-1]
    )
    leaf = names.lazy_tree(TABLE, PARAMETERS, stored)["layers"]["key"]
    leaf[3:5, 0:2, 0:6]
    assert [part.shape for part in read] == [(2, 6), (2, 6)]
    leaf = names.lazy_tree(TABLE, PARAMETERS, stored)["layers"]["value"]
    assert leaf[1:2, 0:2, 4:6].shape == (1, 2, 2)  # of the second of three heads
    assert read[-1].shape == (2, 1, 3)


def test_a_parameter_without_a_row_is_not_dropped():
    """Half of a model in a file would be found only by who reads it."""
    with pytest.raises(KeyError, match="adapter/kernel"):
        names.to_tensors(TABLE, PARAMETERS | {"adapter": {"kernel": numbers(2, 2)}})
