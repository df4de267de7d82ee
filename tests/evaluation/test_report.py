"""The report reads what jobs wrote; here it is given directories made by hand."""

import json

import pytest

from t5x_lite.evaluation.html_report import _decoded
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
        evaluated / "toy-metrics.jsonl",
        [
            {"step": step, "split": "validation", "bleu": bleu}
            for step, bleu in ((20, 3), (30, 21.5))
        ],
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
        "split",
        "metric",
        "trivial baseline",
        "finetune",
    ]
    assert [next(iter(column.cells)) for column in table.columns] == [
        "toy",
        "validation",
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
    assert "| toy | validation | bleu | 0.50 | 21.50 |" in text
    assert "Wort \\| 5" in text
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_a_directory_without_a_run_is_refused(tmp_path):
    """The message says which commands fill it."""
    with pytest.raises(FileNotFoundError, match="t5x_lite train"):
        report([str(tmp_path)])


def test_splits_that_older_versions_wrote_into_one_file_are_told_apart(tmp_path):
    """While training on validation examples, then eval of the last step on test examples: each line
    of metrics has the statistics that were written with it, also where the first had none. The
    answers of the last step are those of its last evaluation.
    """
    folder = tmp_path / "inference_eval"
    write_lines(
        folder / "toy-metrics.jsonl", [{"step": step, "bleu": 1.0} for step in (10, 20, 30, 30)]
    )
    splits = [(20, "validation"), (30, "validation"), (30, "test")]
    write_lines(
        folder / "toy-statistics.jsonl", [{"step": step, "split": split} for step, split in splits]
    )
    history = read_run(tmp_path).history
    found = {key.split: [each.step for each in history[key]] for key in history}
    assert found == {"": [10], "validation": [20, 30], "test": [30]}
    answers = {
        (key.split, each.step): each.predictions and each.predictions.name
        for key in history
        for each in history[key]
    }
    assert answers.pop(("validation", 30)) is None
    assert set(answers.values()) == {f"toy-{step:06}.jsonl" for step in (10, 20, 30)}


def test_each_split_has_its_own_row(runs):
    """Also its own baseline and answers."""
    folder = runs[0] / "inference_eval"
    write_lines(folder / "toy-test-metrics.jsonl", [{"step": 30, "split": "test", "bleu": 26.5}])
    baselines = {"copy_input": {"bleu": 7.0}, "most_frequent_target": {"bleu": 0.5}}
    write_lines(folder / "toy-test-baselines.json", [baselines])
    run = read_run(runs[0])
    rows = list(zip(*(column.cells for column in scores_table([run]).columns), strict=True))
    assert rows == [
        ("toy", "validation", "bleu", "0.50", "21.50"),
        ("toy", "test", "bleu", "7.00", "26.50"),
    ]
    points = {series.label: series.points for series in _decoded(run, "toy", "bleu", 0)}
    assert points == {"finetune: test": [(30, 26.5)], "finetune: validation": [(20, 3), (30, 21.5)]}


def test_a_line_that_is_still_being_written_is_left_out(tmp_path):
    """A report may be made while the run goes on."""
    write_lines(tmp_path / "train" / "metrics.jsonl", [{"step": 10, "loss_per_token": 2.0}])
    with (tmp_path / "train" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 20, "loss_per_')
    assert [line["step"] for line in read_run(tmp_path).train] == [10]
