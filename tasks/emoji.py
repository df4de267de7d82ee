"""Names of emoji in several languages: CLDR's short names, from the package `emoji`.

| task                       | inputs                                      | targets              |
|----------------------------|---------------------------------------------|----------------------|
| emoji_en_{de,fr,es,it,pt}  | `translate English to German: grinning face`| `grinsendes gesicht` |
| emoji_names_{de,fr}        | names of one language with sentinels        | what they hide       |
| emoji_language             | `language: grinsendes gesicht`              | `German`             |

The feature `emoji` of a translation carries the character, so that tables of predictions can show
it. About 3,960 emoji; those that differ in skin tone only are in one split, in every language.
"""

import functools
import re

import emoji
import seqio

from t5x_lite.metrics.accuracy import accuracy, sequence_accuracy
from t5x_lite.metrics.bleu import bleu
from t5x_lite.objectives import documents, table
from t5x_lite.tasks.in_memory import InMemorySource
from t5x_lite.tasks.splits import SPLITS, digest, split_of
from t5x_lite.text.seqio_vocabulary import DefaultVocabulary

LANGUAGES = {
    "de": "German",
    "fr": "French",
    "es": "Spanish",
    "it": "Italian",
    "pt": "Portuguese",
}
UNPAIRED = ("de", "fr")
_FEATURE = seqio.Feature(vocabulary=DefaultVocabulary(), add_eos=True)
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


def _text(name: str) -> str:
    return name.replace("_", " ")


def _names(split: str) -> list[dict[str, str]]:
    return [names for names in load() if split_of(base_name(names["en"])) == split]


def translations(
    split: str, *, language: str, num_train: int | None = None
) -> list[dict[str, str]]:
    """Pairs of names; `num_train` limits those to train on, the beginning of a larger number."""
    found = [
        {
            "inputs": f"translate English to {LANGUAGES[language]}: {_text(names['en'])}",
            "targets": _text(names[language]),
            "emoji": names["emoji"],
        }
        for names in _names(split)
    ]
    return found[:num_train] if split == "train" else found


def add_translation(name: str, language: str, num_train: int | None = None) -> None:
    """Registers the translation of all pairs, or of a few."""
    load_split = functools.partial(translations, language=language, num_train=num_train)
    seqio.TaskRegistry.add(
        name,
        source=InMemorySource(load_split, SPLITS),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={"inputs": _FEATURE, "targets": _FEATURE},
        metric_fns=[bleu, sequence_accuracy],
    )


def names_with_languages(split: str, *, num_train: int | None = None) -> list[dict[str, str]]:
    """Names in English and all LANGUAGES, each with its language, in a random but fixed order."""
    found = [
        {"inputs": f"language: {_text(names[code])}", "targets": language}
        for names in _names(split)
        for code, language in {"en": "English", **LANGUAGES}.items()
    ]
    found.sort(key=lambda example: digest(" ".join(example.values())))
    return found[:num_train] if split == "train" else found


def add_language(name: str, num_train: int | None = None) -> None:
    """Registers telling the language of a name, with all examples or a few."""
    load_split = functools.partial(names_with_languages, num_train=num_train)
    seqio.TaskRegistry.add(
        name,
        source=InMemorySource(load_split, SPLITS),
        preprocessors=[seqio.preprocessors.tokenize, seqio.preprocessors.append_eos_after_trim],
        output_features={"inputs": _FEATURE, "targets": _FEATURE},
        metric_fns=[accuracy],
    )


def _unpaired(language: str, split: str) -> list[dict[str, str]]:
    return [{"targets": _text(names[language])} for names in _names(split)]


for _language in LANGUAGES:
    add_translation(f"emoji_en_{_language}", _language)

add_language("emoji_language")

for _language in UNPAIRED:
    seqio.TaskRegistry.add(
        f"emoji_names_{_language}",
        source=InMemorySource(functools.partial(_unpaired, _language), SPLITS),
        preprocessors=[
            documents.tokenize,
            table.preprocessor("span_corruption"),
            seqio.preprocessors.append_eos_after_trim,
        ],
        output_features={"inputs": _FEATURE, "targets": _FEATURE},
    )
