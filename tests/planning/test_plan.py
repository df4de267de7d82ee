"""The command on simulated devices and on TPUs that are elsewhere, and what it says without one."""

import dataclasses
import json
import re
import sys

import jax
import pytest

from t5x_lite import cli
from t5x_lite.errors import UserError
from t5x_lite.planning import html_page, isolated, report
from t5x_lite.planning.isolated import CrashError
from t5x_lite.planning.measure import Measured, measure
from t5x_lite.planning.memory import Memory, Shortage, StateBytes, on_a_device, shortage_of
from t5x_lite.planning.plan import make_plan
from t5x_lite.planning.plan_json import as_json
from t5x_lite.planning.prices import price_of
from t5x_lite.planning.programs import Kind, lower, make_states
from t5x_lite.planning.topologies import find

KEYS = {
    "topology",
    "chips",
    "mesh",
    "hbm_capacity_bytes",
    "hbm_peak_bytes",
    "params_bytes",
    "optimizer_bytes",
    "temp_bytes",
    "model_flops",
    "compiled_flops",
    "collective_bytes",
    "exposed_collective_seconds",
    "step_seconds_estimate",
    "compile_seconds",
    "fits",
}


@pytest.fixture(scope="module")
def planned(words, tmp_path_factory):
    """(status, object of --json, page of --html) of all programs of the job on cpu:8."""
    folder = tmp_path_factory.mktemp("plan")
    files = [f"--{kind}={folder / kind}" for kind in ("json", "html")]
    flags = ["--topology=cpu:8", "--gin.NUM_PARTITIONS=2", "--price_per_chip_hour=2", *files]
    status = cli.main(["plan", "--program=all", *words, *flags])
    return status, json.loads((folder / "json").read_text()), (folder / "html").read_text()


def test_a_job_is_planned_with_all_its_programs(planned):
    status, found, _ = planned
    assert status == 0 and found["fits"]
    assert [each["program"] for each in found["programs"]] == ["train", "eval", "decode"]
    assert all(each.keys() >= KEYS for each in found["programs"])
    assert found["mesh"] == {"data": 4, "model": 2}
    assert (found["topology"], found["chips"], found["train_steps"]) == ("cpu:8", 8, 1000)


def test_bytes_of_a_plan_are_those_of_the_shards(planned, make_job):
    state = make_states(make_job(NUM_PARTITIONS=2), find("cpu:8")).abstract
    _, found, _ = planned
    assert found["params_bytes"] == on_a_device(state.parameters)
    whole = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(state))
    assert found["checkpoint_bytes"] == whole
    assert sum(found["hbm_parts_bytes"].values()) == found["hbm_peak_bytes"]
    # What lies there before the step begins; T5 does not read positions.
    read = [shape for name, shape in found["batch"].items() if not name.endswith("positions")]
    batch = sum(rows // 4 * length * 4 for rows, length in read)
    assert found["argument_bytes"] == found["params_bytes"] + found["optimizer_bytes"] + batch


def test_a_step_computes_what_the_model_says(planned):
    """Three times what evaluation does; compiled are a few FLOPs more or less, and no logits of
    what is not wanted.
    """
    train, evaluation, _ = planned[1]["programs"]
    assert train["model_flops"] == pytest.approx(3 * evaluation["model_flops"])
    assert train["compiled_flops"] == pytest.approx(train["model_flops"], rel=0.1)
    assert evaluation["compiled_flops"] == pytest.approx(evaluation["model_flops"], rel=0.1)


def test_a_loop_whose_end_only_the_data_knows_is_not_passed_over(planned):
    """The compiler of CPUs hides how long decoding goes on at most; other programs know."""
    counts = [each["unknown_loops"] for each in planned[1]["programs"]]
    assert counts == [0, 0, 1]
    said = planned[1]["programs"][2]["assumptions"]
    assert any("1 loop(s) of decode end when the data says" in each for each in said)


def test_time_and_money_follow_from_the_step(planned):
    _, found, _ = planned
    seconds = found["compute_seconds"] + found["exposed_collective_seconds"]
    assert found["step_seconds_estimate"] == pytest.approx(seconds)
    assert found["tokens_per_second"] == pytest.approx(16 * (16 + 8) / seconds)
    assert found["price"] == pytest.approx(1000 * seconds / 3600 * 8 * 2)
    assert found["collective_bytes"]["all-reduce"] > 0
    assert {each["axes"] for each in found["collectives"]} >= {"data", "model"}


def test_the_page_shows_each_program_with_charts(planned):
    _, _, html = planned
    assert html.count("<svg") == 9
    assert "a batch that is answered on cpu:8" in html
    assert "round numbers" in html


def test_a_program_that_is_refused_is_told_what_takes_the_most(make_job):
    """What the compiler asks for beyond parameters, optimizer and gradients is activations."""
    measured = Measured(
        kind=Kind.TRAIN,
        topology=find("v5e-1"),
        mesh={"data": 1, "model": 1},
        shapes={"encoder_input_tokens": (16, 16), "decoder_input_tokens": (16, 8)},
        state=StateBytes(int(3e9), int(1e9), int(3e9), int(4e9)),
        lower_seconds=1.0,
        compile_seconds=2.0,
        outcome=Shortage(int(20e9), int(16.9e9)),
    )
    plan = make_plan(make_job(), measured)
    assert "it does not fit: it needs 20 GB of 16.9 GB" in report.verdict(plan)
    assert "activations and temporaries 13 GB, parameters 3 GB" in report.verdict(plan)
    found = as_json(plan)
    assert not found["fits"] and found["step_seconds_estimate"] is None
    assert found["hbm_peak_bytes"] == 20e9 and found.keys() >= KEYS
    assert "20 GB" in html_page.render([plan]) and "needed" in report.terminal(plan)


def test_reserved_memory_decides_whether_a_program_fits(make_job):
    """Gaps between arrays count, though no array lies in them."""
    measured = isolated.call(measure, make_job(), find("cpu:1"), Kind.EVAL)
    memory = Memory(arguments=1, temporaries=1, peak=int(4e9), reserved=int(4.4e9))
    outcome = dataclasses.replace(measured.outcome, memory=memory)
    plan = make_plan(make_job(), dataclasses.replace(measured, outcome=outcome))
    assert plan.hbm_peak < plan.hbm_capacity and not plan.fits
    assert "needs 4.4 GB of 4.29 GB" in report.verdict(plan)


@pytest.mark.parametrize(
    ("said", "needed", "available"),
    [
        (
            "RESOURCE_EXHAUSTED: Ran out of memory on HBM, the total memory required for HLO "
            "temporaries (88.50G) exceeds available HBM (15.75G).",
            88.5 * 2**30,
            15.75 * 2**30,
        ),
        ("Ran out of memory in memory space hbm. Used 512.0M of 0.25G hbm.", 2**29, 2**28),
    ],
)
def test_the_compilers_words_for_too_little_memory_are_known(said, needed, available):
    assert shortage_of(RuntimeError(said)) == Shortage(int(needed), int(available))
    assert shortage_of(RuntimeError("RESOURCE_EXHAUSTED: threads")) is None


def _loads_tensorflow(job):
    states = make_states(job, find("cpu:8"))
    for kind in Kind:
        lower(job, states, kind)
    from t5x_lite.planning import run  # noqa: F401

    return [name for name in ("tensorflow", "seqio") if name in sys.modules]


def test_nothing_of_tensorflow_is_loaded(make_job):
    assert isolated.call(_loads_tensorflow, make_job()) == []


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--topology=v5-256"], "there is no topology"),
        (["--topology=cpu:8", "--gin.NUM_PARTITIONS=3"], "on cpu:8, 8 devices"),
        (["--topology=cpu:8", "--slices=2"], "of one slice"),
        (["--topology=cpu:8", "--prices=nowhere.json"], "nowhere.json"),
        ([], "--topology"),
    ],
)
def test_what_cannot_be_planned_is_said_in_one_line(words, capsys, flags, said):
    assert cli.main(["plan", *words, *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and "Traceback" not in error


def test_prices_are_read_from_a_file(tmp_path):
    path = tmp_path / "prices.json"
    path.write_text('{"v5e": 0.84}')
    v5e, v5p = find("v5e-4").chip, find("v5p-8").chip
    assert price_of(v5e, given=None, path=str(path)) == 0.84
    assert price_of(v5p, given=None, path=str(path)) == v5p.price
    assert price_of(v5e, given=3.0, path=None) == 3.0
    for wrong in ('{"v5": 1}', '{"v5e": "1"}', '{"v5e": -1}'):
        path.write_text(wrong)
        with pytest.raises(UserError, match="prices.json has 'v5"):
            price_of(v5e, given=None, path=str(path))


def _crash():
    import os
    import signal

    os.kill(os.getpid(), signal.SIGSEGV)


def _refuse(number):
    raise ValueError(f"not {number}")


def test_a_compiler_that_crashes_takes_only_its_own_process_along():
    with pytest.raises(CrashError, match=r"signal 11 \(SIGSEGV\)"):
        isolated.call(_crash)
    with pytest.raises(ValueError, match="not 3"):
        isolated.call(_refuse, 3)


@pytest.mark.tpu_compiler
def test_a_job_is_planned_for_tpus_that_are_elsewhere(words, tmp_path):
    """Their activations are bfloat16 and sharded parameters are gathered, though no TPU is here."""
    pytest.importorskip("libtpu", reason="libtpu is not installed: make pods")
    file = tmp_path / "plan.json"
    flags = ["--topology=v5e-4", f"--json={file}", "--gin_file=meshes/fully_sharded.gin"]
    assert cli.main(["plan", *words, *flags]) == 0
    found = json.loads(file.read_text())
    assert found["hbm_capacity_bytes"] == int(15.75 * 2**30)
    assert found["price_per_chip_hour"] == 1.2
    assert found["collective_bytes"]["all-gather"] > 0
    assert found["compiled_flops"] == pytest.approx(found["model_flops"], rel=0.2)


@pytest.mark.tpu_compiler
def test_what_crosses_slices_is_told_apart(words, tmp_path):
    """Parameters are gathered within a slice; only gradients cross, each chip its quarter, in the
    activations' dtype. At the width of other tests the compiler does not reduce and scatter.
    """
    pytest.importorskip("libtpu", reason="libtpu is not installed: make pods")
    file = tmp_path / "plan.json"
    meshes = ["--gin_file=meshes/multislice.gin", "--gin_file=meshes/fully_sharded.gin"]
    flags = ["--topology=v5e-4", "--slices=2", "--gin.NUM_SLICES=2", f"--json={file}"]
    width = {"EMBED_DIM": 256, "MLP_DIM": 512, "HEAD_DIM": 64}
    flags += [f"--gin.{name}={value}" for name, value in width.items()]
    assert cli.main(["plan", *words, *meshes, *flags]) == 0
    found = json.loads(file.read_text())
    assert (found["chips"], found["hosts"], found["slices"]) == (8, 2, 2)
    crossing = [each for each in found["collectives"] if each["axes"] == "slice"]
    assert {each["axes"] for each in found["collectives"]} == {"slice", "data"}
    moved = sum(each["bytes"] for each in crossing if each["kind"] == "all-reduce")
    assert moved == pytest.approx(found["params_bytes"] / 2, rel=0.1)


@pytest.mark.tpu_compiler
def test_what_the_compiler_refuses_is_a_plan_too(words, capsys):
    pytest.importorskip("libtpu", reason="libtpu is not installed: make pods")
    lengths = "--gin.TASK_FEATURE_LENGTHS={'inputs': 512, 'targets': 512}"
    flags = ["--topology=v5e-1", "--gin.BATCH_SIZE=4096", lengths]
    assert cli.main(["plan", *words, *flags]) == 2
    assert re.search(r"it needs [\d.]+ GB of 16.9 GB; the largest", capsys.readouterr().out)
