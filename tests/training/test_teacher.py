"""A frozen teacher: a copy of it learns nothing from it, and nothing of it is trained or saved."""

import dataclasses
import functools
import pathlib

import jax
import numpy as np
import pytest

from t5x_lite import cli, config, json_lines
from t5x_lite.checkpoints import huggingface, manager
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.description import describe_run
from t5x_lite.compression.teacher import make_teacher
from t5x_lite.features.layouts import Layout
from t5x_lite.losses.config import LossConfig, MatchTeacherConfig
from t5x_lite.model import transformer
from t5x_lite.model.config import LearnedPositionsConfig, ModelConfig
from t5x_lite.optim.config import AdamWConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.stability.examine import make_examination
from t5x_lite.testing import tiny_model
from t5x_lite.training.state import StateFactory, make_factory
from t5x_lite.training.step import make_eval_step, make_gradients, make_train_step

pytestmark = pytest.mark.usefixtures("two_devices")

TERMS = (LossConfig(z_loss=0.01), MatchTeacherConfig(temperature=2.0, weight=0.5))
DIVERGENCE = "MatchTeacherConfig/term"
ROWS, LENGTH, VOCAB = 16, 6, 64
MODEL = tiny_model(VOCAB)


@pytest.fixture(scope="module")
def student():
    """States of a model without a teacher."""
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    optimizer = AdamWConfig(epsilon=1.0, weight_decay=0.0)
    return StateFactory(MODEL, optimizer, ScheduleConfig(base_learning_rate=1.0), partitioner)


@pytest.fixture(scope="module")
def parameters(student):
    """The teacher's, on the host."""
    return jax.device_get(student.initialize(seed=7).parameters)


@pytest.fixture(scope="module")
def paths(student, parameters, tmp_path_factory):
    """What holds the teacher -> where it is."""
    folder = tmp_path_factory.mktemp("teacher")
    huggingface.save(folder / "huggingface", MODEL, parameters)
    checkpoints = manager.Checkpoints(folder / "run", SaveCheckpointConfig())
    checkpoints.save(5, student.initialize(seed=7), describe_run("", MODEL))
    checkpoints.close()
    return {"huggingface": folder / "huggingface", "run": folder / "run"}


@pytest.fixture(scope="module")
def taught(student, paths):
    """The same states beside a teacher."""
    teacher = make_teacher(str(paths["huggingface"]), MODEL, student.partitioner)
    return dataclasses.replace(student, teacher=teacher)


def batch(factory, seed=0):
    """Rows of different lengths, so that means of parts differ from the whole's."""
    rng = np.random.default_rng(seed)
    segments = np.int32(np.arange(LENGTH) < rng.integers(2, LENGTH + 1, (ROWS, 1)))
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    rows = {name: segments * rng.integers(2, VOCAB, (ROWS, LENGTH), np.int32) for name in names}
    rows |= {"encoder_segment_ids": segments, "decoder_segment_ids": segments}
    return factory.partitioner.global_batch(rows)


def assert_same(found, expected):
    """Two trees, bit for bit."""
    jax.tree.map(np.testing.assert_array_equal, jax.device_get(found), jax.device_get(expected))


@pytest.mark.parametrize("kind", ["huggingface", "run"])
def test_a_teacher_is_what_its_path_holds(kind, paths, parameters, student):
    """A foreign directory or a checkpoint of ours; it lies on the mesh as the student does."""
    teacher = make_teacher(str(paths[kind]), MODEL, student.partitioner)
    assert_same(teacher.parameters, parameters)
    shardings = jax.tree.map(lambda leaf: leaf.sharding, teacher.parameters)
    assert shardings == teacher.shardings == student.shardings.parameters


def test_a_copy_learns_from_the_teacher_only_after_it_has_moved(taught, student, parameters):
    """The divergence is 0 at the first step, and its gradient: the step is that of a job without
    a teacher. The teacher stays as it is; the student does not.
    """
    step, plain = (
        make_train_step(taught, TERMS, seed=0),
        make_train_step(student, TERMS[:1], seed=0),
    )
    state, metrics = step(taught.from_parameters(parameters), batch(taught))
    expected, expected_metrics = plain(student.from_parameters(parameters), batch(student))
    np.testing.assert_allclose(metrics[DIVERGENCE], 0.0, atol=1e-5)
    np.testing.assert_allclose(metrics["loss"], expected_metrics["loss"], rtol=1e-5)
    np.testing.assert_allclose(metrics["term"], expected_metrics["loss"], rtol=1e-5)

    def moved_alike(before, one, other):
        moved = np.linalg.norm(other - before)
        assert moved > 0
        assert np.linalg.norm(one - other) <= 1e-3 * moved

    jax.tree.map(moved_alike, parameters, *jax.device_get((state.parameters, expected.parameters)))
    state, metrics = step(state, batch(taught, seed=1))
    assert metrics[DIVERGENCE] > 1e-4
    term = metrics["term"] + 0.5 * metrics[DIVERGENCE]
    np.testing.assert_allclose(metrics["loss"], term, rtol=1e-5)
    assert_same(taught.frozen["teacher"], parameters)


def test_a_teacher_pulls_towards_itself(taught, parameters):
    """With the divergence alone a student that was moved away comes back."""
    moved = jax.tree.map(lambda leaf: leaf * np.float32(1.1), parameters)
    step = make_train_step(taught, TERMS[1:], seed=0)
    state, found = taught.from_parameters(moved), []
    for _ in range(5):
        state, metrics = step(state, batch(taught))
        found.append(float(metrics["term"]))
    assert found == sorted(found, reverse=True)
    assert found[-1] < 0.9 * found[0]


def test_microbatches_are_taught_as_the_whole(taught, parameters):
    """Each by what the teacher says of its own rows."""
    state = taught.from_parameters(jax.tree.map(lambda leaf: leaf * np.float32(1.1), parameters))
    gradients, sums = {}, {}
    for count in (1, 2):
        function = jax.jit(make_gradients(taught, TERMS, seed=0, num_microbatches=count))
        gradients[count], sums[count], _ = function(state, taught.frozen, batch(taught))
    assert sums[1][DIVERGENCE] > 1e-3
    for name in sums[1]:
        np.testing.assert_allclose(sums[2][name], sums[1][name], rtol=1e-5, err_msg=name)

    def close(one, other):
        assert np.linalg.norm(one - other) <= 1e-5 * np.linalg.norm(other)

    jax.tree.map(close, *jax.device_get((gradients[2], gradients[1])))


def test_evaluations_and_autopsies_ask_the_teacher_too(taught, parameters):
    """Both without dropout here: the divergence of a copy is 0, of another model it is not."""
    moved = jax.tree.map(lambda leaf: leaf * np.float32(1.1), parameters)
    evaluate = make_eval_step(taught, TERMS)
    examine = make_examination(taught, TERMS, seed=0)
    for held, is_copy in ((parameters, True), (moved, False)):
        state = taught.from_parameters(held)
        metrics = evaluate(state.parameters, batch(taught))
        assert (metrics[DIVERGENCE] < 1e-5) == is_copy
        z_loss = examine(state, batch(taught)).loss - float(metrics["loss"])
        assert z_loss > 0, "which counts in training only"
        expected = metrics["term"] + 0.5 * metrics[DIVERGENCE]
        np.testing.assert_allclose(metrics["loss"], expected, rtol=1e-5)


def test_nothing_of_a_teacher_is_in_a_checkpoint(taught, student, tmp_path):
    """A job without one goes on with it."""
    state = taught.initialize(0)
    checkpoints = manager.Checkpoints(tmp_path, SaveCheckpointConfig())
    checkpoints.save(0, state, describe_run("", MODEL))
    checkpoints.close()
    assert_same(manager.restore(manager.find(tmp_path), student.abstract), state)
    assert not [path for path in tmp_path.rglob("*") if "teacher" in path.name]
    assert jax.tree.structure(taught.abstract) == jax.tree.structure(student.abstract)


def test_a_job_names_its_teacher(job, paths):
    """Its path is all that is needed."""
    job = dataclasses.replace(job, loss=TERMS, teacher_path=str(paths["run"]))
    factory = make_factory(job, make_partitioner(job.partitioning))
    assert factory.teacher.model == MODEL
    assert factory.frozen["teacher"].keys() == {"decoder", "encoder", "token_embedder"}


@pytest.mark.parametrize(
    ("loss", "teacher_path", "message"),
    [
        (TERMS, None, "teacher_path=None .*LossConfig, MatchTeacherConfig: a teacher is needed"),
        (TERMS[:1], "somewhere", "teacher_path='somewhere' .* and nowhere else"),
        ((), None, r"loss=\(\): needed is a term"),
        (TERMS[:1] * 2, None, r"loss=\('LossConfig', 'LossConfig'\): .* different kinds"),
    ],
)
def test_a_teacher_and_its_term_need_each_other(loss, teacher_path, message, job):
    """And a loss has terms, no two of one kind, whose names would be one."""
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(job, loss=loss, teacher_path=teacher_path)


def test_what_packed_rows_are_told_is_not_kept(job):
    """They never come again."""
    taught = {"loss": TERMS, "teacher_path": "somewhere", "teacher_cache": "cache"}
    with pytest.raises(ValueError, match=r"dataset.pack=True: needed is .* --gin.PACK=False"):
        dataclasses.replace(job, **taught)
    apart = dataclasses.replace(job.dataset, pack=False)
    assert dataclasses.replace(job, **taught, dataset=apart).teacher_cache == "cache"


def test_a_teacher_that_reads_otherwise_is_refused(paths, tmp_path, student):
    """Before a tensor is read; and one that is not there."""
    path = str(paths["huggingface"])
    with pytest.raises(ValueError, match="vocab_size=64, the model that trains 72"):
        make_teacher(path, tiny_model(72), student.partitioner)
    other = tiny_model(VOCAB, Layout.LM)
    with pytest.raises(ValueError, match="layout=.*ENCODER_DECODER.*: needed is a teacher"):
        make_teacher(path, other, student.partitioner)
    prompted = dataclasses.replace(MODEL, prompt_length=3)
    with pytest.raises(ValueError, match="prompt_length=0, the model that trains 3: needed is a"):
        make_teacher(path, prompted, student.partitioner)
    with pytest.raises(FileNotFoundError):
        make_teacher(str(tmp_path / "nothing"), MODEL, student.partitioner)


def test_a_teacher_of_shorter_rows_is_refused(student, tmp_path, job):
    """Those of training and of evaluation, by the positions that it has learned."""
    learned = LearnedPositionsConfig(max_length=8)
    model = tiny_model(VOCAB, Layout.LM)
    teacher = model.with_stacks(lambda _, stack: dataclasses.replace(stack, positions=learned))
    checkpoints = manager.Checkpoints(tmp_path / "teacher", SaveCheckpointConfig())
    state = {"parameters": {"none": jax.device_put(np.zeros(2), student.partitioner.sharding(()))}}
    checkpoints.save(5, state, describe_run("", teacher))
    checkpoints.close()

    def factory_of(length, eval_length):
        train, held_out = (
            dataclasses.replace(job.dataset, task_feature_lengths={"targets": each})
            for each in (length, eval_length)
        )
        own = {"model": model, "dataset": train, "eval_dataset": held_out}
        taught = {"loss": TERMS, "teacher_path": str(tmp_path / "teacher")}
        return make_factory(dataclasses.replace(job, **own, **taught), student.partitioner)

    assert factory_of(8, 8).teacher.model == teacher
    for lengths in ((9, 8), (8, 9)):
        with pytest.raises(ValueError, match=r"rows of 9 tokens, but the teacher .* learned 8 pos"):
            factory_of(*lengths)


def test_a_command_trains_beside_a_teacher(tmp_path, monkeypatch):
    """One flag names the terms, one the teacher, from which the student starts as well; the log
    and evaluations have the divergence.
    """
    monkeypatch.chdir(pathlib.Path(__file__).parent)
    files = ["models/t5_1_0/tiny.gin"]
    sizes = [("--gin.VOCAB_SIZE", "VOCAB_SIZE=384")]
    model = config.resolve(ModelConfig, files, overrides=sizes).config
    parameters = jax.jit(functools.partial(transformer.init_parameters, model))(jax.random.key(1))
    huggingface.save(tmp_path / "teacher", model, jax.device_get(parameters))
    flags = {
        "VOCAB_SIZE": 384,
        "MIXTURE_OR_TASK_NAME": "toy_copy",
        "TASK_FEATURE_LENGTHS": {"inputs": 16, "targets": 8},
        "MODEL_DIR": tmp_path / "run",
        "INITIAL_CHECKPOINT_PATH": tmp_path / "teacher",
        "TrainConfig.teacher_path": f"'{tmp_path / 'teacher'}'",
        "TrainConfig.loss": "(@LossConfig(), @MatchTeacherConfig())",
        "DROPOUT_RATE": 0.0,
        "TRAIN_STEPS": 3,
        "BATCH_SIZE": 8,
        "LOG_PERIOD": 1,
        "EVAL_PERIOD": 3,
        "EVAL_STEPS": 1,
        "INFER_EVAL_DATASET": None,
        "COMPILATION_CACHE": False,
    }
    chosen = [f"--gin.{name}={value}" for name, value in flags.items()]
    files = [f"--gin_file={file}" for file in (*files, "recipes/finetune.gin")]
    assert cli.main(["train", *files, "--module_import=toy_tasks", *chosen]) == 0
    lines = json_lines.read_lines(tmp_path / "run" / "train" / "metrics.jsonl")
    divergences = [line["MatchTeacherConfig"] for line in lines]
    assert divergences[0] == pytest.approx(0.0, abs=1e-5)
    assert min(divergences[1:]) > 1e-4
    evaluated = tmp_path / "run" / "training_eval" / "toy_copy" / "metrics.jsonl"
    assert json_lines.read_lines(evaluated)[-1]["MatchTeacherConfig"] > 1e-4
