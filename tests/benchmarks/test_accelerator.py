"""benchmarks/accelerator: what a budget leaves out, what a start goes on with, what is told."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import types

import pytest

from benchmarks.accelerator import __main__ as command
from benchmarks.accelerator import arithmetic, page, plan, process, runner, search, tables
from benchmarks.accelerator.job import OURS, PEER, Job
from benchmarks.accelerator.results import Results
from benchmarks.accelerator.search import Try

ROOT = pathlib.Path(__file__).resolve().parents[2]
# 1 TFLOP/s, 1 GB/s.
MACHINE = {"peak_gflops": 1000.0, "read_gb_per_second": 1.0}
BLOCK = """
import sys
PEERS = ("torch", "transformers")
for name in ("tensorflow", "seqio", "tensorflow_datasets", "tensorflow_text", *PEERS):
    sys.modules[name] = None
"""


@pytest.fixture
def clock(monkeypatch):
    """Seconds that pass where jobs run only: ten each, or what the limit leaves."""
    now = types.SimpleNamespace(seconds=0.0, ran=[])

    def told(job, folder, limit):
        now.ran.append(job.name)
        now.seconds += min(10.0, limit)
        return {"found": {"n": 1}, "card": "H200"} if limit >= 10 else {"lacking": "ended"}

    monkeypatch.setattr(runner, "_told", told)
    monkeypatch.setattr(runner, "time", types.SimpleNamespace(monotonic=lambda: now.seconds))
    return now


def job(name, seconds=10.0, packages=()):
    return Job(name, "attention", "somewhere:measure", {}, seconds, packages)


def asks(*jobs):
    return [plan._once(each) for each in jobs]


def test_a_budget_skips_what_does_not_fit_and_a_second_start_goes_on(clock, tmp_path):
    """A job that is begun ends with the budget; what is short may still fit behind what is not."""
    said = []
    results = Results(tmp_path)
    every = asks(job("a"), job("b", 30.0), job("c"), job("d", 5.0), job("e", 5.0))
    runner.run(every, results, 25.0, said.append)
    assert clock.ran == ["a", "c", "d"]
    assert said[1] == "b: - skipped: it needs 30 s, 15 s are left"
    assert results.lacking().keys() == {"b", "d", "e"}
    results = Results(tmp_path)
    runner.run(every, results, 100.0, said.append)
    assert clock.ran == ["a", "c", "d", "b", "d", "e"]
    assert not results.lacking()
    line = results.measured()[0]
    assert (line["job"], line["card"], line["found"]) == ("a", "H200", {"n": 1})
    assert {"t5x_lite", "jax"} <= line["versions"].keys()


def test_a_missing_peer_is_told_and_no_error(clock, tmp_path):
    results = Results(tmp_path)
    runner.run(asks(job("peer", packages=("no_such_package",)), job("a")), results, 60.0, print)
    assert clock.ran == ["a"]
    assert results.lacking() == {"peer": "no_such_package not installed"}
    assert "| peer | no_such_package not installed |" in tables.all_tables(results)


def test_a_process_that_ends_or_hangs_is_told(tmp_path):
    told = runner._told(job("broken/one"), tmp_path, 60.0)
    assert told == {"lacking": "its process ended with status 1: see broken-one.log"}
    assert "No module named 'somewhere'" in (tmp_path / "logs/broken-one.log").read_text()
    assert runner._told(job("slow"), tmp_path, 0.01) == {"lacking": "ended after 0 s"}


def test_only_a_batch_that_does_not_fit_is_a_result(monkeypatch):
    def room(error, card="NVIDIA H200"):
        def measure(**options):
            raise error

        one = types.SimpleNamespace(measure=measure, card=lambda: card)
        monkeypatch.setitem(sys.modules, "made_up", one)

    def told(**options):
        return process.told("made_up:measure", options, anywhere=False)

    for words in ("RESOURCE_EXHAUSTED: Out of memory while", "CUDA out of memory. Tried"):
        room(RuntimeError(words))
        assert told(batch=4) == {"found": {"fits": False}, "card": "NVIDIA H200"}
        assert "lacking" in told()
    room(ValueError("first\nsecond"))
    assert told(batch=4) == {"lacking": "ValueError: first"}
    room(ValueError(), card="cpu")
    assert told() == {"lacking": "no accelerator is seen; --tiny runs anywhere"}


def tried(fits, remats=("none", "minimal"), most=512):
    """The order of tries from 32 rows on, where `fits` gives tokens a second or None."""
    known = {}
    while (one := search.next_try(known, 32, remats, most=most)) is not None:
        known[one] = fits(one)
    return [f"{one.batch} {one.remat}" for one in known], search.best(known)


def test_a_batch_is_doubled_while_it_pays():
    """Up to what does not fit, to less than 3 % more, or to the most."""
    full = tried(lambda one: one.batch if one.batch <= 64 else None)
    assert full == (["32 none", "64 none", "128 none"], Try(64, "none"))
    slow = {32: 100.0, 64: 110.0, 128: 113.0, 256: 200.0}
    assert tried(lambda one: slow[one.batch])[0] == ["32 none", "64 none", "128 none"]
    assert tried(lambda one: one.batch, most=64)[0] == ["32 none", "64 none"]
    recomputed = tried(lambda one: one.batch if one.remat == "minimal" else None, most=64)
    assert recomputed == (["32 none", "32 minimal", "64 minimal"], Try(64, "minimal"))
    small = tried(lambda one: one.batch if one.batch <= 8 else None)
    assert small == (["32 none", "32 minimal", "16 minimal", "8 minimal"], Try(8, "minimal"))
    none = tried(lambda one: None, remats=("none",))
    assert none == ([f"{n} none" for n in (32, 16, 8, 4, 2, 1)], None)


def line(results, name, part, options, found, *, arm=OURS, again=False):
    one = Job(name, part, "", options, 1.0, (), arm, again)
    results.add_found(one, "NVIDIA H200", found)


def training(batch, seconds, remat="none"):
    options = {"size": "large", "batch": batch, "remat": remat, "inputs": 512, "targets": 114}
    tokens = batch * 626
    found = {"seconds": seconds, "flops": 1e12, "tokens": tokens, "peak_bytes": 2e9}
    return options, {**found, "tokens_per_second": tokens / min(seconds), "first_seconds": 9.0}


def test_tables_say_shares_of_what_the_card_can_do(tmp_path):
    """1 TFLOP in 4 s of 1 TFLOP/s is 25 %, of 989 nominal ones 0.025 %; turns are one median."""
    results = Results(tmp_path)
    speeds = {"copy_gb_per_second": 1.0, "sum_gb_per_second": 1.0}
    line(results, "machine", "machine", {}, MACHINE | speeds)
    line(results, "one", "train", *training(1, [3.0]))
    line(results, "two", "train", *training(2, [4.0, 4.0]))
    line(results, "two again", "train", *training(2, [6.0]), again=True)
    line(results, "four", "train", training(4, [1.0])[0], {"fits": False})
    told = "\n".join(tables.all_tables(results))
    assert "NVIDIA H200; 20" in told and "| 1 | 1 | 1 | 4800 |" in told
    assert (
        "| large, 2 x 512 + 114 | ours | 4000 (4000 to 6000) | 313 | 25.0% | 0.0% | 2.0 | 9 | "
        "1, 2, 4 does not fit |"
    ) in told
    refused = {"cudnn": {"refused": "a | b"}, "dense": {"milliseconds": 2.0, "difference": 0.0}}
    found = {"shapes": [{"name": "T5", "forms": refused}]}
    line(results, "attention", "attention", {}, found)
    checks = {"losses": {"difference": 2e-3, "tolerance": 1e-3}}
    line(results, "parity", "parity", {}, {"checks": checks})
    told = "\n".join(tables.all_tables(results))
    assert "| T5 | cudnn | - | refused |" in told and "| T5 | dense | 2 | 0.0e+00 |" in told
    assert "| losses | 2.0e-03 | 1e-03 | NOT within |" in told


def test_utilization_is_that_of_the_measured_or_the_nominal_peak():
    assert arithmetic.measured_mfu(2e12, 4.0, MACHINE) == 0.5
    assert arithmetic.nominal_mfu(989e12, 2.0, "NVIDIA H200") == 0.5
    assert arithmetic.nominal_mfu(378e12, 1.0, "NVIDIA H100 PCIe") == 0.5
    assert arithmetic.nominal_mfu(1.0, 1.0, "cpu") is None
    assert arithmetic.nominal_gigabytes("NVIDIA H100 80GB HBM3") == 3350
    assert arithmetic.nominal_gigabytes("cpu") is None


def test_decoding_is_limited_by_what_lies_in_memory():
    """T5 v1.1 tiny, 4 tokens behind 16: (6 * 32 * 128 + 3 * 32 * 64) * 2 + 32 * 32128 weights of 2
    bytes, and 2 * 2 * 18 * 128 keys and values of 4, with every token, at 1 GB/s.
    """
    options = {"size": "tiny", "batch": 1, "inputs": 16, "targets": 4, "repeats": 1}
    found = {"weight_bytes": 2.0, "cache_bytes": 4}
    seconds = 4 * (1_089_536 * 2 + 9_216 * 4) / 1e9
    machine = {"peak_gflops": 1e12, "read_gb_per_second": 1.0}
    share = arithmetic.of_the_limit({"options": options, "found": found}, 2 * seconds, machine)
    assert share == pytest.approx(0.5, rel=1e-4)


def test_every_size_and_arm_has_a_turn_before_any_has_another(clock, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(
        runner,
        "_told",
        lambda job, *_: (
            clock.ran.append(job.name) or {"found": {"tokens_per_second": 1.0}, "card": ""}
        ),
    )
    results = Results(tmp_path)
    runner.run(plan.asks(plan.WHOLE, ["large", "xl"], ["train"]), results, 1e6, lambda line: None)
    turns = [name for name in clock.ran if name.endswith("/again")]
    assert clock.ran[:2] == ["train/large/ours/32/none", "train/large/ours/64/none"]
    assert clock.ran[-4:] == turns
    assert [name.split("/")[1:3] for name in turns] == [
        [size, arm] for size in ("large", "xl") for arm in (OURS, PEER)
    ]
    assert json.loads(results.path.read_text().splitlines()[-1])["again"]


def test_the_page_has_a_place_and_says_where_nothing_is_measured(tmp_path):
    text = (ROOT / "docs/speed.md").read_text()
    (tmp_path / "speed.md").write_text(text)
    page.publish(Results(tmp_path), tmp_path)
    kept = (tmp_path / "speed.md").read_text()
    assert "<!-- table accelerator -->\n\nNothing of it is measured yet.\n" in kept
    assert kept.partition("<!-- table accelerator -->")[0] in text


def test_what_cannot_be_run_is_told(tmp_path, capsys):
    for words, message in [
        (["--sizes=huge"], "--sizes=huge: there is no huge; needed are some of large,xl."),
        (["--parts=train,x", "--tiny"], "there is no x; needed are some of machine,parity,train"),
    ]:
        assert command.main([f"--output={tmp_path}", *words]) == 2
        assert message in capsys.readouterr().err
    with pytest.raises(SystemExit):
        command.main([f"--output={tmp_path}", "--budget=soon"])
    assert "'soon': needed is a number of seconds" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_all_parts_run_without_tensorflow_and_seqio(tmp_path):
    """In miniature, and a second start has nothing left to do but the peers that are not there."""
    (tmp_path / "sitecustomize.py").write_text(BLOCK)
    places = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, "-m", "benchmarks.accelerator", "--tiny", f"--output={tmp_path}/out"]

    def run(*more):
        environment = os.environ | {"PYTHONPATH": places}
        return subprocess.run(
            [*words, *more], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        ).stdout

    first = run()
    results = Results(tmp_path / "out")
    parts = {line["part"] for line in results.measured()}
    assert parts == set(plan.PARTS), first
    assert set(results.lacking().values()) == {"torch and transformers not installed"}, first
    told = {line["job"]: line["found"] for line in results.measured()}
    assert told["train/tiny/ours/2/none"]["last_loss"] < told["train/tiny/ours/2/none"]["loss"]
    assert told["decode/tiny/ours/1"]["weight_bytes"] == 2
    checks = told["parity"]["checks"].values()
    assert all(each["difference"] <= each["tolerance"] for each in checks)
    forms = told["attention"]["shapes"][0]["forms"]
    assert forms["blockwise"]["difference"] < 0.02
    (tmp_path / "speed.md").write_text((ROOT / "docs/speed.md").read_text())
    again = run(f"--publish={tmp_path}")
    assert "machine:" not in again and "train/tiny/transformers/2/none: -" in again
    assert "| tiny, 2 x 16 + 8 | ours |" in (tmp_path / "speed.md").read_text()
