"""Whatever stands in a file or a flag, it is taken or ends in one clear error."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from benchmarks.bad_input import kinds
from benchmarks.bad_input.outcomes import Outcome, of_call, of_command
from t5x_lite.errors import UserError


@pytest.fixture(scope="module")
def every(tmp_path_factory):
    return {kind.name: kind for kind in kinds.every(tmp_path_factory.mktemp("materials"))}


def test_all_kinds_are_tried(every):
    assert tuple(every) == kinds.NAMES


@pytest.mark.parametrize("name", kinds.NAMES)
def test_what_is_changed_was_good(every, name, tmp_path):
    """Else every case would be refused for the same reason."""
    result = every[name].attempt(every[name].good, tmp_path)
    assert result.outcome is Outcome.TAKEN, result.text


@pytest.mark.parametrize("name", kinds.NAMES)
def test_bad_input_is_one_clear_error(every, name, tmp_path):
    """A few cases, the same each time; benchmarks/bad_input tries thousands of others."""
    kind = every[name]

    @settings(
        max_examples=12,
        derandomize=True,
        phases=[Phase.generate],  # the case as it is found; a smaller one takes minutes
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=kind.cases)
    def attempt(case):
        folder = Path(tempfile.mkdtemp(dir=tmp_path))
        result = kind.attempt(case, folder)
        shutil.rmtree(folder)
        assert result.is_fine, f"{result.outcome.value} of {case!r}\n{result.text}"

    attempt()


def test_a_defect_is_told_from_a_clear_error(monkeypatch):
    """A test that cannot fail is none."""

    def fails(error):
        raise error

    def never():
        while True:
            pass

    assert of_call(lambda: None).outcome is Outcome.TAKEN
    assert of_call(lambda: fails(UserError("x=1: needed is 2"))).outcome is Outcome.CLEAR
    assert of_call(lambda: fails(UserError(""))).outcome is Outcome.TRACEBACK
    assert of_call(lambda: fails(KeyError("x"))).outcome is Outcome.TRACEBACK
    assert of_call(lambda: fails(RecursionError())).outcome is Outcome.TRACEBACK
    assert of_call(never, seconds=0.05).outcome is Outcome.HANG
    assert of_command(["train"]).outcome is Outcome.CLEAR
    monkeypatch.setattr("t5x_lite.jobs.start", lambda *_: fails(ValueError("shapes differ")))
    assert of_command(["train"]).outcome is Outcome.TRACEBACK
