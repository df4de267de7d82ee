"""SQuAD: punctuation stands alone, and all answers are kept."""

import pytest
import tensorflow as tf

from t5x_lite.tasks import squad


def test_the_text_of_the_task(formatted):
    """Also where punctuation begins or ends a text: the spaces of an answer are as T5's were."""
    example = {
        "id": "a1",
        "title": "Rain",
        "context": "It rained  (a lot), on 7.5\u20138 days.\nThen \u00e9t\u00e9 came!",
        "question": "How many days?",
        "answers": {"text": ["7.5\u20138", "(a lot)"], "answer_start": [20, 10]},
    }
    (found,) = formatted("squad_v010_allanswers", example)
    context = "It rained ( a lot ) , on 7 . 5\u20138 days . Then \u00e9t\u00e9 came ! "
    assert found == {
        "inputs": f"question: How many days ? context: {context}",
        "targets": "7 . 5\u20138",
        "id": "a1",
        "context": context,
        "question": "How many days ? ",
        "answers": ["7 . 5\u20138", " ( a lot ) "],
    }


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("7.5\u20138", "7 . 5\u20138"),
        ("(a lot)", "( a lot )"),
        ("It", "It"),
        ("days.", "days ."),
        ("8", "5\u20138"),  # whole words, where an answer is a part of one
        ("\u00e9t\u00e9 came!", "\u00e9t\u00e9 came !"),
    ],
)
def test_an_encoder_is_shown_which_words_are_the_answer(formatted, answer, words):
    """Counted in characters, wherever punctuation or a letter of two bytes stands."""
    context = "It rained  (a lot), on 7 or 7.5\u20138 days.\nThen \u00e9t\u00e9 came!"
    start = context.index(answer)
    example = {
        "id": "a1",
        "context": context,
        "question": "How many days?",
        "answers": {"text": [answer, "It"], "answer_start": [start, 0]},
    }
    (found,) = formatted("squad_v010_allanswers_encoder", example)
    first, last = found["answer"]
    assert " ".join(found["words"][first : last + 1]) == words
    assert " ".join(found["words"]).split() == squad_words(context)
    assert found["question"] == "How many days?" and len(found["answers"]) == 2


def squad_words(text):
    """Those that stand between blanks in the text of the other task."""
    return squad.pad_punctuation(tf.constant(text)).numpy().decode().split()


def test_a_question_without_an_answer_is_kept_for_a_submission(formatted):
    example = {
        "id": "a1",
        "context": "It rained.",
        "question": "When?",
        "answers": {"text": tf.zeros([0], tf.string), "answer_start": tf.zeros([0], tf.int32)},
    }
    (found,) = formatted("squad_v010_allanswers", example)
    assert (found["targets"], found["answers"]) == ("<unk>", [])
    (found,) = formatted("squad_v010_allanswers_encoder", example)
    assert (found["answer"], found["answers"]) == ([-1, -1], [])


def test_targets_have_all_answers_and_predictions_are_texts():
    example = {"answers": [b"7 . 5", "8"]}
    assert squad.postprocess("7 . 5", example=example, is_target=True) == ["7 . 5", "8"]
    assert squad.postprocess("", example=example) == ""
