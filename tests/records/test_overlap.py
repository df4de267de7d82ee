"""What is held out is found where it stands, and not by chance."""

from t5x_lite.records.overlap import Overlap

WORDS = [f"w{n}" for n in range(40)]
LONG = " ".join(WORDS)


def found(held_out, *train):
    """The places of those that were found."""
    overlap = Overlap(held_out)
    for text in train:
        overlap.look_at(text)
    return overlap.found


def test_thirteen_words_in_a_row_are_found():
    """Whatever their case and what stands between them; twelve are not."""
    assert found([LONG], "x " + ", ".join(WORDS[5:18]).upper() + " y") == {0: " ".join(WORDS[5:18])}
    assert found([LONG], "x " + " ".join(WORDS[5:17]) + " y") == {}


def test_runs_are_as_long_as_almost_all_texts():
    """Ten words of texts of ten; the shortest of many are found as wholes."""
    ten = [f"{a} " + " ".join(WORDS[:9]) for a in range(30)]
    assert Overlap(ten).size == 10
    held_out = [*(f"{a} " + LONG for a in range(39)), " ".join(WORDS[:8])]
    assert Overlap(held_out).size == 13
    assert found(held_out, " ".join(WORDS[:9])) == {39: " ".join(WORDS[:8])}


def test_of_short_texts_nothing_is_said():
    """A label, a yes: they are alike by chance."""
    overlap = Overlap(["yes", "no", "two words"])
    overlap.look_at("yes no two words")
    assert (overlap.found, overlap.compared) == ({}, 0)
