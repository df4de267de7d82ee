"""The demo keeps what the README promises of it; how long it takes is measured elsewhere."""

import json
import pathlib
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[1]


def last_line(path: pathlib.Path) -> dict:
    """The newest of a file's JSON lines."""
    return json.loads(path.read_text().splitlines()[-1])


@pytest.mark.slow
def test_the_demo_learns_to_translate_and_to_classify(tmp_path, users_shell):
    """At least 10 BLEU and ten times what copying scores; 20 points above the majority class."""
    folder = tmp_path / "demo"
    done = subprocess.run(
        ["bash", ROOT / "launch/local/demo.sh"],
        env=users_shell | {"DEMO_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-5000:]
    results = folder / "finetune/inference_eval"
    for task in ("emoji_en_de", "emoji_en_fr"):
        bleu = last_line(results / f"{task}-metrics.jsonl")["bleu"]
        copied = last_line(results / f"{task}-baselines.json")["copy_input"]["bleu"]
        assert bleu >= max(10, 10 * copied), task
    accuracy = last_line(results / "docstrings_library-metrics.jsonl")["accuracy"]
    majority = last_line(results / "docstrings_library-baselines.json")["most_frequent_target"]
    assert accuracy >= majority["accuracy"] + 20
    assert (folder / "finetune/loss.png").exists()
    report = (folder / "finetune/report.md").read_text()
    assert report.count("\n| emoji_en_") + report.count("\n| docstrings_library") == 5 + 6 + 10
