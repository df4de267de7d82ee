import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.optim.per_layer import per_layer


def test_a_statistic_is_of_one_layer():
    """The reason for this function: a mean over all layers mixes what has nothing in common."""
    tensor = jnp.asarray([[1.0, 3.0], [10.0, 30.0]])
    np.testing.assert_array_equal(per_layer(jnp.mean, ("layers", "embed"))(tensor), [2.0, 20.0])
    np.testing.assert_array_equal(per_layer(jnp.mean, ("embed", "mlp"))(tensor), 11.0)


def test_layers_must_lead():
    with pytest.raises(ValueError, match="'layers' comes first"):
        per_layer(jnp.mean, ("embed", "layers"))
