"""Checkpoints of a run: what is saved comes back, on any mesh, and what does not fit is named."""

import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from t5x_lite.checkpoints import manager
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.training.state import TrainState


def make_state(step: int) -> TrainState:
    """A small state whose numbers depend on the step."""
    kernel = jnp.arange(32.0).reshape(8, 4) + step
    slots = {"step": jnp.int32(step), "param_states": {"kernel": {"v": kernel * 2}}}
    return TrainState(jnp.int32(step), {"kernel": kernel}, slots)


def abstract(state, sharding):
    """The state's shapes on given devices."""
    return jax.tree.map(
        lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding(leaf)),
        state,
    )


def on_mesh(rows: int, columns: int):
    """Shardings that split matrices over a mesh of this shape."""
    mesh = Mesh(np.array(jax.devices()[: rows * columns]).reshape(rows, columns), ("x", "y"))
    return lambda leaf: NamedSharding(
        mesh, PartitionSpec("x", "y") if leaf.ndim else PartitionSpec()
    )


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A directory with checkpoints of steps 1 to 4, of which the newest two were to be kept."""
    directory = tmp_path_factory.mktemp("run")
    checkpoints = manager.Checkpoints(directory, SaveCheckpointConfig(period=1, keep=2))
    for step in range(1, 5):
        checkpoints.save(step, make_state(step), manager.Description("X = 1", 7))
    checkpoints.close()
    return directory


def test_the_newest_are_kept_under_the_names_that_users_know(saved):
    """checkpoint_<step>, bounded by `keep`: T5X's default kept all and filled disks."""
    assert sorted(path.name for path in saved.iterdir()) == [
        "checkpoint_3",
        "checkpoint_4",
    ]
    assert manager.find(saved).name == "checkpoint_4"
    assert manager.step_of(manager.find(saved / "checkpoint_3")) == 3


@pytest.mark.parametrize("shape", [(1, 1), (4, 2), (2, 4)], ids=str)
def test_a_state_comes_back_on_any_mesh(saved, shape):
    """Bit for bit, wherever its shards lie."""
    expected = make_state(4)
    found = manager.restore(manager.find(saved), abstract(expected, on_mesh(*shape)))
    assert isinstance(found, TrainState)
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert len(found.parameters["kernel"].addressable_shards) == shape[0] * shape[1]


def test_parameters_alone_can_be_read(saved):
    """Evaluation needs no optimizer slots, so it does not pay for them."""
    expected = make_state(4)
    wanted = {"parameters": abstract(expected.parameters, on_mesh(1, 1))}
    found = manager.restore(manager.find(saved), wanted)
    np.testing.assert_array_equal(found["parameters"]["kernel"], expected.parameters["kernel"])


def test_the_operative_config_travels_along(saved):
    """A checkpoint says what made it, and where that run began."""
    assert manager.description(manager.find(saved)) == manager.Description("X = 1", 7)


def test_what_does_not_fit_is_named_with_both_shapes(saved):
    """Missing, left over and misshaped leaves, before anything is read."""
    sharding = jax.sharding.SingleDeviceSharding(jax.devices()[0])
    leaf = jax.ShapeDtypeStruct((8, 5), jnp.float32, sharding=sharding)
    wanted = {"parameters": {"kernel": leaf, "bias": leaf}}
    with pytest.raises(ValueError) as error:
        manager.restore(manager.find(saved), wanted)
    assert "parameters/kernel: checkpoint (8, 4), model (8, 5)" in str(error.value)
    assert "parameters/bias: checkpoint has none, model (8, 5)" in str(error.value)


def test_a_wrong_path_lists_what_is_there(saved):
    """A typo in the step is the usual reason."""
    with pytest.raises(FileNotFoundError, match=r"checkpoint_3, .*checkpoint_4"):
        manager.find(saved / "checkpoint_5")


def test_a_relative_path_works(saved, monkeypatch):
    """TensorStore refuses relative paths, so they are made absolute before it sees them."""
    monkeypatch.chdir(saved.parent)
    expected = make_state(4)
    found = manager.restore(manager.find(saved.name), abstract(expected, on_mesh(1, 1)))
    assert int(found.step) == 4


def test_an_unfinished_save_is_no_checkpoint(saved):
    """Saves are atomic: a folder without its last rename is not what `find` returns."""
    (saved / "checkpoint_9.orbax-checkpoint-tmp").mkdir()
    assert manager.find(saved).name == "checkpoint_4"


def test_a_damaged_checkpoint_is_named_with_the_newest_whole_one(tmp_path, capsys):
    """Named, it is an error; looking for the newest passes it over, but not in silence."""
    checkpoints = manager.Checkpoints(tmp_path, SaveCheckpointConfig(period=1, keep=2))
    for step in (1, 2):
        checkpoints.save(step, make_state(step), manager.Description(""))
    checkpoints.close()
    shutil.rmtree(tmp_path / "checkpoint_2" / "state")
    with pytest.raises(ValueError, match=r"checkpoint_2 is damaged: state/ is missing.*_1\.$"):
        manager.find(tmp_path / "checkpoint_2")
    assert manager.find(tmp_path).name == "checkpoint_1"
    assert "checkpoint_2 is damaged: state/ is missing" in capsys.readouterr().out
    assert manager.newest(tmp_path / "elsewhere") is None
