"""What is published of the demo's seeds is what their runs have recorded."""

import dataclasses
import json

from benchmarks import demo

RUNS = [
    demo.Measured(
        seed=seed,
        seconds=100 + seed,
        tasks={
            "a": {
                "metric": "bleu",
                "pretrained": 20.0 + seed,
                "scratch": 10.0,
                "difference": [10.0 + seed, 5.0, 15.0],
            }
        },
        peaks=[70.2, 65.0],
        date="2026-11-28",
        python="3.11.7",
        jax="0.10.2",
    )
    for seed in (0, 1, 2)
]


def test_every_seed_has_a_row_and_the_task_its_mean_and_spread():
    """10, 11, 12: mean 11, sample deviation 1."""
    lines = demo.scores_table(RUNS)
    assert lines[2] == "| a | 0 | bleu | 10.0 | 20.0 | +10.0 [+5.0, +15.0] |"
    assert lines[-1] == "| **a** | all |  |  |  | **11.00 ± 1.00** |"
    assert demo.runs_table(RUNS)[3].startswith("| 1 | 101 | 65 to 70 | 2026-11-28 |")


def test_what_has_run_is_published_and_not_run_again(tmp_path, monkeypatch, capsys):
    """Between the comments of the demo; what stands around them stays."""
    monkeypatch.setattr(demo.subprocess, "run", None)
    for each in RUNS:
        (tmp_path / f"{each.seed}.json").write_text(json.dumps(dataclasses.asdict(each)))
    page = tmp_path / "RESULTS.md"
    page.write_text("before\n<!-- experiment demo -->\nold\n<!-- end of demo -->\nafter\n")
    demo.main([f"--output={tmp_path}", f"--publish={tmp_path}"])
    printed = capsys.readouterr().out
    assert "**11.00 ± 1.00**" in printed
    marks = "before\n<!-- experiment demo -->\n{}<!-- end of demo -->\nafter\n"
    assert page.read_text() == marks.format(printed)
