"""From examples to scores: right answers have all points, and no answer is an error."""

import pytest

from t5x_lite.data.examples import evaluation_tasks

# Imported for what they register.
from t5x_lite.tasks import cnn_dailymail, glue, squad, super_glue, translation  # noqa: F401

SCORES = {
    ("glue_cola_v002", "train"): {"matthews_corrcoef"},
    ("glue_mrpc_v002", "train"): {"f1", "accuracy"},
    ("glue_rte_v002", "train"): {"accuracy"},
    ("glue_wnli_v002_simple_eval", "validation"): {"accuracy"},
    ("super_glue_boolq_v102", "train"): {"accuracy"},
    ("super_glue_multirc_v102", "train"): {"f1", "exact_match"},
    ("super_glue_record_v102", "train"): {"em", "f1"},
    ("super_glue_wsc_v102_simple_eval", "validation"): {"accuracy"},
    ("squad_v010_allanswers", "train"): {"em", "f1"},
    ("cnn_dailymail_v002", "train"): {"rouge1", "rouge2", "rougeLsum"},
    ("wmt_t2t_ende_v003", "train"): {"bleu"},
}
GARBAGE = ("", " ", "<unk>", "nan", "True False", "\u2047 {\\", "-1", "a the", "'")


@pytest.fixture
def labelled(files):
    """Without MultiRC's unlabelled answer; WSC's examples as a validation set, all as they are."""
    for folder in ("MultiRC", "WSC"):
        path = files / "SuperGLUE" / folder / "train.jsonl"
        text = path.read_text().replace('}, {"text": "Perhaps", "idx": 333}', "}")
        path.write_text(text)
        path.with_name("val.jsonl").write_text(text)
    return files


def read(name, split):
    """A task with its examples."""
    (task,) = evaluation_tasks(name, split=split)
    return task, task.examples(split=split, task_feature_lengths=None)


def evaluated(task, examples, answer):
    """The scores of a task where `answer` of (task, example) is what the model writes."""
    targets = [task.target(example) for example in examples]
    predictions = [task.prediction(answer(task, each), each) for each in examples]
    return task.score(targets, predictions)


def right_answer(task, example):
    """The target; of a noun that is not the right one, anything else."""
    is_noun = "simple_eval" in task.name
    return "nobody" if is_noun and not example["label"] else task.text(example, "targets")


@pytest.mark.parametrize(("name", "split"), SCORES)
def test_right_answers_have_all_points(labelled, read_from, vocabulary, name, split):
    read_from(labelled)
    scores = evaluated(*read(name, split), right_answer)
    assert scores == pytest.approx(dict.fromkeys(SCORES[name, split], 100.0))


@pytest.mark.parametrize(("name", "split"), SCORES)
def test_no_answer_is_an_error(labelled, read_from, vocabulary, name, split):
    """INV-18: what a model writes that is no label, number or noun is wrong, and that is all."""
    read_from(labelled)
    task, examples = read(name, split)
    for text in GARBAGE:
        scores = evaluated(task, examples, lambda task, example, text=text: text)
        assert all(-100 <= value < 100 for value in scores.values())
        if "accuracy" in scores and "simple_eval" not in name:
            assert scores["accuracy"] == 0.0
