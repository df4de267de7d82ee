"""The rules of lines and pages are those of the code that made C4."""

import collections

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t5x_lite.corpus import rules
from t5x_lite.corpus.config import RULES, Wording
from t5x_lite.corpus.page import from_lines
from t5x_lite.corpus.rules import KEPT, LineRules
from t5x_lite.corpus.sentences import punkt

SENTENCES = "This is the first sentence here. Here comes the second one now. And this is the third."

# Rule -> the release's counter. header_lines is done by its reader, which is tried beside it.
COUNTERS = {
    "word_length": "line-filtered:too_long_word",
    "end_mark": "line-filtered:no_endmark",
    "line_words": "line-filtered:too_short",
    "lorem_ipsum": "filtered:loremipsum",
    "javascript": "line-filtered:javascript",
    "curly_bracket": "filtered:squigglybracket",
    "policy": "line-filtered:policy",
    "sentences": "filtered:too_few_sentences",
}


@pytest.fixture(scope="module")
def as_released():
    names = set(RULES) - {"header_lines"}
    return LineRules(names, punkt("english").has_sentences)


def same_as_the_release(ours, release, text):
    """Text, and how often each rule dropped a line or the page."""
    release.counts.clear()
    clean = release.utils.get_clean_page_fn()
    theirs = [page.text for page in clean(release.page(text), counter_inc_fn=release.count)]
    found = ours.clean(text)
    counts = collections.Counter(
        COUNTERS[line.rule] for line in found.lines if line.rule not in (KEPT, found.rule)
    )
    counts["line-passed"] = sum(line.rule == KEPT for line in found.lines)
    counts[COUNTERS.get(found.rule, "passed")] += 1
    if found.rule == "no_content":  # the release goes on with a page of blanks
        assert theirs == [""]
    else:
        assert theirs == ([] if found.text is None else [found.text])
    assert +counts == +release.counts, text


def test_each_rule_and_order_is_that_of_the_release(as_released, release, made_pages):
    """One page for each."""
    for text in made_pages:
        same_as_the_release(as_released, release, text)


def test_real_pages_are_cleaned_as_by_the_release(as_released, release, real_pages):
    """C4's documents once more, and crawled pages."""
    for text in real_pages:
        same_as_the_release(as_released, release, text)


PIECES = [
    *(".", "...", "?", "!", '"', "”", "{", "}", "[1]", "[edit]", "[citation needed]", "[x]", "\n"),
    *(
        "\r",
        "\x0b",
        "\x85",
        "\u2028",
        "\xa0",
        "\t",
        " ",
        "lorem ipsum",
        "Lorem Ipsum",
        "JavaScript",
    ),
    *("Terms of Use", "use cookies", "Mr.", "U.S.", "e.g. ", "W" * 1001, "ſ", "İ", "the house "),
]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_mutated_pages_are_cleaned_as_by_the_release(
    as_released, release, made_pages, real_pages, data
):
    """Pieces that rules look for, put in anywhere; lines cut and repeated."""
    text = data.draw(st.sampled_from([*made_pages[:-1], *real_pages]))[:3000]
    places = st.tuples(st.integers(0, len(text)), st.sampled_from(PIECES))
    for place, piece in data.draw(st.lists(places, max_size=8)):
        text = text[:place] + piece + text[place + data.draw(st.integers(0, 3)) :]
    same_as_the_release(as_released, release, text)


def test_a_page_that_was_cleaned_is_not_changed_again(as_released, made_pages, real_pages):
    """Cleaning twice is cleaning once, where no marker stands at an end of a page or a line."""
    for text in (*made_pages, *real_pages):
        once = as_released.clean(text).text
        if once is not None:
            again = as_released.clean(once)
            assert again.text == "\n".join(line.strip() for line in once.split("\n"))


def test_every_line_is_told_of(as_released, made_pages):
    """What was looked at and what was not are the page."""
    for text in made_pages:
        found = as_released.clean(text)
        assert [line.given for line in found.lines] + found.rest == text.splitlines()


@pytest.mark.parametrize(
    ("line", "released", "paper"),
    [
        ("lorem ipsum dolor without an end", KEPT, "lorem_ipsum"),
        ("a bracket { without an end", KEPT, "curly_bracket"),
        ("a javascript and a { in one line.", KEPT, "curly_bracket"),
        ("There is no end of this line...", KEPT, KEPT),
    ],
)
def test_the_paper_looks_at_a_whole_page(line, released, paper):
    """The release drops such lines first, and with them the reason to drop their page."""
    names = set(RULES)
    text = f"{SENTENCES}\n{line}"
    for wording, rule in ((Wording.RELEASED, released), (Wording.PAPER, paper)):
        found = LineRules(names, punkt("english").has_sentences, wording).clean(text)
        assert found.rule == rule
        if line.endswith("..."):
            assert (line in found.text) == (wording is Wording.PAPER)


@pytest.mark.parametrize("name", [*COUNTERS, "citations", "header_lines"])
def test_a_rule_can_be_left_out(name, made_pages):
    """Each by its name; then no page shows it."""
    ours = LineRules(set(RULES) - {name}, punkt("english").has_sentences)
    for text in made_pages:
        found = ours.clean(text)
        assert name not in (found.rule, *(line.rule for line in found.lines))


def test_a_page_as_the_release_reads_it():
    """Lines without blanks around them, none empty."""
    assert from_lines(" a \r\n\r\n\tb\rc\n\n") == "a\nb\nc"


@pytest.mark.parametrize("length", [189_999, 190_000, 190_001])
def test_a_page_may_be_as_long_as_in_the_release(release, length):
    """The border itself is allowed."""
    text = "x" * length
    assert rules.is_too_long(text) != release.utils.is_valid_length(release.page(text))
