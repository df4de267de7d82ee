"""A fine-tuning run starts from a checkpoint that has nothing of what it adds, and says so."""

import dataclasses

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface, restoring
from t5x_lite.checkpoints.config import RestoreCheckpointConfig, SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.checkpoints.manager import Checkpoints
from t5x_lite.checkpoints.pretrained import describe
from t5x_lite.finetuning import additions
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.training.start import check_origin, find_origin, start
from t5x_lite.training.state import make_factory

pytestmark = pytest.mark.usefixtures("two_devices")

FILES = ["models/t5_1_0/tiny.gin"]
# One layer in each stack, small enough to be made in a second.
TINY = ("VOCAB_SIZE=32", "NUM_ENCODER_LAYERS=1", "NUM_DECODER_LAYERS=1", "ADAPTER_DIM=16")


@pytest.fixture
def adapted(job_of, tmp_path):
    """A job that adds adapters, its factory, and the factory of the plain model."""
    job = job_of(FILES, "adapters", f"MODEL_DIR={tmp_path / 'run'}", *TINY)
    partitioner = make_partitioner(job.partitioning)
    plain = dataclasses.replace(job, model=job.model.plain, parameter_groups=())
    return job, make_factory(job, partitioner), make_factory(plain, partitioner)


def saved(directory, factory, state, step=4):
    """A checkpoint at that step."""
    state = dataclasses.replace(state, step=jax.numpy.int32(step))
    checkpoints = Checkpoints(directory, SaveCheckpointConfig(period=1))
    checkpoints.save(step, state, describe_run("", factory.model))
    checkpoints.close()
    return state


def from_path(job, path):
    """The job with an initial checkpoint."""
    return dataclasses.replace(job, restore=RestoreCheckpointConfig(path=str(path)))


def test_what_is_added_starts_anew_and_the_rest_is_restored(
    adapted, parameters_of, tmp_path, capsys
):
    """Parameters, slots and step come along; adapters begin small, and the run names them."""
    job, factory, plain = adapted
    state = plain.from_parameters(parameters_of(plain.model))
    aged = jax.tree.map(lambda slot: slot + 4, state.optimizer_state)
    state = dataclasses.replace(state, optimizer_state=aged)
    state = saved(tmp_path / "old", plain, state)
    run = start(from_path(job, tmp_path / "old"), factory)
    assert run.first_step == 4
    names = additions.names(job.model)
    said = capsys.readouterr().out
    assert f"the checkpoint lacks {len(names)} tensors, new from here on: " in said
    assert all(name in said for name in names)
    kept = additions.without(run.state.parameters, names)
    jax.tree.map(np.testing.assert_array_equal, kept, state.parameters)
    found = restoring.leaves(run.state.parameters)
    deviation = np.std(found["encoder/layers/adapter/wo/kernel"])
    assert 0.008 < deviation < 0.012
    slots = restoring.leaves(run.state.optimizer_state["param_states"])
    assert {name.rsplit("/", 1)[0] for name in slots} == {
        name for name in found if name in names or name.endswith("/scale")
    }

    # The rest has four updates behind it, an adapter none.
    assert run.state.optimizer_state["step"] == 4
    for name, slot in slots.items():
        assert np.all(np.asarray(slot) == (0 if "/adapter/" in name else 4)), name

    # Its own checkpoint holds the adapters, so a restart continues and adds nothing.
    saved(job.model_dir, factory, run.state, step=6)
    again = start(from_path(job, tmp_path / "gone"), factory)
    assert again.first_step == 6
    jax.tree.map(np.testing.assert_array_equal, again.state.parameters, run.state.parameters)
    assert "new from here on" not in capsys.readouterr().out
    assert describe(job.model_dir).model == job.model

    # Who wants the plain model of it is told what is there too much.
    plain_job = dataclasses.replace(job, model=plain.model, model_dir=str(tmp_path / "other"))
    with pytest.raises(ModelMismatchError, match="adapter_dim: None in the job, 16 in the"):
        start(from_path(plain_job, job.model_dir), plain)


def test_a_hugging_face_model_is_adapted_too(adapted, parameters_of, tmp_path, capsys):
    """It comes without slots and at step zero."""
    job, factory, plain = adapted
    parameters = parameters_of(plain.model)
    huggingface.save(tmp_path / "hf", plain.model, parameters)
    job = from_path(job, tmp_path / "hf")
    check_origin(job, factory, find_origin(job, factory.model))
    state = start(job, factory).state
    kept = additions.without(state.parameters, additions.names(job.model))
    jax.tree.map(np.testing.assert_array_equal, kept, parameters)
    assert "new from here on: decoder/layers/adapter/layer_norm/scale" in capsys.readouterr().out


def test_a_judge_of_attributes_begins_anew_and_alone_learns(
    job_of, parameters_of, tmp_path, capsys
):
    """Of a model that writes, everything else is frozen and restored; without the head again, it is
    left over.
    """
    small = ("VOCAB_SIZE=32", "NUM_ENCODER_LAYERS=1", "NUM_DECODER_LAYERS=1")
    job = job_of(FILES, "attribute", f"MODEL_DIR={tmp_path / 'run'}", *small)
    partitioner = make_partitioner(job.partitioning)
    plain_job = dataclasses.replace(
        job,
        model=dataclasses.replace(job.model, heads=job.model.heads[:1]),
        parameter_groups=(),
        model_dir=str(tmp_path / "plain"),
    )
    factory, plain = (make_factory(each, partitioner) for each in (job, plain_job))
    state = saved(tmp_path / "old", plain, plain.from_parameters(parameters_of(plain.model)))
    run = start(from_path(job, tmp_path / "old"), factory)
    names = additions.names(job.model, plain.model)
    assert names == ["heads/attribute/out/bias", "heads/attribute/out/kernel"]
    assert all(name in capsys.readouterr().out for name in ("the checkpoint lacks 2 tensors",))
    jax.tree.map(
        np.testing.assert_array_equal,
        additions.without(run.state.parameters, names),
        state.parameters,
    )
    slots = restoring.leaves(run.state.optimizer_state["param_states"])
    assert {name.rsplit("/", 1)[0] for name in slots} <= set(names)
    saved(job.model_dir, factory, run.state, step=6)
    # The head's slots are all that it has of an optimizer.
    fresh = RestoreCheckpointConfig(path=job.model_dir, optimizer=False)
    back = start(dataclasses.replace(plain_job, restore=fresh), plain)
    jax.tree.map(np.testing.assert_array_equal, back.state.parameters, state.parameters)


def test_another_model_is_refused_as_before(adapted, parameters_of, tmp_path):
    """Only what fine-tuning adds may be missing."""
    job, factory, plain = adapted
    saved(tmp_path / "old", plain, plain.from_parameters(parameters_of(plain.model)))
    model = dataclasses.replace(job.model, scale_logits=False)
    other = dataclasses.replace(factory, model=model)
    with pytest.raises(ModelMismatchError, match="scale_logits"):
        start(from_path(dataclasses.replace(job, model=model), tmp_path / "old"), other)


ENCODER = (
    *("VOCAB_SIZE=128", "EMBED_DIM=16", "MLP_DIM=32", "NUM_HEADS=2", "HEAD_DIM=8"),
    *("NUM_ENCODER_LAYERS=1", "MAX_LENGTH=8", "TASK_FEATURE_LENGTHS={'inputs': 8, 'classes': 1}"),
)


@pytest.fixture
def encoders(job_of, tmp_path):
    """(heads, **settings) -> a job that trains an encoder with these heads, and its factory."""

    def made(heads, *overrides):
        heads = f"HEADS=({heads},)"
        job = job_of(
            ["models/bert.gin"], None, f"MODEL_DIR={tmp_path / 'run'}", *ENCODER, heads, *overrides
        )
        return job, make_factory(job, make_partitioner(job.partitioning))

    return made


@pytest.mark.parametrize("is_foreign", [False, True])
def test_an_encoder_changes_its_heads(is_foreign, encoders, parameters_of, tmp_path, capsys):
    """The pooler and all below come along with their slots; of a head of other classes too, it is
    only new heads that begin anew, and what is left out is named.
    """
    masked = "" if is_foreign else "@masked/HeadConfig(), "  # a file of theirs has no other
    _, before = encoders(f"{masked}@classes/HeadConfig()", "NUM_CLASSES=3")
    state = before.from_parameters(parameters_of(before.model))
    if is_foreign:
        huggingface.save(tmp_path / "old", before.model, state.parameters)
    else:
        saved(tmp_path / "old", before, state)
    job, factory = encoders("@classes/HeadConfig()", "NUM_CLASSES=5")
    job = from_path(job, tmp_path / "old")
    check_origin(job, factory, find_origin(job, factory.model))
    found = start(job, factory).state
    said = capsys.readouterr().out
    assert "new from here on: heads/classes/out/bias, heads/classes/out/kernel" in said
    old, new = restoring.leaves(state.parameters), restoring.leaves(found.parameters)
    left = [name for name in old if name not in new or old[name].shape != new[name].shape]
    assert all(name in said.split("not used here: ")[1] for name in left)
    kept = [name for name in new if not name.startswith("heads/")]
    assert any(name.startswith("pooler/") for name in kept)
    for name in kept:
        np.testing.assert_array_equal(new[name], old[name])
    assert new["heads/classes/out/kernel"].shape == (16, 5)
    # Its own checkpoint is whole.
    saved(job.model_dir, factory, found, step=6)
    again = start(job, factory)
    jax.tree.map(np.testing.assert_array_equal, again.state.parameters, found.parameters)


def test_a_head_of_the_same_classes_goes_on(encoders, parameters_of, tmp_path, capsys):
    """As from one task to another with as many; a body that differs is refused as before."""
    job, factory = encoders("@classes/HeadConfig()")
    state = saved(tmp_path / "old", factory, factory.from_parameters(parameters_of(factory.model)))
    run = start(from_path(job, tmp_path / "old"), factory)
    jax.tree.map(np.testing.assert_array_equal, run.state.parameters, state.parameters)
    assert "not used" not in capsys.readouterr().out
    job, factory = encoders("@regression/HeadConfig()", "MLP_DIM=16")
    with pytest.raises(ModelMismatchError, match="mlp_dim"):
        start(from_path(job, tmp_path / "old"), factory)
