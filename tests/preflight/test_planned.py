"""`check --topology`: the plan's verdict is one line, and one clear line where there is none."""

import dataclasses

import pytest

from t5x_lite.planning import libtpu, run
from t5x_lite.planning.memory import Shortage


def _about(findings, subject):
    return [(kind, text) for kind, named, text in findings if named == subject]


def test_the_verdict_is_a_line_among_the_checks(check_train):
    status, findings, _ = check_train("--topology=cpu:8")
    ((kind, text),) = _about(findings, "plan")
    assert (status, kind) == (0, "ok")
    assert text.startswith("a training step on cpu:8") and "it fits" in text and "\n" not in text


def test_a_job_that_does_not_fit_is_something_to_fix(check_train, monkeypatch):
    def measured(function, *arguments):
        found = function(*arguments)
        return dataclasses.replace(found, outcome=Shortage(20 * 2**30, 16 * 2**30))

    monkeypatch.setattr(run.isolated, "call", measured)
    status, findings, _ = check_train("--topology=cpu:8")
    ((kind, text),) = _about(findings, "plan")
    assert (status, kind) == (2, "FIX")
    assert "it does not fit" in text and "--advise" in text


def test_without_the_compiler_there_is_one_clear_line(check_train, monkeypatch):
    monkeypatch.setattr(libtpu.importlib.util, "find_spec", lambda name: None)
    _, findings, _ = check_train("--topology=v5e-256")
    ((kind, text),) = _about(findings, "plan")
    assert kind == "FIX" and "t5x_lite[plan]" in text


@pytest.mark.parametrize("words", [[], ["--topology=v5e-17"]])
def test_only_a_topology_that_is_given_is_planned_for(check_train, words):
    _, findings, _ = check_train(*words)
    assert [kind for kind, _ in _about(findings, "plan")] == ["FIX"] * len(words)
