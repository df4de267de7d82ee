"""Learning inside from a teacher: on any mesh, without a gradient of it, and kept without it."""

import dataclasses
import functools
import shutil

import jax
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface, manager, pretrained
from t5x_lite.checkpoints.config import RestoreCheckpointConfig, SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.checkpoints.errors import ModelMismatchError
from t5x_lite.compression.teacher import make_teacher
from t5x_lite.exporting.config import ExportConfig, Format
from t5x_lite.exporting.export import export
from t5x_lite.features.layouts import Layout
from t5x_lite.losses.config import MatchTeacherConfig
from t5x_lite.losses.states_config import MatchInputConfig, MatchScoresConfig, MatchStatesConfig
from t5x_lite.model import transformer
from t5x_lite.model.projections_config import ProjectionsConfig
from t5x_lite.optim.config import AdamWConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.training.start import start
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_gradients, make_train_step

ROWS, LENGTH, VOCAB = 8, 8, 64
TERMS = (MatchTeacherConfig(), MatchInputConfig(), MatchStatesConfig(), MatchScoresConfig())
PLAIN = tiny_model(VOCAB)
STUDENT = dataclasses.replace(PLAIN, projections=ProjectionsConfig(width=48))
TEACHER = dataclasses.replace(PLAIN, embed_dim=48).with_stacks(
    lambda _, stack: dataclasses.replace(stack, num_layers=4)
)


@functools.cache
def on_host(model, seed):
    init = jax.jit(functools.partial(transformer.init_parameters, model))
    return jax.device_get(init(jax.random.key(seed)))


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """Where a wider and deeper model lies."""
    folder = tmp_path_factory.mktemp("teacher")
    huggingface.save(folder, TEACHER, on_host(TEACHER, 1))
    return str(folder)


def factory_of(model, path=None, config=None, num_devices=1):
    partitioner = make_partitioner(config or PartitioningConfig(), jax.devices()[:num_devices])
    taught = None if path is None else make_teacher(path, model, partitioner, TERMS)
    optimizer = AdamWConfig(epsilon=1.0, weight_decay=0.0)
    rate = ScheduleConfig(base_learning_rate=1.0)
    return StateFactory(model, optimizer, rate, partitioner, teacher=taught)


def batch(factory):
    """Packed rows."""
    rng = np.random.default_rng(0)
    segments = np.int32([[1, 1, 1, 1, 2, 2, 2, 0]] * ROWS)
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    rows = {
        name: segments * rng.integers(2, VOCAB // 2, (ROWS, LENGTH), np.int32) for name in names
    }
    rows |= {"encoder_segment_ids": segments, "decoder_segment_ids": segments}
    return factory.partitioner.global_batch(rows)


@functools.cache
def after_a_step(path, config=None, num_devices=1):
    factory = factory_of(STUDENT, path, config, num_devices)
    step = make_train_step(factory, TERMS, seed=0)
    state, metrics = step(factory.from_parameters(on_host(STUDENT, 0)), batch(factory))
    return jax.device_get((state.parameters, metrics))


@pytest.mark.parametrize(
    "config",
    [PartitioningConfig(), PartitioningConfig(num_partitions=4)],
    ids=["data=8", "data=2 x model=4"],
)
def test_any_mesh_learns_what_one_device_does(config, teacher):
    """INV-22, of every term, and of the projections as of all else."""
    parameters, metrics = after_a_step(teacher, config, 8)
    expected, expected_metrics = after_a_step(teacher)
    for name in expected_metrics:
        np.testing.assert_allclose(
            metrics[name], expected_metrics[name], rtol=2e-5, atol=1e-6, err_msg=name
        )

    def moved_alike(before, one, other):
        moved = np.linalg.norm(other - before)
        assert moved > 0
        assert np.linalg.norm(one - other) <= 1e-4 * moved

    jax.tree.map(moved_alike, on_host(STUDENT, 0), parameters, expected)


def test_the_teacher_has_no_gradient(teacher):
    """Exactly none, though the loss depends on it."""
    factory = factory_of(STUDENT, teacher)
    gradients_of = make_gradients(factory, TERMS, seed=0)
    state, rows = factory.from_parameters(on_host(STUDENT, 0)), batch(factory)

    def loss(frozen):
        return gradients_of(state, frozen, rows)[1]["loss"]

    value, gradients = jax.jit(jax.value_and_grad(loss))(factory.frozen)
    other = jax.jit(loss)(jax.tree.map(lambda leaf: 1.1 * leaf, factory.frozen))
    assert abs(float(other) - float(value)) > 1e-3
    for leaf in jax.tree.leaves(gradients):
        assert not np.asarray(leaf).any()


@pytest.fixture(scope="module")
def saved(teacher, tmp_path_factory):
    """A run's checkpoint of a student, whose teacher is gone."""
    gone = tmp_path_factory.mktemp("gone") / "teacher"
    shutil.copytree(teacher, gone)
    factory = factory_of(STUDENT, str(gone))
    state = factory.from_parameters(on_host(STUDENT, 0))
    folder = tmp_path_factory.mktemp("run")
    checkpoints = manager.Checkpoints(folder, SaveCheckpointConfig())
    checkpoints.save(
        3, dataclasses.replace(state, step=jax.numpy.int32(3)), describe_run("", STUDENT)
    )
    checkpoints.close()
    shutil.rmtree(gone)
    return folder


def test_what_is_kept_needs_neither_teacher_nor_projections(saved, tmp_path, capsys):
    """To be asked, exported, or fine-tuned."""
    assert pretrained.describe(saved).model == PLAIN
    own, step = pretrained.load_parameters(saved, None, make_partitioner(PartitioningConfig()))
    plain = {name: part for name, part in on_host(STUDENT, 0).items() if name != "projections"}
    assert step == 3
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(own), plain)
    export(ExportConfig(path=str(saved), output=str(tmp_path / "hf"), format=Format.HUGGINGFACE))
    model, exported = huggingface.load(tmp_path / "hf")
    assert "projections" not in exported
    jax.tree.map(np.testing.assert_array_equal, exported, plain)


def started(job, model, path, *, optimizer=False):
    """The state that a job of this model begins with."""
    restore = RestoreCheckpointConfig(path=str(path), optimizer=optimizer)
    job = dataclasses.replace(job, model=model, restore=restore, optimizer=AdamWConfig())
    return start(job, factory_of(model)).state


def test_projections_go_on_where_they_were_and_begin_where_they_were_not(saved, job, capsys):
    """The first step of a task takes those of general distillation."""
    again = started(job, STUDENT, saved)
    jax.tree.map(np.testing.assert_array_equal, again.parameters, on_host(STUDENT, 0))
    wider = dataclasses.replace(STUDENT, projections=ProjectionsConfig(width=40))
    anew = started(job, wider, saved).parameters
    assert anew["projections"]["states"].shape == (32, 40)
    assert "new from here on: projections/input, projections/states" in capsys.readouterr().out
    kept = started(job, PLAIN, saved, optimizer=True)
    assert kept.step == 3 and "projections" not in kept.parameters
    rest = {name: part for name, part in anew.items() if name != "projections"}
    jax.tree.map(np.testing.assert_array_equal, rest, kept.parameters)


def test_a_run_goes_on_with_its_own_projections_only(saved, job):
    """Those of another width are another model."""
    job = dataclasses.replace(job, model_dir=str(saved), optimizer=AdamWConfig())
    own = dataclasses.replace(job, model=STUDENT)
    jax.tree.map(
        np.testing.assert_array_equal,
        start(own, factory_of(STUDENT)).state.parameters,
        on_host(STUDENT, 0),
    )
    wider = dataclasses.replace(STUDENT, projections=ProjectionsConfig(width=40))
    with pytest.raises(ModelMismatchError, match="projections"):
        start(dataclasses.replace(job, model=wider), factory_of(wider))


def test_a_teacher_that_does_not_fit_a_term_is_refused_before_it_is_read(teacher):
    with pytest.raises(ValueError, match=r"no projections .* --gin.ProjectionsConfig.width=48"):
        factory_of(PLAIN, teacher)
    with pytest.raises(FileNotFoundError, match=r"--gin.TrainConfig.teacher_path"):
        factory_of(STUDENT, f"{teacher}_away")
    with pytest.raises(ValueError, match="layout="):
        factory_of(tiny_model(VOCAB, Layout.LM), teacher)
