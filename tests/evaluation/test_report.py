"""The report reads what jobs wrote; here it is given directories made by hand."""

import json

import pytest

from t5x_lite.evaluation.report import predictions_table, read_run, report, scores_table


def write_lines(path, values):
    """JSON lines, as jobs write them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(value) + "\n" for value in values))


@pytest.fixture
def runs(tmp_path):
    """A trained and evaluated run, and one that was only trained."""
    for name in ("finetune", "pretrain"):
        losses = [{"step": step, "loss_per_token": 5.0 - step / 10} for step in (10, 20, 30)]
        write_lines(tmp_path / name / "train" / "metrics.jsonl", losses)
        write_lines(tmp_path / name / "training_eval" / "toy" / "metrics.jsonl", losses[1:])
    evaluated = tmp_path / "finetune" / "inference_eval"
    write_lines(
        evaluated / "toy-metrics.jsonl", [{"step": 20, "bleu": 3.0}, {"step": 30, "bleu": 21.5}]
    )
    baselines = {"copy_input": {"bleu": 0.25}, "most_frequent_target": {"bleu": 0.5}}
    write_lines(evaluated / "toy-baselines.json", [baselines])
    examples = [
        {
            "input": {
                "inputs_pretokenized": f"translate: word {index}",
                "targets_pretokenized": f"Wort {index}",
                "emoji": "*",
            },
            "target": f"Wort {index}",
            "prediction": f"Wort | {index}",
        }
        for index in range(50)
    ]
    write_lines(evaluated / "toy-000030.jsonl", examples)
    return [tmp_path / "finetune", tmp_path / "pretrain"]


def test_the_scores_are_the_newest_beside_the_better_baseline(runs):
    """Step 30's, not step 20's; 0.5, not 0.25; no column for a run without scores."""
    table = scores_table([read_run(path) for path in runs])
    assert [column.header for column in table.columns] == [
        "task",
        "metric",
        "trivial baseline",
        "finetune",
    ]
    assert [next(iter(column.cells)) for column in table.columns] == [
        "toy",
        "bleu",
        "0.50",
        "21.50",
    ]


def test_ten_predictions_are_spread_over_the_examples(runs):
    """Nobody chose them: every fifth of fifty, with the features that help to read them."""
    table = predictions_table([read_run(path) for path in runs])
    inputs = list(table.columns[1].cells)
    assert inputs == [f"translate: word {index}" for index in range(0, 50, 5)]
    assert set(table.columns[2].cells) == {"*"}


def test_the_report_is_written_beside_the_first_run(runs):
    """Tables as Markdown, with bars inside cells escaped, and curves as a PNG."""
    folder = report([str(path) for path in runs])
    text = (folder / "report.md").read_text()
    assert "| toy | bleu | 0.50 | 21.50 |" in text
    assert "Wort \\| 5" in text
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_directory_without_a_run_is_refused(tmp_path):
    """The message says which commands fill it."""
    with pytest.raises(FileNotFoundError, match="t5x_lite train"):
        report([str(tmp_path)])
