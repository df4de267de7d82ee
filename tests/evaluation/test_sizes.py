"""Models side by side: counted as they are stored, timed in turns, compared on the same texts."""

import re
import subprocess
import sys

import jax
import numpy as np
import pytest

from t5x_lite import cli
from t5x_lite.checkpoints import huggingface
from t5x_lite.checkpoints.parameters import abstract_parameters, place_parameters
from t5x_lite.evaluation import latency
from t5x_lite.evaluation.sizes import measure
from t5x_lite.evaluation.sizes_config import SizesConfig
from t5x_lite.features.layouts import Layout
from t5x_lite.inference.engine import Engine
from t5x_lite.inference.ensemble import Ensemble
from t5x_lite.model import transformer
from t5x_lite.partitioning.config import PartitioningConfig
from t5x_lite.partitioning.partitioner import make_partitioner
from t5x_lite.testing import tiny_model
from t5x_lite.text.byte_tokenizer import ByteTokenizer

pytestmark = pytest.mark.usefixtures("two_devices")

BYTES = 384
QUICK = ("--inputs_length=8", "--targets_length=4", "--rounds=2", "--batch_sizes=1,3")


def draw(model, seed=0):
    rng = np.random.default_rng(seed)
    return jax.tree.map(
        lambda leaf: 0.3 * rng.standard_normal(leaf.shape, np.float32),
        transformer.abstract_parameters(model),
    )


@pytest.fixture(scope="module")
def directories(tmp_path_factory):
    """A byte model, and the same with half of a kernel's numbers 0."""
    model = tiny_model(BYTES)
    full, pruned = draw(model), draw(model)
    kernel = pruned["decoder"]["layers"]["mlp"]["wo"]["kernel"]
    kernel[:, ::2] = 0
    found = []
    for name, parameters in (("full", full), ("pruned", pruned)):
        found.append(tmp_path_factory.mktemp(name))
        huggingface.save(found[-1], model, parameters, ByteTokenizer(125))
    return [str(path) for path in found], kernel.size // 2


# Time.


def test_models_take_turns():
    """After a call of each that does not count, rounds of all, each begun by another one."""
    made, now = [], [0.0]

    def call(place, seconds):
        def run():
            made.append(place)
            now[0] += seconds

        return run

    calls = [call(place, seconds) for place, seconds in enumerate((1.0, 2.0, 4.0))]
    seconds = latency.in_turns(calls, rounds=4, clock=lambda: now[0])
    assert made[:3] == [0, 1, 2]
    rounds = np.reshape(made[3:], (4, 3))
    assert rounds.tolist() == [[0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]
    np.testing.assert_array_equal(seconds, np.repeat([[1.0], [2.0], [4.0]], 4, axis=1))


@pytest.mark.parametrize("layout", [Layout.ENCODER_DECODER, Layout.LM, Layout.ENCODER])
def test_all_models_do_the_same_work(layout):
    """As many tokens are written, whatever the model thinks of an end; an encoder reads as many."""
    model = tiny_model(BYTES, layout)
    parameters = draw(model)
    # All that this model would write is the end.
    parameters["token_embedder"]["embedding"][model.special.end] *= 100
    mesh = make_partitioner(PartitioningConfig(), jax.devices()[:1])
    placed = place_parameters(parameters, abstract_parameters(model, mesh))
    engine = Engine(Ensemble((model,)), [placed], mesh)
    config = SizesConfig(paths=("-",), inputs_length=6, targets_length=5)
    found = latency.call_of(engine, config, 3)()
    assert len(found) == 3
    if layout is Layout.ENCODER:
        assert all(each.shape == (model.embed_dim,) for each in found)
    else:
        assert [each.num_tokens for each in found] == [5, 5, 5]


# Sizes.


def test_parameters_are_counted_and_zeros_apart(directories):
    paths, num_zero = directories
    config = SizesConfig(
        paths=tuple(paths), inputs_length=4, targets_length=2, rounds=3, batch_sizes=(2,)
    )
    full, pruned = measure(config)
    count = transformer.num_parameters(tiny_model(BYTES))
    assert full.num_parameters == full.num_nonzero == pruned.num_parameters == count
    assert pruned.num_nonzero == count - num_zero
    assert full.num_bytes == 4 * count and full.dtypes == ("float32",)
    assert full.seconds[2].shape == (3,) and (full.seconds[2] > 0).all()


# The command.


def run(paths, *flags):
    return cli.main(["sizes", *paths, *QUICK, *flags])


def test_tables_and_a_page(directories, tmp_path, capsys):
    """Of one model twice nothing differs; what differs has an interval."""
    paths, _ = directories
    page = tmp_path / "sizes.html"
    flags = ["--task=evaluation_echo", "--split=validation", "--num_examples=6"]
    flags += ["--gin.MAX_DECODE_LENGTH=4", "--gin.StatisticsConfig.num_resamples=100"]
    flags += [f"--output={page}"]
    assert run([paths[0], paths[0], paths[1]], *flags) == 0
    said = capsys.readouterr().out
    rows = [line for line in said.splitlines() if " second " in line]
    assert len(rows) == 3 and all(re.search(r"\d \[\d+\.\d+, \d+\.\d+\]", row) for row in rows)
    assert re.search(r"\+0\.00 \[0\.00, 0\.00\] . 1\.0000 .+ 6 ", rows[1])
    assert re.search(r"ms, batch 1 .+ms, batch 3", said) and "100 %" in said
    written = page.read_text()
    assert written.count("<svg") == 2 * 3, "the task has three numbers"
    assert "evaluation_echo second and size" in written and "http" not in written.replace(
        "http://www.w3.org", ""
    )
    assert not list(tmp_path.rglob("inference_eval")), "what was decoded is gone"


def test_without_quality_tensorflow_is_not_loaded(directories):
    program = f"""
import sys
from t5x_lite import cli
assert cli.main(["sizes", {directories[0][0]!r}, *{QUICK!r}, "--batch_sizes=1"]) == 0
assert not {{"tensorflow", "seqio"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "quality" not in done.stdout


@pytest.mark.parametrize(
    ("paths", "flags", "message"),
    [
        (["{tmp}/absent"], [], "absent"),
        (["{full}", "{tmp}"], [], "no checkpoint"),
        (["{full}"], ["--batch_sizes=0"], "needed is a number from 1 to"),
        (["{full}"], ["--batch_sizes="], "needed are numbers such as 1,32"),
        (["{full}"], ["--rounds=0"], "needed is a number from 1"),
        (["{full}"], ["--output={tmp}/no/page.html"], "is no folder to write into"),
        (["{full}"], ["--task=no_such_task"], "no_such_task"),
        ([], [], "required: MODEL"),
    ],
)
def test_a_mistake_is_one_line(directories, tmp_path, capsys, paths, flags, message):
    given = {"tmp": tmp_path, "full": directories[0][0]}
    paths, flags = ([each.format(**given) for each in words] for words in (paths, flags))
    assert run(paths, *flags) == 2
    said = capsys.readouterr().err
    assert said.startswith("t5x_lite: error: "), said
    assert message in said


def test_too_few_positions_are_said(tmp_path, gpt2_of, capsys):
    """As inference says them: a model that learned 32."""
    model = gpt2_of(VOCAB_SIZE=300)
    huggingface.save(tmp_path, model, draw(model))
    assert run([str(tmp_path)], "--inputs_length=40") == 2
    assert "32" in capsys.readouterr().err
