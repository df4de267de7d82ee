"""What a run leaves of a step that did not count, and that the step can be run again from it."""

import dataclasses
import functools
import json
import math
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from etils import epath

from t5x_lite import cli, config
from t5x_lite.checkpoints.config import SaveCheckpointConfig
from t5x_lite.checkpoints.manager import Checkpoints, Description
from t5x_lite.features.layouts import LAYOUTS, Layout
from t5x_lite.features.outputs import TOKENS, Scores
from t5x_lite.losses.tokens import compute_loss
from t5x_lite.model import transformer
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.stability import autopsy, health, replay
from t5x_lite.stability.examine import make_examination
from t5x_lite.stability.guard import Guard
from t5x_lite.training.config import TrainConfig
from t5x_lite.training.state import StateFactory
from t5x_lite.training.step import make_train_step

pytestmark = pytest.mark.usefixtures("two_devices")

JOB = {
    "MODEL_DIR": "unused",
    "MIXTURE_OR_TASK_NAME": "unused",
    "TASK_FEATURE_LENGTHS": "{'inputs': 8, 'targets': 6}",
    "TRAIN_STEPS": "10",
    "BATCH_SIZE": "8",
    "VOCAB_SIZE": "64",
    "NUM_PARTITIONS": "2",
    "DROPOUT_RATE": "0.1",
    "LEARNING_RATE_FACTORS": "constant",
    "LEARNING_RATE": "0.001",
    "HealthConfig.warmup_losses": "2",
}


def packed_batch(seed):
    """Two examples a row, of 5 and 3 inputs and 4 and 2 targets."""
    rng = np.random.default_rng(seed)
    segments = {
        "encoder": np.repeat([[1, 1, 1, 1, 1, 2, 2, 2]], 8, axis=0),
        "decoder": np.repeat([[1, 1, 1, 1, 2, 2]], 8, axis=0),
    }
    shapes = {
        "encoder_input_tokens": (8, 8),
        "decoder_input_tokens": (8, 6),
        "decoder_target_tokens": (8, 6),
    }
    batch = {name: rng.integers(2, 64, shape).astype(np.int32) for name, shape in shapes.items()}
    return batch | {f"{name}_segment_ids": np.int32(ids) for name, ids in segments.items()}


def save_state(directory, state):
    """As training does."""
    checkpoints = Checkpoints(directory, SaveCheckpointConfig())
    checkpoints.save(int(state.step), state, Description("", 0))
    checkpoints.close()


@pytest.fixture(scope="module")
def resolved():
    """A job from gin files, as the command line makes it; its module is nowhere."""
    files = ["models/t5_1_0/tiny.gin", "recipes/pretrain.gin"]
    overrides = [(f"--gin.{name}", f"{name}={value}") for name, value in JOB.items()]
    return config.resolve(TrainConfig, files, overrides=overrides)


@pytest.fixture(scope="module")
def factory(resolved):
    """On a mesh model=2."""
    job = resolved.config
    partitioner = make_partitioner(job.partitioning)
    return StateFactory(job.model, job.optimizer, job.learning_rate, partitioner)


@pytest.fixture(scope="module")
def train_step(resolved, factory):
    """The job's own."""
    job = resolved.config
    return make_train_step(factory, job.loss, seed=job.random_seed, health=job.health)


def written(directory, resolved, factory, train_step, disturb):
    """The autopsy of step 3 of a run whose parameters were disturbed after two steps."""
    state, guard = factory.initialize(0), Guard()
    for step in range(1, 5):
        if step == 3:
            state = dataclasses.replace(state, parameters=disturb(state.parameters))
        batch = packed_batch(step)
        guard.remember(step, batch)
        state, _ = train_step(state, factory.partitioner.global_batch(batch))
    event = guard.check(state)
    folder = autopsy.write_autopsy(
        directory,
        event,
        health.clear(state),
        factory,
        loss=resolved.config.loss,
        seed=resolved.config.random_seed,
        operative_config="import not_installed\n" + resolved.operative_config,
        decode=lambda ids: " ".join(map(str, ids)),
        save_state=save_state,
    )
    return event, folder


@pytest.fixture(scope="module")
def spike(resolved, factory, train_step, tmp_path_factory):
    """Embeddings a hundred times too large: a loss that leaps, but is finite."""

    @jax.jit
    def disturb(parameters):
        embedding = parameters["token_embedder"]["embedding"] * 100
        return parameters | {"token_embedder": {"embedding": embedding}}

    return written(tmp_path_factory.mktemp("spike"), resolved, factory, train_step, disturb)


@pytest.fixture(scope="module")
def broken(resolved, factory, train_step, tmp_path_factory):
    """An infinite weight in the second layer of the decoder."""

    def disturb(parameters):
        def break_layer(path, leaf):
            if jax.tree_util.keystr(path, simple=True, separator="/") != WEIGHT:
                return leaf
            return jax.device_put(leaf.at[1, 0, 0].set(jnp.inf), leaf.sharding)

        return jax.tree_util.tree_map_with_path(break_layer, parameters)

    return written(tmp_path_factory.mktemp("broken"), resolved, factory, train_step, disturb)


WEIGHT = "decoder/layers/mlp/wo/kernel"


def test_an_event_says_which_step_and_why(spike, broken):
    """With the batches drawn since, which are fed again."""
    event, folder = spike
    assert event.step == 3 and len(event.later_batches) == 1
    assert "deviations above its mean" in event.reason
    assert folder.name == "autopsy_3"
    event, folder = broken
    assert event.reason == "loss is nan"
    assert math.isnan(autopsy.read_event(folder)["loss"])
    # Not Python's own spelling of it: other programs read this file too.
    assert json.loads((folder / "event.json").read_text(), parse_constant=pytest.fail)


def test_the_batch_is_kept_as_ids_and_as_text(spike):
    """Every example of every packed row by itself."""
    event, folder = spike
    kept = autopsy.read_batch(folder)
    assert kept.keys() == event.batch.keys()
    for name, array in event.batch.items():
        np.testing.assert_array_equal(kept[name], array)
    text = (folder / "batch-00000-of-00001.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert len(lines) == 16
    second = {
        "row": 0,
        "example": 2,
        "inputs": " ".join(map(str, event.batch["encoder_input_tokens"][0, 5:])),
        "targets": " ".join(map(str, event.batch["decoder_target_tokens"][0, 4:])),
    }
    assert lines[1] == second


def test_padding_is_no_text():
    """Segment ids say what is; a language model has no inputs of their own."""
    batch = {
        "decoder_target_tokens": np.int32([[7, 0, 1, 0], [9, 1, 0, 0]]),
        "decoder_segment_ids": np.int32([[1, 1, 1, 0], [1, 1, 0, 0]]),
    }
    assert autopsy.texts(batch, [4, 5], str, LAYOUTS[Layout.LM]) == [
        {"row": 4, "example": 1, "targets": "[7, 0, 1]"},
        {"row": 5, "example": 1, "targets": "[9, 1]"},
    ]


def test_missing_rows_are_named(spike, tmp_path):
    """A process whose file was not copied along."""
    folder = epath.Path(tmp_path)
    event = json.loads((spike[1] / "event.json").read_text()) | {"rows": 16}
    (folder / "event.json").write_text(json.dumps(event))
    (spike[1] / "batch-00000-of-00001.npz").copy(folder / "batch-00000-of-00001.npz")
    with pytest.raises(ValueError, match=r"lacks rows \[8, 9, 10, 11, 12\] of the batch's 16"):
        autopsy.read_batch(folder)


def test_the_table_says_where_it_begins(broken):
    """Layer by layer, parameters before activations before gradients."""
    _, folder = broken
    table = (folder / "maxima.txt").read_text()
    assert table.startswith(
        "the first value that is not finite: parameters, decoder/layers/1/mlp/wo/kernel (inf)"
    )
    found = json.loads((folder / "maxima.json").read_text())
    activations = dict(found["activations"])
    assert math.isfinite(activations["decoder/layers/1/mlp/hidden"])
    assert not math.isfinite(float(activations["decoder/layers/1/mlp/output"]))
    assert float(activations["decoder/layers/0/residual"]) > 0


def test_the_largest_gradients_are_those_of_the_step(resolved, factory):
    """Against a gradient taken directly, with the same noise; rows of the batch are told apart."""
    job = resolved.config
    state, batch = factory.initialize(0), factory.partitioner.place_batch(packed_batch(0))
    findings = make_examination(factory, job.loss, seed=job.random_seed)(state, batch)
    key = jax.random.fold_in(jax.random.key(job.random_seed), 0)

    @jax.jit
    @functools.partial(jax.grad, has_aux=True)
    def gradient(parameters):
        outputs = transformer.apply(job.model, parameters, batch, dropout_key=key)
        scores = outputs.heads[TOKENS]
        return compute_loss(scores, batch, job.loss[0], training=True)[0], scores.all()

    gradients, logits = gradient(state.parameters)
    kernel = np.abs(gradients["encoder"]["layers"]["mlp"]["wi"]["kernel"])
    found = dict(findings.gradients)
    for layer, expected in enumerate(kernel.max(axis=(1, 2))):
        # A mesh adds in another order than one device.
        assert found[f"encoder/layers/{layer}/mlp/wi/kernel"] == pytest.approx(expected, rel=1e-4)
    for row in (0, 5):
        alone = {name: values[row : row + 1] for name, values in batch.items()}
        _, sums = compute_loss(Scores(logits[row : row + 1]), alone, job.loss[0], training=True)
        expected = sums["loss_sum"] / sums["weight_sum"]
        assert findings.rows[row] == pytest.approx(float(expected), rel=1e-5)
    # All rows have six targets here, so the mean of the rows is the loss.
    assert np.mean(findings.rows) == pytest.approx(findings.loss, rel=1e-5)
    assert len(findings.rows) == 8 and len(set(findings.rows)) > 1
    assert findings.beginning() == "all values are finite"
    gradients = [(name, math.nan) for name, _ in findings.gradients[:3]] + findings.gradients[3:]
    broken = dataclasses.replace(findings, gradients=gradients)
    assert f"the gradients of 3 of {len(gradients)} places are not" in broken.beginning()
    assert broken.table(most=1).count("nan") == 1


def test_what_fails_is_said_and_the_rest_is_written(broken, resolved, factory, tmp_path, capsys):
    """A full disk must not end a run that could go on."""

    def fail(directory, state):
        raise OSError(28, "No space left on device")

    folder = autopsy.write_autopsy(
        tmp_path,
        broken[0],
        factory.initialize(0),
        factory,
        loss=resolved.config.loss,
        seed=resolved.config.random_seed,
        operative_config=resolved.operative_config,
        decode=None,
        save_state=fail,
    )
    assert "could not save the state: OSError: [Errno 28] No space left" in capsys.readouterr().out
    assert (folder / "maxima.txt").exists() and autopsy.read_batch(folder)


def test_only_the_newest_states_are_kept(tmp_path):
    """They are as large as checkpoints; batches and tables stay."""
    for step in (3, 9, 10, 11, 100):
        (tmp_path / f"autopsy_{step}" / f"checkpoint_{step - 1}").mkdir(parents=True)
        (tmp_path / f"autopsy_{step}" / "maxima.txt").touch()
    autopsy._give_up_old_states(epath.Path(tmp_path) / "autopsy_100")
    kept = {path.parent.name for path in tmp_path.glob("autopsy_*/checkpoint_*")}
    assert kept == {"autopsy_10", "autopsy_11", "autopsy_100"}
    assert len(list(tmp_path.glob("autopsy_*/maxima.txt"))) == 5


# Replay.


def test_a_replay_reproduces_the_loss_to_the_last_bit(spike, capsys):
    """State, batch and dropout are those of the step; the module of its task is not needed."""
    event, folder = spike
    assert cli.main(["replay", str(folder)]) == 0
    printed = capsys.readouterr().out
    assert f"loss {event.loss!r}, gradient norm {event.gradient_norm!r}: unhealthy" in printed
    assert "It reproduces, to the last bit." in printed
    assert "token_embedder/embedding" in printed


@pytest.mark.slow
def test_a_replay_on_another_mesh_adds_in_another_order(spike, capsys):
    """Two times model=1 rather than model=2."""
    assert cli.main(["replay", str(spike[1]), "--gin.NUM_PARTITIONS=1"]) == 0
    printed = capsys.readouterr().out
    assert "mesh {'data': 2, 'model': 1}" in printed
    assert "It reproduces" in printed and "does not" not in printed


@pytest.mark.parametrize(
    ("loss", "norm", "says"),
    [
        (2.5, 1.25, "to the last bit"),
        (2.5001, 1.25, "reproduces, to 0.001: loss 2.5 then, 2.5001 now"),
        (2.5, 1.5, "does not reproduce: .*gradient norm 1.25 then, 1.5 now"),
        (math.nan, 1.25, "does not reproduce"),
    ],
)
def test_a_verdict_says_what_differs(loss, norm, says, capsys):
    """NaN is not close to anything; a different bit is no failure."""
    reproduces = replay._compare({"loss": 2.5, "gradient_norm": 1.25}, loss, norm)
    assert re.search(says, capsys.readouterr().out)
    assert reproduces == ("does not" not in says)


@pytest.mark.slow
def test_a_replay_with_other_settings_says_that_it_differs(spike, capsys):
    """Without dropout the loss is another one."""
    assert cli.main(["replay", str(spike[1]), "--gin.DROPOUT_RATE=0.0"]) == 0
    assert "It does not reproduce: loss" in capsys.readouterr().out


def test_a_folder_that_is_no_autopsy_is_refused(tmp_path, capsys):
    """One line, exit code 2."""
    assert cli.main(["replay", str(tmp_path)]) == 2
    assert "is no autopsy" in capsys.readouterr().err


@pytest.mark.slow
def test_a_replay_needs_no_tensorflow(spike, users_shell):
    """Ids are stored, so none of the data's libraries is imported."""
    program = (
        "import sys; from t5x_lite import cli; "
        f"status = cli.main(['replay', {str(spike[1])!r}, '--cpu_devices=8']); "
        "print('tensorflow' in sys.modules, status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=users_shell, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "False 0", done.stderr
