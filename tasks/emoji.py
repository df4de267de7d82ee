"""Translation of emoji names: CLDR's short names, from the package `emoji`.

`translate English to German: grinning face` -> `grinsendes gesicht`; the feature `emoji` carries
the character, so that tables of predictions can show it. About 3,960 emoji; those that differ in
skin tone only are in one split.
"""

import functools
import re

import emoji
import seqio

from t5x_lite.metrics.accuracy import sequence_accuracy
from t5x_lite.metrics.bleu import bleu
from t5x_lite.tasks.in_memory import InMemorySource
from t5x_lite.tasks.splits import SPLITS, digest, split_of
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

LANGUAGES = {"de": "German", "fr": "French"}
# Not only at the end: `man_dark_skin_tone_beard`.
_SKIN_TONE = re.compile(r"_(?:light|medium-light|medium|medium-dark|dark)_skin_tone")


def base_name(english: str) -> str:
    """The name without skin tones: `waving_hand` for all six waving hands.

    It stands for the base emoji, and also joins the few emoji that two code sequences write, such
    as a handshake of equal and one of different hands.
    """
    return _SKIN_TONE.sub("", english)


@functools.cache
def load() -> list[dict[str, str]]:
    """Each emoji and its names with underscores, in a random but fixed order."""
    emoji.config.load_language(["en", *LANGUAGES])
    found = []
    for character, entry in emoji.EMOJI_DATA.items():
        if entry["status"] == emoji.STATUS["fully_qualified"]:
            names = {code: entry[code].strip(":") for code in ("en", *LANGUAGES)}
            found.append({"emoji": character, **names})
    return sorted(found, key=lambda names: digest(names["en"]))


def _examples(language: str, split: str) -> list[dict[str, str]]:
    def text(name: str) -> str:
        return name.replace("_", " ")

    return [
        {
            "inputs": f"translate English to {LANGUAGES[language]}: {text(names['en'])}",
            "targets": text(names[language]),
            "emoji": names["emoji"],
        }
        for names in load()
        if split_of(base_name(names["en"])) == split
    ]


for _language in LANGUAGES:
    seqio.TaskRegistry.add(
        f"emoji_en_{_language}",
        source=InMemorySource(functools.partial(_examples, _language), SPLITS),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={
            "inputs": seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True),
            "targets": seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True),
        },
        metric_fns=[bleu, sequence_accuracy],
    )
