"""The demo's summary says what the comparison measured; CI runs the demo itself (`make demo`)."""

import importlib.util
import json
import pathlib

import pytest

SCRIPT = pathlib.Path(__file__).resolve().parents[1] / "launch/local/demo_summary.py"
LINES = [
    {"task": "a", "metric": "bleu", "a": 10.0, "b": 25.5, "difference": [15.5, 9.0, 21.0]},
    {"task": "a", "metric": "sequence_accuracy", "a": 1.0, "b": 2.0, "difference": [1, -1, 3]},
    {"task": "b", "metric": "accuracy", "a": 60.0, "b": 59.0, "difference": [-1.0, -3.0, 1.0]},
]


@pytest.fixture
def demo_summary():
    """The script, as a module."""
    spec = importlib.util.spec_from_file_location("demo_summary", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_first_metric_of_each_task_counts(demo_summary, tmp_path, capsys):
    """Pre-trained minus scratch, with the interval's sign kept."""
    path = tmp_path / "comparison.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in LINES))
    demo_summary.main(str(tmp_path), "300")
    found = json.loads((tmp_path / "summary.json").read_text())
    assert found["seconds"] == 300
    assert found["tasks"]["a"] == {
        "metric": "bleu",
        "pretrained": 25.5,
        "scratch": 10.0,
        "difference": [15.5, 9.0, 21.0],
    }
    assert found["tasks"]["b"]["difference"] == [-1.0, -3.0, 1.0]
    printed = capsys.readouterr().out
    assert "| a | bleu | 25.5 | 10.0 | +15.5 [+9.0, +21.0] |" in printed
    assert "| b | accuracy | 59.0 | 60.0 | -1.0 [-3.0, +1.0] |" in printed
