"""What a teacher said is read again and not computed, and the loss is the same."""

import dataclasses
import functools
import sqlite3

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from t5x_lite.checkpoints import huggingface
from t5x_lite.compression.memory import Memory
from t5x_lite.compression.teacher import make_teacher
from t5x_lite.errors import UserError
from t5x_lite.features.outputs import Wanted
from t5x_lite.losses.config import MatchTeacherConfig
from t5x_lite.losses.states_config import (
    MatchDirectionConfig,
    MatchInputConfig,
    MatchScoresConfig,
    MatchStatesConfig,
)
from t5x_lite.model import transformer
from t5x_lite.model.compute_config import ComputeConfig
from t5x_lite.optim.config import AdamWConfig, ScheduleConfig
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_gradients

pytestmark = pytest.mark.usefixtures("two_devices")

ROWS, LENGTH, VOCAB = 8, 6, 64
TERMS = (
    MatchTeacherConfig(temperature=2.0),
    MatchDirectionConfig(),
    MatchInputConfig(),
    MatchStatesConfig(),
    MatchScoresConfig(),
)
WHOLE = tiny_model(VOCAB)
ALL = Wanted()
# A chunk of logits at a time.
CHUNKED = dataclasses.replace(WHOLE, compute=ComputeConfig(logits_bytes=4 * VOCAB * 8))


@functools.cache
def on_host(seed):
    init = jax.jit(functools.partial(transformer.init_parameters, WHOLE))
    return jax.device_get(init(jax.random.key(seed)))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    folder = tmp_path_factory.mktemp("teacher")
    huggingface.save(folder, WHOLE, on_host(1))
    return str(folder)


def factory_of(path, cache=None, model=WHOLE):
    partitioner = make_partitioner(PartitioningConfig(num_partitions=2))
    teacher = make_teacher(path, model, partitioner, TERMS, cache)
    teacher = dataclasses.replace(teacher, model=model)
    return StateFactory(model, AdamWConfig(), ScheduleConfig(), partitioner, teacher=teacher)


def rows(seed=0):
    rng = np.random.default_rng(seed)
    segments = np.int32(np.arange(LENGTH) < rng.integers(2, LENGTH + 1, (ROWS, 1)))
    names = ("encoder_input_tokens", "decoder_input_tokens", "decoder_target_tokens")
    found = {name: segments * rng.integers(2, VOCAB, (ROWS, LENGTH), np.int32) for name in names}
    return found | {"encoder_segment_ids": segments, "decoder_segment_ids": segments}


def taught(factory, given, *, parts=1):
    """Gradients and sums of a student of other parameters."""
    gradients_of = jax.jit(make_gradients(factory, TERMS, seed=0, num_microbatches=parts))
    state = factory.from_parameters(on_host(0))
    return jax.device_get(gradients_of(state, factory.frozen, factory.placed(given))[:2])


@pytest.mark.parametrize("model", [WHOLE, CHUNKED], ids=["whole", "chunked"])
@pytest.mark.parametrize("parts", [1, 2])
def test_the_loss_is_that_of_a_teacher_that_is_asked(model, parts, path, tmp_path):
    """To 1e-6, when it is asked first and when it is read; gradients too; also in parts."""
    expected, sums = taught(factory_of(path, model=model), rows(), parts=parts)
    for _ in range(2):
        factory = factory_of(path, str(tmp_path), model)
        found, own = taught(factory, rows(), parts=parts)
        for name in sums:
            np.testing.assert_allclose(own[name], sums[name], rtol=1e-6, err_msg=name)
        jax.tree.map(
            lambda one, other: np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6),
            found,
            expected,
        )


def test_a_teacher_is_asked_once_for_a_row(path, tmp_path, monkeypatch):
    """In whatever order rows come again, and in a later run; others are asked for anew."""
    counted = []
    recall = Memory.recall

    def counting(self, given, shapes, ask):
        return recall(self, given, shapes, lambda: (counted.append(1), ask())[1])

    monkeypatch.setattr(Memory, "recall", counting)
    order = np.random.default_rng(0).permutation(ROWS)
    shuffled = {name: each[order] for name, each in rows().items()}
    first = factory_of(path, str(tmp_path)).placed(rows())
    assert counted == [1]
    again = factory_of(path, str(tmp_path)).placed(shuffled)
    assert counted == [1]
    said = [name for name in first if name.startswith("teacher/")]
    assert len(said) == 4
    for name in said:
        np.testing.assert_array_equal(again[name], np.asarray(first[name])[order])
    factory_of(path, str(tmp_path)).placed(rows(seed=1))
    assert counted == [1, 1]


def test_what_is_read_is_not_computed(path, tmp_path):
    """The program of a step does about as much as one without a teacher's forward pass."""
    counts = {}
    for cache in (None, str(tmp_path)):
        factory = factory_of(path, cache)
        gradients_of = jax.jit(make_gradients(factory, TERMS, seed=0))
        state, batch = factory.from_parameters(on_host(0)), factory.placed(rows())
        program = gradients_of.lower(state, factory.frozen, batch).compile()
        counts[cache is None] = program.cost_analysis()["flops"]
    # Forward and backward are three times a forward pass, the teacher's is one more.
    assert 0.65 < counts[False] / counts[True] < 0.85


def test_another_teacher_or_wish_is_another_row(tmp_path):
    shapes = {"x": jax.ShapeDtypeStruct((ROWS,), np.float32)}

    def said(value, teacher, wanted=ALL):
        memory = Memory(str(tmp_path), teacher, wanted)
        answer = {"x": np.full(ROWS, value, np.float32)}
        return memory.recall(rows(), shapes, lambda: answer)["x"][0]

    assert [said(1, "one"), said(2, "one"), said(3, "two"), said(4, "one", Wanted((), ()))] == [
        1,
        1,
        3,
        4,
    ]


def test_another_dtype_is_another_row(tmp_path):
    """A CPU says in float32 what an accelerator says in bfloat16: neither reads the other's."""
    memory = Memory(str(tmp_path), "one", ALL)
    for dtype in (np.float32, jnp.bfloat16, np.float32, jnp.bfloat16):
        shapes = {"x": jax.ShapeDtypeStruct((ROWS, 4), dtype)}
        answer = {"x": np.full((ROWS, 4), jnp.finfo(dtype).eps, dtype)}
        found = memory.recall(rows(), shapes, lambda answer=answer: answer)["x"]
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, answer["x"])


def test_nothing_is_written_before_a_row_is_asked_for(path, tmp_path):
    """`check` makes a teacher and asks nothing."""
    factory_of(path, str(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize("kind", ["a file", "no database", "of another run"])
def test_a_folder_that_holds_no_rows_is_refused(kind, tmp_path, monkeypatch):
    """In one line that names it: a file of that name, another file in it, one that is held."""
    folder = tmp_path / "cache"
    if kind == "a file":
        folder.write_text("text")
    else:
        folder.mkdir()
    if kind == "no database":
        (folder / "teacher.sqlite").write_text("no database, but a text of some length" * 9)
    if kind == "of another run":
        connect = sqlite3.connect
        monkeypatch.setattr(sqlite3, "connect", lambda file: connect(file, timeout=0))
        held = connect(folder / "teacher.sqlite")
        held.execute("BEGIN EXCLUSIVE")
    memory = Memory(str(folder), "one", ALL)
    shapes = {"x": jax.ShapeDtypeStruct((ROWS,), np.float32)}
    with pytest.raises(UserError, match=r"cache: .* in it\); needed is a folder, new"):
        memory.recall(rows(), shapes, lambda: {"x": np.zeros(ROWS, np.float32)})


def test_what_cannot_be_kept_is_refused(path):
    with pytest.raises(UserError, match="gs://bucket in 1 processes: needed are a folder of this"):
        factory_of(path, "gs://bucket")
