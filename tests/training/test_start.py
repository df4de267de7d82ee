"""Where a run starts and ends: T5X's order of sources and its counting of steps."""

import dataclasses
import pathlib

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface, manifest, restoring
from t5x_lite.checkpoints.config import RestoreCheckpointConfig, SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.errors import DamagedError, ModelMismatchError
from t5x_lite.checkpoints.manager import Checkpoints, Description
from t5x_lite.checkpoints.pretrained import load_parameters
from t5x_lite.training.start import start


def save(directory, factory, step, seed, initial_step=0, files=None):
    """A checkpoint at this step, of a run that started at `initial_step`."""
    state = dataclasses.replace(factory.initialize(seed), step=jax.numpy.int32(step))
    checkpoints = Checkpoints(directory, SaveCheckpointConfig(period=1, keep=5))
    checkpoints.save(step, state, Description("", initial_step), files)
    checkpoints.close()
    return state


def from_path(job, path, **changes):
    """The job with an initial checkpoint."""
    return dataclasses.replace(job, restore=RestoreCheckpointConfig(path=str(path)), **changes)


def assert_same(found, expected):
    """Two trees, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, found, expected)


def test_a_run_without_checkpoints_starts_from_scratch(job, factory):
    """The seed decides the parameters, and two seeds differ."""
    run = start(job, factory)
    assert (run.first_step, run.last_step, run.batches_done) == (0, 10, 0)
    assert_same(run.state.parameters, factory.initialize(job.random_seed).parameters)
    other = factory.initialize(1).parameters["token_embedder"]["embedding"]
    assert not np.array_equal(other, run.state.parameters["token_embedder"]["embedding"])


def test_an_initial_checkpoint_brings_its_step_and_slots(job, factory, tmp_path):
    """As in T5X: TRAIN_STEPS counts from zero, so 10 steps after 4 are 6 more."""
    saved = save(tmp_path / "other", factory, 4, seed=7)
    run = start(from_path(job, tmp_path / "other"), factory)
    assert (run.first_step, run.last_step, run.batches_done) == (4, 10, 0)
    assert_same(run.state, saved)


def test_an_initial_checkpoint_may_bring_its_parameters_only(job, factory, tmp_path):
    """Slots and step are fresh, so TRAIN_STEPS are all steps; a restart takes its own slots."""
    trained = factory.initialize(7)
    slots = jax.tree.map(lambda leaf: leaf + 1, trained.optimizer_state)
    trained = dataclasses.replace(trained, step=jax.numpy.int32(4000), optimizer_state=slots)
    checkpoints = Checkpoints(tmp_path / "other", SaveCheckpointConfig(period=1, keep=5))
    checkpoints.save(4000, trained, Description("", 0), None)
    checkpoints.close()
    given = RestoreCheckpointConfig(path=str(tmp_path / "other"), optimizer=False)
    run = start(dataclasses.replace(job, restore=given), factory)
    assert (run.first_step, run.last_step, run.batches_done) == (0, 10, 0)
    assert_same(run.state.parameters, trained.parameters)
    assert_same(run.state.optimizer_state, factory.initialize(job.random_seed).optimizer_state)
    assert run.source.endswith("its parameters only")
    own = save(job.model_dir, factory, 6, seed=8)
    own_slots = start(dataclasses.replace(job, restore=given), factory).state.optimizer_state
    assert_same(own_slots, own.optimizer_state)


def without_counts(state):
    """A state as checkpoints of before held it: one count for all slots."""

    def stripped(tree):
        if not isinstance(tree, dict):
            return tree
        return {name: stripped(below) for name, below in tree.items() if name != "count"}

    return dataclasses.replace(state, optimizer_state=stripped(state.optimizer_state))


def test_slots_of_an_older_checkpoint_are_as_old_as_its_optimizer(job, factory, tmp_path):
    """They had one count for all, so it is the count of each."""
    trained = factory.initialize(7)
    slots = {**trained.optimizer_state, "step": jax.numpy.int32(4)}
    trained = dataclasses.replace(trained, step=jax.numpy.int32(4), optimizer_state=slots)
    checkpoints = Checkpoints(tmp_path / "old", SaveCheckpointConfig(period=1))
    checkpoints.save(4, without_counts(trained), Description("", 0), None)
    checkpoints.close()
    run = start(from_path(job, tmp_path / "old"), factory)
    leaves = restoring.leaves(run.state.optimizer_state)
    counts = {name: leaf for name, leaf in leaves.items() if name.endswith("/count")}
    shapes = restoring.leaves(trained.optimizer_state)
    assert counts.keys() == {name for name in shapes if name.endswith("/count")}
    for name, count in counts.items():
        np.testing.assert_array_equal(count, np.full(shapes[name].shape, 4))
        assert count.sharding == shapes[name].sharding
    assert_same(without_counts(run.state), without_counts(trained))


def test_relative_steps_count_from_the_initial_checkpoint(job, factory, tmp_path):
    """Ten steps after 4 end at 14 ..."""
    save(tmp_path / "other", factory, 4, seed=7)
    relative = from_path(job, tmp_path / "other", train_steps=None, train_steps_relative=10)
    assert start(relative, factory).last_step == 14
    # ... also when the run was interrupted at 9 and goes on from its own checkpoint.
    save(job.model_dir, factory, 9, seed=8, initial_step=4)
    run = start(relative, factory)
    assert (run.first_step, run.last_step, run.batches_done) == (9, 14, 5)


def test_the_runs_own_checkpoint_wins_over_the_initial_one(job, factory, tmp_path):
    """A restarted job continues; it does not begin again."""
    save(tmp_path / "other", factory, 4, seed=7)
    own = save(job.model_dir, factory, 6, seed=8)
    run = start(from_path(job, tmp_path / "other"), factory)
    assert_same(run.state, own)
    assert "continues" in run.source


def test_a_run_that_continues_needs_its_initial_checkpoint_no_more(job, factory, tmp_path):
    """Pre-training keeps few checkpoints; the one a fine-tuning started from may be gone."""
    save(job.model_dir, factory, 6, seed=8, initial_step=4)
    run = start(from_path(job, tmp_path / "deleted"), factory)
    assert (run.first_step, run.batches_done) == (6, 2)


def test_a_run_that_would_train_no_step_says_so(job, factory, tmp_path):
    """The classic: TRAIN_STEPS=10 to fine-tune a checkpoint of step 4,000 ..."""
    save(tmp_path / "other", factory, 4000, seed=7)
    with pytest.raises(ValueError, match="train no step: it starts at step 4000") as error:
        start(from_path(job, tmp_path / "other"), factory)
    assert "TRAIN_STEPS_RELATIVE=10" in str(error.value)
    # ... or fewer steps than the run itself has made.
    save(job.model_dir, factory, 11, seed=7)
    with pytest.raises(ValueError, match="give another --gin.MODEL_DIR"):
        start(job, factory)


def test_a_run_that_made_its_last_step_is_complete(job, factory, tmp_path):
    """Not so another run's checkpoint of that step."""
    save(tmp_path / "other", factory, 10, seed=7)
    with pytest.raises(ValueError, match="train no step"):
        start(from_path(job, tmp_path / "other"), factory)
    save(job.model_dir, factory, 10, seed=7)
    run = start(job, factory)
    assert run.is_complete
    assert (run.first_step, run.last_step) == (10, 10)


def test_a_hugging_face_directory_starts_at_step_zero(job, factory, tmp_path):
    """Parameters come from there, slots are new."""
    parameters = factory.initialize(3).parameters
    huggingface.save(tmp_path / "hf", job.model, jax.device_get(parameters))
    run = start(from_path(job, tmp_path / "hf"), factory)
    assert run.first_step == 0
    assert_same(run.state.parameters, parameters)
    found, step = load_parameters(str(tmp_path / "hf"), job.model, factory.partitioner)
    assert step == 0
    assert_same(found, parameters)


def test_a_hugging_face_model_of_another_kind_is_refused_with_the_difference(
    job, factory, tmp_path
):
    """Both values, under the names of our configuration."""
    parameters = jax.device_get(factory.initialize(3).parameters)
    huggingface.save(tmp_path / "hf", job.model, parameters)
    other = dataclasses.replace(factory, model=dataclasses.replace(job.model, scale_logits=False))
    with pytest.raises(ValueError) as error:
        start(from_path(job, tmp_path / "hf"), other)
    assert "scale_logits: False in the job, True in the checkpoint" in str(error.value)


def test_a_run_that_continues_brings_the_position_of_its_data(job, factory):
    """Unless it is told to begin its data anew; another run's data is never continued."""
    state = dataclasses.replace(factory.initialize(7), step=jax.numpy.int32(4))
    checkpoints = Checkpoints(job.model_dir, SaveCheckpointConfig())
    checkpoints.save(4, state, Description(""), {"dataset": {"shard_0": b"position"}})
    checkpoints.close()
    run = start(job, factory)
    assert run.dataset is not None
    assert (run.dataset / "shard_0").read_bytes() == b"position"
    anew = dataclasses.replace(job, restore=RestoreCheckpointConfig(dataset=False))
    assert start(anew, factory).dataset is None
    other = from_path(job, job.model_dir, model_dir=f"{job.model_dir}_other")
    assert start(other, factory).dataset is None


@pytest.fixture(params=[0, 1 << 30], ids=["by its leaves", "by its files"])
def noticed(request, monkeypatch):
    """How damage to tensors is noticed: while they are restored, or before."""
    monkeypatch.setattr(manifest, "_LARGE", request.param)


def damage(checkpoint: pathlib.Path) -> None:
    """One byte of the tensors; those of a model so small lie within TensorStore's joined nodes."""
    largest = max(checkpoint.glob("state/d/*"), key=lambda path: path.stat().st_size)
    content = bytearray(largest.read_bytes())
    content[len(content) // 2] ^= 1
    largest.write_bytes(content)


def test_a_damaged_checkpoint_costs_only_the_steps_since_the_one_before(
    job, factory, capsys, noticed
):
    """The restart after a crash goes on by itself, and says what it lost."""
    good = save(job.model_dir, factory, 4, seed=7)
    newest = pathlib.Path(job.model_dir) / "checkpoint_6"
    save(job.model_dir, factory, 6, seed=8)
    damage(newest)
    run = start(job, factory)
    assert run.first_step == 4
    assert_same(run.state, good)
    assert "checkpoint_6 is damaged" in capsys.readouterr().out
    assert not newest.exists()


def test_a_damaged_initial_checkpoint_is_not_trained_on(job, factory, tmp_path, capsys, noticed):
    """One that is named is an error; of a model directory the one before is taken. Neither is ours
    to rename.
    """
    save(tmp_path / "other", factory, 2, seed=7)
    named = tmp_path / "other" / "checkpoint_4"
    save(tmp_path / "other", factory, 4, seed=8)
    damage(named)
    with pytest.raises(DamagedError, match="checkpoint_4 is damaged"):
        start(from_path(job, named), factory)
    assert start(from_path(job, tmp_path / "other"), factory).first_step == 2
    assert "checkpoint_4 is damaged" in capsys.readouterr().out
    assert named.exists()


def test_another_model_than_the_checkpoints_is_told_by_its_fields(job, factory, tmp_path):
    """Its own checkpoint, or the initial one: names of config fields, not of leaves."""
    saved = factory.initialize(7)
    checkpoints = Checkpoints(tmp_path / "other", SaveCheckpointConfig())
    checkpoints.save(4, saved, describe_run("", dataclasses.replace(job.model, scale_logits=False)))
    checkpoints.close()
    with pytest.raises(ModelMismatchError, match="scale_logits: True in the job, False in"):
        start(from_path(job, tmp_path / "other"), factory)
    with pytest.raises(ModelMismatchError, match="scale_logits: True in the job, False in"):
        start(dataclasses.replace(job, model_dir=str(tmp_path / "other")), factory)


def test_a_partial_start_takes_what_is_asked_for_and_says_so(job, factory, tmp_path, capsys):
    """The embedding stays fresh, as for another vocabulary; the rest is the checkpoint's."""
    saved = save(tmp_path / "other", factory, 4, seed=7)
    partial = dataclasses.replace(
        job,
        restore=RestoreCheckpointConfig(
            path=str(tmp_path / "other"), assignment_map=((".*/token_embedder/.*", None),)
        ),
    )
    run = start(partial, factory)
    fresh = factory.initialize(job.random_seed).parameters
    found = run.state.parameters
    assert_same(found.pop("token_embedder"), fresh["token_embedder"])
    assert_same(found, {name: saved.parameters[name] for name in found})
    printed = capsys.readouterr().out
    assert "parameters/token_embedder/embedding" in printed
    assert "3 kept fresh, 3 left over" in printed
    assert "what fits of" in run.source


def test_a_fresh_step_counts_from_zero(job, factory, tmp_path):
    """The number of the state and that of the loop are one number."""
    save(tmp_path / "other", factory, 4, seed=7)
    given = RestoreCheckpointConfig(path=str(tmp_path / "other"), assignment_map=(("step", None),))
    run = start(dataclasses.replace(job, restore=given), factory)
    assert (run.first_step, run.initial_step, int(run.state.step)) == (0, 0, 0)


def test_a_rollback_goes_on_with_the_data_that_the_run_itself_has_begun(job, factory):
    """RESTORE_DATASET=False is about what was there when the run was started."""
    for step in (4, 6):
        save(job.model_dir, factory, step, seed=8, files={"dataset": {"position": b""}})
    anew = dataclasses.replace(job, restore=RestoreCheckpointConfig(dataset=False))
    assert start(anew, factory).dataset is None
    assert start(anew, factory, launched_at=6).dataset is None
    behind = start(anew, factory, launched_at=4).dataset
    assert behind is not None
    assert behind.parent.name == "checkpoint_6"
