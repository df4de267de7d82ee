"""Stacked and unstacked layers are two layouts of the same numbers."""

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import remap


def unstacked(num_layers: int) -> dict:
    generator = np.random.default_rng(0)

    def layer() -> dict:
        return {
            "mlp": {"wi": {"kernel": generator.normal(size=(2, 3)).astype(np.float32)}},
            "norm": {"scale": generator.normal(size=2).astype(np.float32)},
        }

    layers = {f"layers_{index}": layer() for index in range(num_layers)}
    return {"encoder": {**layers, "encoder_norm": {"scale": np.ones(2, np.float32)}}}


@pytest.mark.parametrize("num_layers", [1, 3, 12])
def test_unstacking_undoes_stacking(num_layers):
    """12 layers, because names sort 0, 1, 10, 11, 2 and numbers do not."""
    tree = unstacked(num_layers)
    jax.tree.map(
        np.testing.assert_array_equal,
        remap.unstack_layers(remap.stack_layers(tree)),
        tree,
    )


def test_layer_i_lies_at_index_i():
    """The round trip alone would not see layers in a wrong order."""
    tree = unstacked(12)
    stacked = remap.stack_layers(tree)["encoder"]["layers"]["mlp"]["wi"]["kernel"]
    for index in range(12):
        expected = tree["encoder"][f"layers_{index}"]["mlp"]["wi"]["kernel"]
        np.testing.assert_array_equal(stacked[index], expected)


def test_what_is_no_layer_stays():
    """A stack's final norm has no layers axis."""
    tree = unstacked(2)
    stacked = remap.stack_layers(tree)["encoder"]
    assert stacked.keys() == {"layers", "encoder_norm"}
    np.testing.assert_array_equal(stacked["encoder_norm"]["scale"], np.ones(2))


def test_a_hole_in_the_stack_is_an_error():
    """Closing it up would renumber every layer above."""
    tree = unstacked(3)
    del tree["encoder"]["layers_1"]
    with pytest.raises(
        ValueError, match=r"layers \[0, 2\] found, needed is every layer from 0 to 2"
    ):
        remap.stack_layers(tree)
