"""SQuAD's exact match and F1 by hand, with the traps of the official script."""

import pytest

from t5x_lite.metrics.squad import normalize_answer, squad


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The  Cat, the dog!", "cat dog"),
        ("a.b-c", "abc"),
        ("theatre an anagram", "theatre anagram"),
        ("\u2018quoted\u2019", "\u2018quoted\u2019"),
        ("the", ""),
    ],
)
def test_what_of_an_answer_counts(text, expected):
    """ASCII punctuation is deleted, not replaced; articles are whole words."""
    assert normalize_answer(text) == expected


def test_the_best_of_all_answers_counts():
    """Right, wrong, right by the second answer, and 2 of 3 words: EM 2/4, F1 (1 + 0 + 1 + .8)/4."""
    answers = [["big moose"], ["hippo"], ["one", "two.1"], ["red old house", "x"]]
    found = squad(answers, ["A big, Moose", "whale", "Two1", "old house"])
    assert found == {"em": 50.0, "f1": pytest.approx(70.0)}


def test_repeated_words_count_as_often_as_both_have_them():
    """One of two: precision 1/2, recall 1/1."""
    assert squad([["no"]], ["no no"])["f1"] == pytest.approx(200 / 3)


def test_an_empty_prediction_is_wrong():
    """It has no word in common."""
    assert squad([["a string", ""]], ["this is no answer"]) == {"em": 0.0, "f1": 0.0}
    assert squad([["string"]], [""]) == {"em": 0.0, "f1": 0.0}


def test_an_answer_of_articles_only_matches_but_has_no_words():
    """As in the official script of version 1.1: EM 1 and F1 0."""
    assert squad([["The"]], ["a"]) == {"em": 100.0, "f1": 0.0}


def test_a_question_without_answers_is_an_error():
    """Its score would be a lie."""
    with pytest.raises(ValueError, match="without labels"):
        squad([[]], ["text"])


def test_a_text_is_no_list_of_answers():
    """Its letters would be the answers: 0 for a prediction that is right."""
    with pytest.raises(ValueError, match=r"needed is the list .* such as \['abc'\]"):
        squad(["abc"], ["abc"])
