"""WNLI: which pronoun is meant, and which noun the hypothesis has in its place."""

import pytest

from t5x_lite.tasks import wnli


@pytest.mark.parametrize(
    ("premise", "hypothesis", "inputs", "noun"),
    [
        # The noun between repeated words; the capital is the hypothesis's.
        ("The fish ate the worm. It was tasty.", "The worm was tasty.",
         "wsc: The fish ate the worm. *It* was tasty.", "The worm"),
        # The pronoun with the most repeated words around it, not the first.
        ("He saw Ann because she was tall.", "Ann was tall.",
         "wsc: He saw Ann because *she* was tall.", "Ann"),
        # Punctuation stays outside of the asterisks; the final mark is no part of the noun.
        ("Ann had a box, so I opened it.", "I opened a box.",
         "wsc: Ann had a box, so I opened *it* .", "a box"),
        # A possessive is given without its ending.
        ("Ann fed the cat with her spoon.", "Ann fed the cat with Ann's spoon.",
         "wsc: Ann fed the cat with *her* spoon.", "Ann"),
        # What is taken too early ends at the article.
        ("Although it was late, Ann ate it.", "Then Ann ate the cake.",
         "wsc: Although it was late, Ann ate *it* .", "the cake"),
        # Double spaces do not shift the asterisks.
        ("The  fish ate the worm. It was tasty.", "The worm was tasty.",
         "wsc: The  fish ate the worm. *It* was tasty.", "The worm"),
        # Special characters of regular expressions are words like others.
        ("Ann (the cook) said it (ate more.", "Ann said the cat (ate more.",
         "wsc: Ann (the cook) said *it* (ate more.", "the cat"),
        # Nothing to find.
        ("It rained.", "Snow fell.", "wsc: *It* rained.", ""),
        ("Ann slept.", "Ann dreamt.", "wsc: Ann slept.", ""),
    ],
)  # fmt: skip
def test_the_noun_of_the_hypothesis(premise, hypothesis, inputs, noun):
    assert wnli.recover(premise, hypothesis) == (inputs, noun)
