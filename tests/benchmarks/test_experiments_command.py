"""A whole experiment in miniature, as a user would run it, and once more."""

import json
import pathlib
import subprocess
import sys

import pytest

from benchmarks.experiments import locked

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.test_data
def test_an_experiment_runs_and_is_not_run_twice(tmp_path, test_data_dir, users_shell):
    environment = users_shell | {"T5X_LITE_TEST_DATA": str(test_data_dir)}
    words = ["-m", "benchmarks.experiments", "P-6", "--miniature", f"--output={tmp_path}"]

    def run() -> str:
        return subprocess.run(
            [sys.executable, *words], cwd=ROOT, env=environment, check=True, capture_output=True
        ).stdout.decode()

    first = run()
    assert first.count(": train") >= 3, "pre-trained, pruned beside its teacher, tuned"
    results = tmp_path / "results" / "P-6.jsonl"
    _, *records = [json.loads(line) for line in results.read_text().splitlines()]
    zeros = {record["arm"]: record["scores"]["zeros"] for record in records}
    assert zeros == {locked.DENSE: 0, locked.PRUNED: pytest.approx(90, abs=0.1)}
    assert results.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    second = run()
    assert ": train" not in second and ": decode" not in second
    # The tables are the same.
    assert second.splitlines()[-8:] == first.splitlines()[-8:]


def test_an_unknown_experiment_is_an_error_of_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.experiments", "M-33", f"--output={tmp_path}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith("experiments: error: There is no experiment M-33")
    assert len(done.stderr.splitlines()) == 1
