"""What stands around texts, by hand for each of the templates."""

import pytest

from t5x_lite.errors import UserError
from t5x_lite.features.config import SpecialTokens
from t5x_lite.text import template
from t5x_lite.text.template import Template

SPECIAL = SpecialTokens(start=7, end=8)

FRAMED = {
    "PLAIN": ([5, 6], [0, 0], [5, 6, 4], [0, 0, 0]),
    "WITH_END": ([5, 6, 8], [0] * 3, [5, 6, 8, 4, 8], [0] * 5),
    "START_AND_END": ([7, 5, 6, 8], [0] * 4, [7, 5, 6, 8, 4, 8], [0, 0, 0, 0, 1, 1]),
    "TWO_ENDS": ([7, 5, 6, 8], [0] * 4, [7, 5, 6, 8, 8, 4, 8], [0] * 7),
    "START_LAST": ([5, 6, 8, 7], [0, 0, 0, 2], [5, 6, 8, 4, 8, 7], [0, 0, 0, 1, 1, 2]),
}


@pytest.mark.parametrize("name", FRAMED)
def test_texts_stand_between_tokens_with_their_types(name):
    """The pairs of BERT, RoBERTa, XLNet and T5, and a text that is empty."""
    made = getattr(template, name)
    single, single_types, pair, pair_types = FRAMED[name]
    assert made.frame(SPECIAL, [5, 6]) == (single, single_types)
    assert made.frame(SPECIAL, [5, 6], [4]) == (pair, pair_types)
    assert made.num_tokens(is_pair=False) == len(single) - 2
    assert made.num_tokens(is_pair=True) == len(pair) - 3
    assert made.num_types == max(pair_types + single_types) + 1
    assert made.frame(SPECIAL, [], []).ids == [i for i in pair if i in (7, 8)]


@pytest.mark.parametrize(
    ("single", "pair", "message"),
    [
        ("A", "A", r"has the texts \['A'\]; needed is each of A, B once"),
        ("A B", "A B", "single='A B' has the texts"),
        ("A stop", "A B", "has the part 'stop'; needed is one of A, B, start, end"),
        ("A", "A B:x", "has the part 'B:x'"),
        ("A", "A B:", "has the part 'B:'"),
    ],
)
def test_a_template_that_says_something_else_is_refused(single, pair, message):
    with pytest.raises(UserError, match=message):
        Template(single=single, pair=pair)
