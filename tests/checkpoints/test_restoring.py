"""Parts, other names, other layouts of layers: every leaf is where it belongs, or is named."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from t5x_lite.checkpoints import manager
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.plan import Source

DEPTH = 12  # names sort 0, 1, 10, 11, 2; numbers do not


def numbers(shape, seed):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def stacked_state():
    """A model of one stack, its slots beside it."""
    layers = {
        "mlp": {"kernel": numbers((DEPTH, 4, 8), 0)},
        "norm": {"scale": numbers((DEPTH, 4), 1)},
    }
    parameters = {"encoder": {"layers": layers, "norm": {"scale": numbers((4,), 2)}}}
    slots = {"v": jax.tree.map(lambda leaf: leaf**2, parameters)}
    return {"step": np.int32(5), "parameters": parameters, "optimizer_state": slots}


def unstacked_state():
    """The same, layer by layer."""
    return {
        name: part if name == "step" else one_by_one(part) for name, part in stacked_state().items()
    }


def one_by_one(tree):
    """Every `layers` as `layers_0`, `layers_1`, ..."""
    if not isinstance(tree, dict):
        return tree
    rest = {key: one_by_one(value) for key, value in tree.items() if key != "layers"}
    if "layers" not in tree:
        return rest
    return rest | {
        f"layers_{i}": jax.tree.map(lambda leaf, i=i: leaf[i], tree["layers"]) for i in range(DEPTH)
    }


def abstract(tree):
    """Over a mesh, kernels divided along their last axis."""
    mesh = Mesh(np.array(jax.devices()).reshape(4, 2), ("x", "y"))

    def leaf(array):
        spec = [None] * array.ndim
        if array.ndim > 1:
            spec[-1] = "x"
        sharding = NamedSharding(mesh, PartitionSpec(*spec))
        return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=sharding)

    return jax.tree.map(leaf, tree)


def save(directory, state):
    checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig())
    checkpoints.save(5, jax.tree.map(jnp.asarray, state), manager.Description(""))
    checkpoints.close()
    return manager.find(directory)


@pytest.fixture(scope="module")
def stacked(tmp_path_factory):
    return save(tmp_path_factory.mktemp("stacked"), stacked_state())


@pytest.fixture(scope="module")
def unstacked(tmp_path_factory):
    return save(tmp_path_factory.mktemp("unstacked"), unstacked_state())


def assert_same(found, expected):
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_layers_stored_one_by_one_are_stacked(unstacked):
    """In the order of their numbers, slots as well, each on the devices where the stack belongs."""
    wanted = abstract(stacked_state())
    found = manager.restore(unstacked, wanted)
    assert_same(found, stacked_state())
    for leaf, want in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        assert leaf.sharding.is_equivalent_to(want.sharding, leaf.ndim)


def test_too_few_or_uneven_layers_do_not_fit(tmp_path):
    """A shorter stack is another model."""
    state = unstacked_state()
    del state["parameters"]["encoder"]["layers_11"]
    short = save(tmp_path, state)
    with pytest.raises(
        ValueError, match=r"mlp/kernel: checkpoint \(11, 4, 8\), model \(12, 4, 8\)"
    ):
        manager.restore(short, abstract(stacked_state()))


def test_bfloat16_is_read_into_float32_and_back(tmp_path, stacked):
    """Every bfloat16 is a float32; the other way rounds."""
    state = stacked_state()
    half = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), state["parameters"])
    wanted = {"parameters": abstract(half)}
    assert_same(manager.restore(stacked, wanted)["parameters"], half)
    saved = save(tmp_path, {"parameters": half})
    wanted = {"parameters": abstract(state["parameters"])}
    exact = jax.tree.map(lambda leaf: leaf.astype(np.float32), half)
    assert_same(manager.restore(saved, wanted)["parameters"], exact)


def test_names_are_mapped_and_none_keeps_the_fresh_value(stacked):
    """T5X's assignment_map: the first pattern that matches the whole name counts."""
    reports = []
    state = stacked_state()
    wanted = {"parameters": {"decoder": state["parameters"]["encoder"]}, "step": state["step"]}
    found = manager.restore(
        stacked,
        abstract(wanted),
        assignment_map=(
            (".*/norm/scale", None),
            (r"parameters/decoder/(.*)", r"parameters/encoder/\1"),
            ("step", None),
        ),
        fresh=lambda names: jax.tree.map(np.zeros_like, wanted),
        on_report=reports.append,
    )
    decoder = found["parameters"]["decoder"]
    assert_same(decoder["layers"]["mlp"], state["parameters"]["encoder"]["layers"]["mlp"])
    assert not np.any(decoder["norm"]["scale"])
    assert not np.any(decoder["layers"]["norm"]["scale"])
    assert found["step"] == 0
    (report,) = reports
    assert [(row.name, row.source) for row in report.rows] == [
        ("parameters/decoder/layers/mlp/kernel", Source.RESTORED),
        ("parameters/decoder/layers/norm/scale", Source.FRESH),
        ("parameters/decoder/norm/scale", Source.FRESH),
        ("step", Source.FRESH),
        ("parameters/encoder/layers/norm/scale", Source.LEFT_OVER),
        ("parameters/encoder/norm/scale", Source.LEFT_OVER),
        ("step", Source.LEFT_OVER),
    ]
    table = report.table().splitlines()
    assert table[-1] == "1 restored, 3 kept fresh, 3 left over"
    assert table[1].split()[:3] == [
        "parameters/decoder/layers/mlp/kernel",
        "restored",
        "parameters/encoder/layers/mlp/kernel",
    ]


def test_two_leaves_of_one_origin_are_two_arrays(stacked):
    """A training step donates both: one buffer under two names would be an error."""
    kernel = stacked_state()["parameters"]["encoder"]["norm"]
    wanted = {"parameters": {"one": kernel, "two": kernel}}
    found = manager.restore(
        stacked,
        abstract(wanted),
        assignment_map=((r"parameters/(one|two)/(.*)", r"parameters/encoder/norm/\2"),),
    )
    assert_same(found, wanted)
    add = jax.jit(lambda tree: jax.tree.map(lambda leaf: leaf + 1, tree), donate_argnums=0)
    jax.block_until_ready(add(found))


def test_what_is_missing_is_an_error_unless_leniently_read(stacked):
    """strict=False fills it, and says so leaf by leaf."""
    state = stacked_state()
    state["parameters"]["head"] = {"kernel": numbers((4, 8), 3)}
    with pytest.raises(ValueError, match=r"head/kernel: checkpoint has none, model \(4, 8\)"):
        manager.restore(stacked, abstract(state))
    fresh = jax.tree.map(lambda leaf: leaf * 0 + 7, state)
    reports = []
    found = manager.restore(
        stacked, abstract(state), strict=False, fresh=lambda names: fresh, on_report=reports.append
    )
    assert_same(found["parameters"].pop("head"), fresh["parameters"]["head"])
    assert_same(found["parameters"], stacked_state()["parameters"])
    assert [row.name for row in reports[0].of(Source.FRESH)] == ["parameters/head/kernel"]


def test_a_part_that_older_checkpoints_lack_begins_fresh(stacked):
    """As a whole only: a half of it that is missing is damage, not age."""
    state = stacked_state() | {"health": {"halted_at": np.int32(0)}}
    fresh = jax.tree.map(lambda leaf: leaf * 0 + 3, state)
    found = manager.restore(
        stacked, abstract(state), optional=("health",), fresh=lambda names: fresh
    )
    assert found["health"]["halted_at"] == 3
    assert_same(found["parameters"], stacked_state()["parameters"])
    with pytest.raises(ValueError, match="health/halted_at: checkpoint has none"):
        manager.restore(stacked, abstract(state), fresh=lambda names: fresh)


def test_slots_of_what_is_frozen_may_be_left_over_but_parameters_may_not(stacked):
    """Fine-tuning with frozen leaves starts from a checkpoint that trained them."""
    state = stacked_state()
    del state["optimizer_state"]["v"]["encoder"]["norm"]
    assert_same(manager.restore(stacked, abstract(state)), state)
    del state["parameters"]["encoder"]["norm"]
    with pytest.raises(ValueError, match=r"norm/scale: checkpoint \(4,\), model has none"):
        manager.restore(stacked, abstract(state))


def test_an_optimizer_that_does_not_fit_is_called_one(stacked):
    """What fits its model is taken without its slots."""
    state = stacked_state()
    state["optimizer_state"]["m"] = state["optimizer_state"]["v"]
    with pytest.raises(ValueError, match="does not fit the optimizer of this job") as told:
        manager.restore(stacked, abstract(state))
    assert "--gin.RESTORE_OPTIMIZER=False" in str(told.value)
    state["parameters"]["head"] = {"kernel": numbers((4, 8), 3)}
    with pytest.raises(ValueError, match="does not fit the model of this job"):
        manager.restore(stacked, abstract(state))
