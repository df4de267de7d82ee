"""Groups of parameters: which one a parameter belongs to, and what it does there."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.optim.config import AdafactorConfig, AdamWConfig, ParameterGroup
from t5x_lite.optim.groups import assign
from t5x_lite.optim.lion import LionConfig
from t5x_lite.optim.optimizer import make_optimizer

RATE = 0.01
AXES = {
    "encoder": {"layers": {"wi": ("layers", "embed", "mlp")}, "norm": ("embed",)},
    "decoder": {"layers": {"wi": ("layers", "embed", "mlp")}},
    "table": ("vocab", "embed"),
}


def random_tree(seed):
    """Three layers in each stack."""
    rng = np.random.default_rng(seed)
    shapes = {
        "encoder": {"layers": {"wi": (3, 4, 5)}, "norm": (4,)},
        "decoder": {"layers": {"wi": (3, 4, 5)}},
        "table": (6, 4),
    }
    return jax.tree.map(
        lambda shape: jnp.asarray(rng.normal(size=shape), jnp.float32),
        shapes,
        is_leaf=lambda node: isinstance(node, tuple),
    )


PARAMETERS, GRADIENTS = random_tree(0), random_tree(1)


def group(pattern, **fields):
    return ParameterGroup(pattern=pattern, **fields)


def grouped(*groups, decay=0.0):
    return assign(groups, AXES, PARAMETERS, weight_decay=decay)


def updates(config, *groups):
    """The first updates of all parameters, none of them frozen."""
    treatments = grouped(*groups, decay=config.weight_decay).treatments
    optimizer = make_optimizer(config, lambda step: jnp.float32(RATE), AXES, treatments)
    return optimizer.update(GRADIENTS, optimizer.init(PARAMETERS), PARAMETERS)[0]


CONFIGS = pytest.mark.parametrize(
    "config",
    [each(weight_decay=0.25) for each in (AdafactorConfig, AdamWConfig, LionConfig)],
    ids=type,
)


@CONFIGS
def test_learning_rates_multiply_updates_layer_by_layer(config):
    """Of overlapping groups the first wins; what no group names moves as without groups."""
    plain = updates(config)
    found = updates(
        config,
        group("encoder/.*", layers=(1, 2), learning_rate=4.0),
        group("encoder/layers/.*", learning_rate=0.5),
    )
    wi, plain_wi = found["encoder"]["layers"]["wi"], plain["encoder"]["layers"]["wi"]
    np.testing.assert_array_equal(wi, plain_wi * np.float32([0.5, 4, 4])[:, None, None])
    np.testing.assert_array_equal(found["encoder"]["norm"], plain["encoder"]["norm"])
    np.testing.assert_array_equal(
        found["decoder"]["layers"]["wi"], plain["decoder"]["layers"]["wi"]
    )


@CONFIGS
def test_weight_decay_takes_the_same_share_of_each_parameter(config):
    """Decoupled: rate * decay * parameter more, whatever the gradient."""
    without = updates(config, group(".*", weight_decay=0.0))
    found = updates(config, group("table", weight_decay=0.5), group("decoder/.*", weight_decay=0.0))

    def decayed(name):
        return (without[name] - found[name]) / (RATE * PARAMETERS[name])

    np.testing.assert_allclose(decayed("table"), 0.5, rtol=1e-3)
    share = (without["encoder"]["norm"] - found["encoder"]["norm"]) / PARAMETERS["encoder"]["norm"]
    np.testing.assert_allclose(share / RATE, 0.25, rtol=1e-3)
    np.testing.assert_array_equal(
        found["decoder"]["layers"]["wi"], without["decoder"]["layers"]["wi"]
    )


def test_adafactor_decays_nothing_by_default():
    """T5 was trained so."""
    assert AdafactorConfig().weight_decay == 0.0


def test_what_is_frozen_leaves_the_trees_and_comes_back_as_it_was():
    """Folders of frozen leaves go with them; a frozen layer keeps even a negative zero."""
    groups = grouped(
        group("encoder/.*", frozen=True), group("decoder/.*", layers=(0, 1), frozen=True)
    )
    trainable = groups.trainable(PARAMETERS)
    assert set(trainable) == {"decoder", "table"}
    assert groups.trainable(AXES)["table"] == ("vocab", "embed")
    whole = groups.whole(trainable, PARAMETERS)
    assert jax.tree.structure(whole) == jax.tree.structure(PARAMETERS)
    assert all(
        one is other
        for one, other in zip(jax.tree.leaves(whole), jax.tree.leaves(PARAMETERS), strict=True)
    )

    negative_zeros = jax.tree.map(lambda leaf: jnp.full_like(leaf, -0.0), PARAMETERS)
    zeros = jax.tree.map(jnp.zeros_like, trainable)
    after = groups.apply(negative_zeros, zeros)
    signs = np.signbit(after["decoder"]["layers"]["wi"]).all(axis=(1, 2))
    assert list(signs) == [True, True, False]
    assert np.signbit(after["encoder"]["norm"]).all()


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        ([group("encodr/.*")], "matches no parameter.*encoder/norm"),
        ([group("encoder")], "'encoder/.\\*' matches 2"),
        ([group("table", layers=(0, 1))], "such as table, are no layers of a stack"),
        ([group("decoder/.*", layers=(2, 3))], "have layers 0 to 2"),
        ([group(".*/wi"), group("decoder/.*")], "group 2, pattern='decoder/.\\*', is left without"),
        ([group("table", frozen=True), group(".*", frozen=True)], "nothing to train"),
    ],
)
def test_a_group_that_cannot_be_meant_is_an_error(groups, expected):
    """It would otherwise change nothing, or not what was thought of."""
    with pytest.raises(ValueError, match=expected):
        grouped(*groups)


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"pattern": "("}, "no regular expression"),
        ({"layers": (2, 1)}, "both included"),
        ({"learning_rate": 0.0}, "needed is more than 0"),
        ({"weight_decay": -0.1}, "weight_decay=-0.1: needed is at least 0"),
        ({"frozen": True, "learning_rate": 2.0}, "leave out one"),
    ],
)
def test_values_of_a_group_are_checked_where_it_is_made(fields, expected):
    """Before JAX is loaded."""
    with pytest.raises(ValueError, match=expected):
        group(**({"pattern": ".*"} | fields))


def test_the_table_says_what_each_group_holds():
    """Of a stack the layers that belong to it."""
    table = grouped(
        group("encoder/.*", frozen=True),
        group("decoder/.*", layers=(0, 1), learning_rate=0.5, weight_decay=0.1),
        group("decoder/.*", layers=(2, 2)),
    ).table
    rows = [line.split("  ") for line in table.splitlines()]
    cells = [[cell.strip() for cell in row if cell.strip()] for row in rows]
    assert cells == [
        ["parameter group", "tensors", "parameters", "learning rate", "weight decay"],
        ["encoder/.*", "2", "64", "frozen", "-"],
        ["decoder/.*, layers 0 to 1", "1", "40", "x 0.5", "0.1"],
        ["decoder/.*, layer 2", "1", "20", "x 1", "0"],
        ["all others", "1", "24", "x 1", "0"],
    ]
    assert grouped().table == ""
