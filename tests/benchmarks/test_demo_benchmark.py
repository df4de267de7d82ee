"""What is published of the demo's seeds is what their summaries say."""

import pytest

from benchmarks import demo

SUMMARIES = {
    seed: {
        "seconds": 100 + seed,
        "tasks": {
            "a": {
                "metric": "bleu",
                "pretrained": 20.0 + seed,
                "scratch": 10.0,
                "difference": [10.0 + seed, 5.0, 15.0],
            }
        },
    }
    for seed in (0, 1, 2)
}


def test_every_seed_has_a_row_and_the_task_its_mean_and_spread():
    """10, 11, 12: mean 11, sample deviation 1."""
    lines = demo.table(SUMMARIES)
    assert lines[2] == "| a | 0 | bleu | 20.0 | 10.0 | +10.0 [+5.0, +15.0] |"
    assert lines[-1] == "| **a** | all | | | | **+11.0 ± 1.0** |"
    assert "100, 101, 102 s" in demo.circumstances(SUMMARIES, [65.0, 70.2])
    assert "65 to 70 GFLOP/s" in demo.circumstances(SUMMARIES, [65.0, 70.2])


def test_only_what_stands_between_the_comments_is_replaced(tmp_path):
    """And a page without them is refused."""
    page = tmp_path / "RESULTS.md"
    page.write_text("before\n<!-- demo seeds -->\nold\n<!-- end of demo seeds -->\nafter\n")
    demo.publish(["new"], tmp_path)
    assert (
        page.read_text() == "before\n<!-- demo seeds -->\nnew\n<!-- end of demo seeds -->\nafter\n"
    )
    page.write_text("nothing\n")
    with pytest.raises(SystemExit, match="has no place"):
        demo.publish(["new"], tmp_path)
