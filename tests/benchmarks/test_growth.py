"""benchmarks/growth: each point is what was measured, and the page has a place for each curve."""

import importlib
import inspect
import json
import pathlib

import pytest

from benchmarks.growth import __main__ as command
from benchmarks.growth import measures, page, points
from benchmarks.growth.curves import CURVES
from benchmarks.growth.points import Point, exponent, keep, read

ROOT = pathlib.Path(__file__).resolve().parents[2]


def cubes(*values: int) -> list[Point]:
    """Of each number its third power."""
    names = ("seconds", "compile_seconds", "memory_gb")
    return [Point(value, dict.fromkeys(names, 2.0 * value**3)) for value in values]


@pytest.mark.parametrize("name", CURVES)
def test_a_curve_can_be_measured(name):
    """Its function takes what is varied and the options, its values grow."""
    curve = CURVES[name]
    module, function = curve.path
    taken = inspect.signature(getattr(importlib.import_module(module), function)).parameters
    assert {curve.argument, *curve.options} <= set(taken)
    assert list(curve.values) == sorted(set(curve.values)) and len(curve.values) > 3


def test_the_exponent_is_that_of_a_power():
    """Whatever the factor is."""
    assert exponent(cubes(2, 3, 8), "seconds") == pytest.approx(3.0)


def test_a_point_is_a_process(capsys, monkeypatch):
    """Whose last line is its numbers."""
    monkeypatch.setattr(measures, "REPEATS", 1)
    points._measure_one("checkpoint", "1")
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(CURVES["checkpoint"].shown) <= set(told)
    assert all(number >= 0 for number in told.values())


def test_the_newest_of_a_curve_is_published(tmp_path, monkeypatch):
    """Into the place of its own, with a picture of all."""
    (tmp_path / "growth.md").write_text((ROOT / "docs" / "growth.md").read_text())
    keep(tmp_path / "found", "layers", cubes(1, 2))
    monkeypatch.setattr(points, "measure", lambda name, say: cubes(1, 2, 4))
    monkeypatch.setattr(command.points, "measure", lambda name, say: cubes(1, 2, 4))
    words = ["layers", f"--output={tmp_path / 'found'}", f"--publish={tmp_path}"]
    assert command.main(words) == 0
    assert [point.value for point in read(tmp_path / "found")["layers"]] == [1, 2, 4]
    text = (tmp_path / "growth.md").read_text()
    assert "| **exponent** | 3.00 | 3.00 | 3.00 |" in text
    assert (tmp_path / "growth" / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert page.table(CURVES["batch"], []) == ["Nothing of it is measured yet."]


def test_an_unknown_curve_is_refused(capsys):
    """With the names of all."""
    with pytest.raises(SystemExit):
        command.main(["widths"])
    assert "'widths' is none of batch, length" in capsys.readouterr().err
