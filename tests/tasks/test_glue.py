"""GLUE: the text of every task as released, and labels from whatever a model writes."""

import pytest
import seqio

from t5x_lite.data import checks
from t5x_lite.data.examples import evaluation_tasks
from t5x_lite.evaluation.evaluate import tasks_with_metrics

# glue for what it registers.
from t5x_lite.tasks import glue, similarity  # noqa: F401

PAIR = {"sentence1": "It rains.", "sentence2": "It is wet.", "idx": 7}
NLI = {"premise": "It rains.", "hypothesis": "It is wet.", "idx": 7}
GOLDEN = {
    "glue_cola_v002": (
        {"sentence": "Rains it.", "label": 0, "idx": 7},
        "cola sentence: Rains it.",
        "unacceptable",
    ),
    "glue_sst2_v002": (
        {"sentence": "a fine film ", "label": 1, "idx": 7},
        "sst2 sentence: a fine film ",
        "positive",
    ),
    "glue_mrpc_v002": (
        {**PAIR, "label": 0},
        "mrpc sentence1: It rains. sentence2: It is wet.",
        "not_equivalent",
    ),
    "glue_qqp_v002": (
        {"question1": "Is it wet?", "question2": "Does it rain?", "label": 1, "idx": 7},
        "qqp question1: Is it wet? question2: Does it rain?",
        "duplicate",
    ),
    "glue_stsb_v002": (
        {**PAIR, "label": 2.57},
        "stsb sentence1: It rains. sentence2: It is wet.",
        "2.6",
    ),
    "glue_mnli_v002": (
        {**NLI, "label": 0},
        "mnli hypothesis: It is wet. premise: It rains.",
        "entailment",
    ),
    "glue_mnli_matched_v002": (
        {**NLI, "label": 1},
        "mnli hypothesis: It is wet. premise: It rains.",
        "neutral",
    ),
    "glue_mnli_mismatched_v002": (
        {**NLI, "label": 2},
        "mnli hypothesis: It is wet. premise: It rains.",
        "contradiction",
    ),
    "glue_ax_v002": (
        {**NLI, "label": -1},
        "mnli hypothesis: It is wet. premise: It rains.",
        "<unk>",
    ),
    "glue_qnli_v002": (
        {"question": "Is it wet?", "sentence": "It rains.", "label": 0, "idx": 7},
        "qnli question: Is it wet? sentence: It rains.",
        "entailment",
    ),
    "glue_rte_v002": (
        {**PAIR, "label": 1},
        "rte sentence1: It rains. sentence2: It is wet.",
        "not_entailment",
    ),
    "glue_wnli_v002_simple_eval": (
        {
            "sentence1": "The fish ate the worm. It was tasty.",
            "sentence2": "The worm was tasty.",
            "label": 1,
            "idx": 7,
        },
        "wsc: The fish ate the worm. *It* was tasty.",
        "The worm",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_of_a_task(formatted, name):
    """SPEC of the released tasks, to the letter; `idx` stays for whoever submits predictions."""
    example, inputs, targets = GOLDEN[name]
    (found,) = formatted(name, example)
    assert (found["inputs"], found["targets"], found["idx"]) == (inputs, targets, 7)


@pytest.mark.parametrize("name", sorted(GOLDEN.keys() - {"glue_wnli_v002_simple_eval"}))
def test_an_encoder_reads_the_same_examples(formatted, name):
    """Its twin has the sentences as they are, a premise before its hypothesis, the label by its
    place, of STS-B the number, and the metrics of the task.
    """
    example = dict(GOLDEN[name][0])
    (found,) = formatted(f"{name}_encoder", example)
    label, feature = example.pop("label"), "values" if "stsb" in name else "classes"
    assert found.pop(feature) == pytest.approx(label) and found.pop("idx") == example.pop("idx")
    order = ["premise", "hypothesis"] if "premise" in example else [*example]
    assert [*found.items()] == [
        (place, example[each]) for place, each in zip(("first", "second"), order)
    ]
    twins = [seqio.TaskRegistry.get(each) for each in (name, f"{name}_encoder")]
    assert twins[0].metric_fns == twins[1].metric_fns and twins[0].splits == twins[1].splits
    assert twins[0].postprocess_fn("1.5") == twins[1].postprocess_fn("1.5")
    if feature == "classes":
        labels = twins[1].output_features["classes"].vocabulary.labels
        assert [twins[0].postprocess_fn(each) for each in labels] == [*range(len(labels))]
        assert label == -1 or labels[label] == GOLDEN[name][2]


@pytest.mark.parametrize("name", sorted(GOLDEN.keys() - {"glue_wnli_v002_simple_eval"}))
def test_a_missing_label_is_an_unknown_word(formatted, name):
    example = GOLDEN[name][0]
    missing = -1.0 if isinstance(example["label"], float) else -1
    (found,) = formatted(name, {**example, "label": missing})
    assert found["targets"] == "<unk>"


@pytest.mark.parametrize(
    ("score", "text"),
    [(2.57, "2.6"), (3.25, "3.2"), (2.5, "2.4"), (0.0, "0.0"), (5.0, "5.0"), (4.7, "4.8")],
)
def test_similarities_are_rounded_to_fifths(formatted, score, text):
    """Halves of a fifth go to the even one, as T5's did: 3.25 down, 4.7 (23.5 fifths) up."""
    (found,) = formatted("glue_stsb_v002", {**PAIR, "label": score})
    assert found["targets"] == text


@pytest.mark.parametrize("text", ["", "three", "<unk>", "nan", "inf", "-inf", "1.2.3", "2,6"])
def test_what_is_no_number_is_minus_one(text):
    """`nan` is no answer either: one would make the correlation of all others undefined."""
    assert similarity.number(text) == -1.0


def test_labels_are_found_by_their_exact_text():
    """Anything else is -1, which equals no label: wrong, never an error."""
    label_id = seqio.TaskRegistry.get("glue_rte_v002").postprocess_fn
    texts = ["entailment", "not_entailment", "not", "Entailment", " entailment", "", "<unk>"]
    assert [label_id(text) for text in texts] == [0, 1, -1, -1, -1, -1, -1]
    assert label_id("not_entailment", example={"idx": 3}, is_target=True) == 1


def test_no_answer_is_right_where_the_label_is_unknown():
    """-1 would equal every text that is no label: 100 % for a model that has learnt nothing."""
    label_id = seqio.TaskRegistry.get("glue_rte_v002").postprocess_fn
    assert label_id("<unk>", is_target=True) not in [
        label_id(text) for text in ("<unk>", "", "not")
    ]


def test_a_split_without_labels_is_not_scored():
    """Nobody asks for the test set of GLUE by saying nothing, and who asks for it gets no score."""
    assert checks.held_out_split("glue_rte_v002") == "validation"
    assert checks.held_out_split("glue_ax_v002") == "test"
    (task,) = evaluation_tasks("glue_rte_v002", split="test[:10]")
    assert not task.has_metrics
    with pytest.raises(
        ValueError, match=r"labels of the split 'test' of glue_rte_v002 .*validation"
    ):
        tasks_with_metrics("glue_rte_v002", "test")
    (task,) = tasks_with_metrics("glue_rte_v002", "validation")
    assert task.has_metrics


def test_splits_are_those_of_tfds():
    splits = {name: list(seqio.TaskRegistry.get(name).splits) for name in GOLDEN}
    assert splits["glue_cola_v002"] == ["train", "validation", "test"]
    assert splits["glue_mnli_matched_v002"] == ["validation", "test"]
    assert splits["glue_ax_v002"] == ["test"]
    assert splits["glue_wnli_v002_simple_eval"] == ["validation", "test"]
    assert "validation_mismatched" in splits["glue_mnli_v002"]
