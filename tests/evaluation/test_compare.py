"""Two directories of predictions against each other."""

import json

import pytest

from t5x_lite import cli
from t5x_lite.evaluation.compare import compare, find, print_comparison
from t5x_lite.evaluation.config import StatisticsConfig
from t5x_lite.evaluation.files import Scored, name_of

TASK = "evaluation_echo"
KEY = Scored(TASK, "validation")
CONFIG = StatisticsConfig(num_resamples=200)
WORDS = [f"{a}{b}" for a in "abcdefghij" for b in "klmn"]


def write(directory, step, predictions, targets=WORDS, scores=None, split="validation"):
    """What an evaluation leaves."""
    folder = directory / "inference_eval"
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"input": {"inputs_pretokenized": f"echo: {target}"}, "target": target, "prediction": text}
        for target, text in zip(targets, predictions, strict=True)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{name_of(TASK, split)}-{step:06}.jsonl").write_text(text)

    def share(wrong):
        return 100 * (1 - sum(map(wrong, zip(targets, predictions))) / len(targets))

    scores = scores or {
        "accuracy": share(lambda pair: pair[0] != pair[1]),
        "first": share(lambda pair: pair[0][0] != pair[1][0]),
        "second": share(lambda pair: pair[0][1] != pair[1][1]),
    }
    with (folder / f"{name_of(TASK, split)}-metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": step, "split": split, **scores}) + "\n")


@pytest.fixture
def dirs(tmp_path):
    """A gets the second letter of every other word wrong, B of every fourth."""
    for name, period in (("a", 2), ("b", 4)):
        answers = [word if index % period else f"{word[0]}x" for index, word in enumerate(WORDS)]
        write(tmp_path / name, 10, answers)
    return tmp_path / "a", tmp_path / "b"


def test_the_better_model_is_better_where_it_is(dirs):
    """25 points of accuracy, all of them in the second letters."""
    found = compare(find(str(dirs[0])), find(str(dirs[1])), CONFIG)[KEY]
    by_name = {each.metric: each for each in found}
    assert by_name["accuracy"].difference == pytest.approx(25.0)
    assert by_name["accuracy"].interval.low > 5
    # 10 examples differ, all in favour of B: 2 ** -9 by the sign test, at best 1 of 201 here.
    assert by_name["accuracy"].p_value < 0.03
    assert (by_name["first"].difference, by_name["first"].p_value) == (0.0, 1.0)


def test_a_checkpoint_of_a_model_directory_is_its_evaluation_at_that_step(dirs, capsys):
    """Not the newest."""
    write(dirs[0], 20, WORDS)
    print_comparison((str(dirs[1]), str(dirs[0])), CONFIG)
    assert "10, 20" in capsys.readouterr().out, "the steps are shown"
    newest = compare(find(str(dirs[1])), find(str(dirs[0])), CONFIG)[KEY]
    assert newest[0].second == 100.0
    older = compare(find(str(dirs[1])), find(f"{dirs[0]}/checkpoint_10"), CONFIG)[KEY]
    assert older[0].second == 50.0
    with pytest.raises(ValueError, match="only at 10, 20"):
        compare(find(str(dirs[1])), find(f"{dirs[0]}/checkpoint_30"), CONFIG)


def test_other_examples_are_refused(dirs, tmp_path):
    """Fewer, or others in the same place."""
    write(tmp_path / "fewer", 10, WORDS[1:], WORDS[1:])
    with pytest.raises(ValueError, match="40 examples, B 39"):
        compare(find(str(dirs[0])), find(str(tmp_path / "fewer")), CONFIG)
    write(tmp_path / "others", 10, WORDS[::-1], WORDS[::-1])
    with pytest.raises(ValueError, match="example 0 differs"):
        compare(find(str(dirs[0])), find(str(tmp_path / "others")), CONFIG)


def test_only_examples_of_one_split_are_compared(dirs):
    """Where one of the two has another split too, or nothing in common."""
    write(dirs[0], 20, WORDS[:9], WORDS[:9], split="test")
    found = compare(find(str(dirs[0])), find(str(dirs[1])), CONFIG)
    assert found.keys() == {KEY}
    assert found[KEY][0].first == 50.0
    write(dirs[0].parent / "c", 20, WORDS[:9], WORDS[:9], split="test")
    with pytest.raises(ValueError, match=r"c has evaluation_echo \(test\); .*task and split"):
        compare(find(str(dirs[1])), find(str(dirs[0].parent / "c")), CONFIG)


def test_metrics_that_give_another_score_than_was_recorded_are_refused(dirs, tmp_path):
    """Otherwise a changed metric would compare what nobody has seen."""
    scores = {"accuracy": 99.0, "first": 100.0, "second": 100.0}
    write(tmp_path / "changed", 10, WORDS, scores=scores)
    with pytest.raises(ValueError, match="99.0 was recorded"):
        compare(find(str(dirs[0])), find(str(tmp_path / "changed")), CONFIG)


def test_a_directory_without_an_evaluation_is_refused(tmp_path):
    """With what is needed."""
    with pytest.raises(FileNotFoundError, match="inference_eval"):
        find(str(tmp_path))


def test_the_command_prints_a_row_for_each_metric(dirs, capsys, tmp_path, monkeypatch):
    """The tasks are those that the evaluation's own configuration imports."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tasks_of_a.py").write_text("print('tasks imported')")
    (dirs[0] / "eval_config.gin").write_text("import tasks_of_a\n")
    output = tmp_path / "comparison.jsonl"
    words = ["compare", str(dirs[0]), str(dirs[1]), "--num_resamples=100", f"--output={output}"]
    assert cli.main(words) == 0
    printed = capsys.readouterr().out
    assert "tasks imported" in printed
    assert "+25.00" in printed
    assert printed.count(TASK) == 3
    lines = [json.loads(line) for line in output.read_text().splitlines()]
    assert [line["metric"] for line in lines] == ["accuracy", "first", "second"]
    assert {line["split"] for line in lines} == {"validation"}
    mean, low, high = lines[0]["difference"]
    assert mean == pytest.approx(25.0) == lines[0]["b"] - lines[0]["a"]
    assert f"[{low:.2f}, {high:.2f}]" in printed
