"""SuperGLUE and DPR: the text of every task as released, and what is scored."""

import pytest
import seqio

# super_glue for what it registers.
from t5x_lite.tasks import multirc, record, super_glue, winograd  # noqa: F401

NLI = {"premise": "It rains.", "hypothesis": "It is wet.", "label": 1, "idx": 7}
GOLDEN = {
    "super_glue_boolq_v102": (
        {"question": "is rain wet", "passage": "Rain -- It is wet.", "label": 1, "idx": 7},
        "boolq passage: Rain -- It is wet. question: is rain wet",
        "True",
    ),
    "super_glue_cb_v102": (NLI, "cb hypothesis: It is wet. premise: It rains.", "contradiction"),
    "super_glue_copa_v102": (
        {
            "premise": "It is wet.",
            "choice1": "It rained.",
            "choice2": "I slept.",
            "question": "cause",
            "label": 0,
            "idx": 7,
        },
        "copa choice1: It rained. choice2: I slept. premise: It is wet. question: cause",
        "choice1",
    ),
    "super_glue_rte_v102": (NLI, "rte hypothesis: It is wet. premise: It rains.", "not_entailment"),
    "super_glue_axb_v102": (
        {"sentence1": "It rains.", "sentence2": "It is wet.", "label": 0, "idx": 7},
        "rte hypothesis: It is wet. premise: It rains.",
        "entailment",
    ),
    "super_glue_axg_v102": (NLI, "rte hypothesis: It is wet. premise: It rains.", "not_entailment"),
    "super_glue_wic_v102": (
        {
            "word": "rain",
            "sentence1": "It may rain.",
            "sentence2": "A rain of blows.",
            "start1": 7,
            "end1": 11,
            "start2": 2,
            "end2": 6,
            "label": 0,
            "idx": 7,
        },
        "wic sentence1: It may rain. sentence2: A rain of blows. word: rain",
        "False",
    ),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_the_text_of_a_task(formatted, name):
    """SPEC of the released tasks, to the letter; `idx` stays for whoever submits predictions."""
    example, inputs, targets = GOLDEN[name]
    (found,) = formatted(name, example)
    assert (found["inputs"], found["targets"], found["idx"]) == (inputs, targets, 7)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_missing_label_is_an_unknown_word(formatted, name):
    (found,) = formatted(name, {**GOLDEN[name][0], "label": -1})
    assert found["targets"] == "<unk>"


# MultiRC.


def multirc_example(label):
    return {
        "paragraph": "<b>Sent 1: </b>It rained.<br><b>Sent 2: </b>It was wet.<br>",
        "question": "Was it <b>wet</b>?",
        "answer": "Yes",
        "label": label,
        "idx": {"paragraph": 1, "question": 2, "answer": 3},
    }


def test_multirc_drops_markup_and_keeps_the_question(formatted):
    (found,) = formatted("super_glue_multirc_v102", multirc_example(1))
    assert found == {
        "inputs": "multirc question: Was it wet? answer: Yes paragraph: Sent 1: It rained. "
        "Sent 2: It was wet. ",
        "targets": "True",
        "idx/paragraph": 1,
        "idx/question": 2,
        "idx/answer": 3,
    }
    (unlabelled,) = formatted("super_glue_multirc_v102", multirc_example(-1))
    assert unlabelled["targets"] == "<unk>"


def test_multirc_targets_know_their_question_and_anything_unknown_is_wrong():
    example = {"idx/question": 2}
    assert multirc.postprocess("True", example=example, is_target=True) == {"value": 1, "group": 2}
    found = [multirc.postprocess(text, example=example) for text in ("False", "True", "true", "")]
    assert found == [{"value": 0}, {"value": 1}, {"value": -1}, {"value": -1}]


# ReCoRD.


def record_example(answers):
    return {
        "passage": 'Ann met Bob\n@highlight\nBob left.\n@highlight\n"Ann stayed"\n@highlight\nEnd',
        "query": "@placeholder left",
        "entities": ["Ann", "Bob"],
        "answers": answers,
        "idx": {"passage": 4, "query": 5},
    }


def test_record_gives_an_example_for_each_answer(formatted):
    """A highlight follows a full stop, which is added where no mark ends the text before it."""
    found = formatted("super_glue_record_v102", record_example(["Ann", "Bob"]))
    assert [each["targets"] for each in found] == ["Ann", "Bob"]
    for each in found:
        assert each["inputs"] == (
            "record query: @placeholder left entities: Ann, Bob "
            'passage: Ann met Bob. Bob left. "Ann stayed" End'
        )
        assert each["answers"] == ["Ann", "Bob"]
        assert (each["idx/passage"], each["idx/query"]) == (4, 5)


def test_record_without_answers_is_kept_for_a_submission(formatted):
    import tensorflow as tf

    example = record_example(tf.zeros([0], tf.string))
    (found,) = formatted("super_glue_record_v102", example)
    assert (found["targets"], found["answers"]) == ("<unk>", [])


def test_record_targets_have_all_answers_and_their_query():
    example = {"answers": [b"Ann", "Bob"], "idx/passage": 4, "idx/query": 5}
    target = record.postprocess("Ann", example=example, is_target=True)
    assert target == {"value": ["Ann", "Bob"], "group": (4, 5)}
    assert record.postprocess("", example=example) == {"value": ""}


# Winograd schemas.


def wsc_example(text, pronoun, index, **changes):
    return {
        "text": text,
        "span1_text": "Ann",
        "span1_index": 0,
        "span2_text": pronoun,
        "span2_index": index,
        "label": 1,
        "idx": 7,
        **changes,
    }


@pytest.mark.parametrize(
    ("text", "pronoun", "index", "inputs"),
    [
        ("Ann asked if she may go.", "she", 3, "wsc: Ann asked if *she* may go."),
        # The word and not its like: X stands for itself, the first `she` is another one.
        ("If she X asks , she may go . ", "she", 5, "wsc: If she X asks , *she* may go . "),
        ("Ann knows her .", "Ann", 0, "wsc: *Ann* knows her ."),
        # The two mistakes of the data set: a word beside the pronoun, punctuation at the pronoun.
        ("Ann may use it , but not now.", "it", 2, "wsc: Ann may use *it* , but not now."),
        (
            'Ann fell. "Good for her," he said. ',
            "her",
            4,
            'wsc: Ann fell. "Good for *her* ," he said.',
        ),
        # Nothing like the pronoun is there: the index decides.
        ("Ann may go home.", "it", 2, "wsc: Ann may *go* home."),
    ],
)
def test_the_pronoun_is_starred(formatted, text, pronoun, index, inputs):
    (found,) = formatted("super_glue_wsc_v102_simple_eval", wsc_example(text, pronoun, index))
    assert found == {"inputs": inputs, "targets": "Ann", "label": 1, "idx": 7}


def test_wsc_trains_on_right_nouns_only_and_evaluates_all(formatted):
    examples = [wsc_example("Ann may go.", "may", 1, label=label, idx=label) for label in (0, 1)]
    train = formatted("super_glue_wsc_v102_simple_train", *examples)
    assert [each["label"] for each in train] == [1]
    unlabelled = wsc_example("Ann may go.", "may", 1, label=-1)
    evaluated = formatted("super_glue_wsc_v102_simple_eval", *examples, unlabelled)
    assert [each["label"] for each in evaluated] == [0, 1, -1]


@pytest.mark.parametrize(
    ("sentence", "inputs"),
    [
        ("Ann asked Bob if he may go.", "wsc: Ann asked Bob if *he* may go."),
        (
            "Ann told him, not that he minds, he was late.",
            "wsc: Ann told him, not that *he* minds, he was late.",
        ),
        ("Ann likes he.", "wsc: Ann likes *he*."),
        ("Ann and he, too.", "wsc: Ann and *he*, too."),
    ],
)
def test_dpr_stars_the_first_pronoun(formatted, sentence, inputs):
    example = {"sentence": sentence, "pronoun": "he", "candidates": ["Ann", "Bob"], "label": 1}
    assert formatted("dpr_v001_simple", example) == [{"inputs": inputs, "targets": "Bob"}]


@pytest.mark.parametrize(
    ("prediction", "referent", "verdict"),
    [
        ("the fuzzy bunny", "bunny", 1),
        ("Bunny", "the fuzzy bunny", 1),
        ("a cat", "the fuzzy bunny", 0),
        ("Bob", "Bob's hat", 0),
        ("Bob's hat", "Bob's", 1),
        ("", "bunny", -1),
        ("  ", "bunny", -1),
        ("their the", "bunny", -1),
        ("bunny", "", 0),
        ("<unk> \u2047 1.0", "bunny", 0),
    ],
)
def test_whether_a_prediction_is_the_proposed_noun(prediction, referent, verdict):
    """INV-18: determiners and capitals do not count, an apostrophe on one side does."""
    example = {"targets_pretokenized": referent, "label": 1}
    assert winograd.names_the_referent(prediction, example=example) == verdict
    as_bytes = {**example, "targets_pretokenized": referent.encode()}
    assert winograd.names_the_referent(prediction, example=as_bytes) == verdict
    assert winograd.names_the_referent(referent, example=example, is_target=True) == 1
    unknown = {**example, "label": -1}
    assert winograd.names_the_referent(referent, example=unknown, is_target=True) is None


def test_splits_are_those_of_tfds():
    splits = {
        task.name: list(task.splits)
        for task in map(
            seqio.TaskRegistry.get,
            [
                "super_glue_boolq_v102",
                "super_glue_wsc_v102_simple_train",
                "super_glue_wsc_v102_simple_eval",
                "super_glue_axb_v102",
                "dpr_v001_simple",
            ],
        )
    }
    assert splits == {
        "super_glue_boolq_v102": ["train", "validation", "test"],
        "super_glue_wsc_v102_simple_train": ["train"],
        "super_glue_wsc_v102_simple_eval": ["validation", "test"],
        "super_glue_axb_v102": ["test"],
        "dpr_v001_simple": ["train", "test"],
    }
