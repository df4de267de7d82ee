"""docs/tour.ipynb: what is stored in it was run, in order, and runs anew."""

import json
import pathlib
import re
import subprocess
import sys

import pytest

NOTEBOOK = pathlib.Path(__file__).resolve().parents[2] / "docs" / "tour.ipynb"
UPDATE = pathlib.Path(__file__).with_name("update_tour.py")
ACCURACY = re.compile(r"accuracy\s*│\s*([\d.]+)")


def code_cells(notebook: dict) -> list[dict]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def accuracy(notebook: dict) -> float:
    """What the evaluation printed."""
    return float(ACCURACY.search(json.dumps(notebook, ensure_ascii=False))[1])


def pictures(notebook: dict) -> int:
    outputs = [output for cell in code_cells(notebook) for output in cell["outputs"]]
    return sum("image/png" in output.get("data", {}) for output in outputs)


def test_the_stored_outputs_are_of_one_run_and_of_no_machine():
    """As update_tour.py leaves them; no path of whoever ran it."""
    notebook = json.loads(NOTEBOOK.read_text())
    counts = [cell["execution_count"] for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    stored = json.dumps([cell["outputs"] for cell in code_cells(notebook)])
    assert not re.search(r"/(?:tmp|home|root|work|usr|opt|Users|var)/|Traceback|\"error\"", stored)
    assert pictures(notebook) == 2
    assert accuracy(notebook) > 60


@pytest.mark.slow
def test_it_runs(tmp_path, users_shell):
    """Every cell, and the model learns what the text says."""
    reason = "the tools of the notebook are not installed: `make docs` installs them"
    for module in ("nbclient", "nbformat", "ipykernel"):
        pytest.importorskip(module, reason=reason)
    copy = tmp_path / "tour.ipynb"
    done = subprocess.run(
        [sys.executable, UPDATE, copy],
        env=users_shell,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    notebook = json.loads(copy.read_text())
    assert pictures(notebook) == 2
    assert accuracy(notebook) > 60
