"""The small real data that experiments read: WikiText-2, Multi30k and SST-2 from one folder.

The folder is that of T5X_LITE_TEST_DATA (else ../shared/data beside the project). Files are read
when a task first asks for them. What is tested is in no other split: WikiText-2 is divided by
article, Multi30k is tested on its own validation pairs, SST-2 on its own dev sentences, and a part
of their training examples is set aside for validation.
"""

import functools
import gzip
import os
import pathlib
import re

from t5x_lite.tasks.splits import digest, split_of

Examples = list[dict[str, str]]

NUM_VALIDATION = 1_000
NUM_LABELLED = 2_000  # examples that M-2 and M-3 fine-tune on
FIRST_TOKENS = (2**14, 2**8)  # of WikiText-2, 64 and 4,096 times in M-5's 2^20
EMPTY_SHARES = (0.0, 0.001, 0.01)  # of the translations that D-5 trains on

_TITLE = re.compile(r" = ([^=]+) = ")
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def folder() -> pathlib.Path:
    """Where the data is.

    Raises:
        FileNotFoundError: it is not there.
    """
    named = os.environ.get("T5X_LITE_TEST_DATA")
    found = pathlib.Path(named) if named else _ROOT.parent / "shared" / "data"
    if not found.is_dir():
        raise FileNotFoundError(
            f"The experiments need the folder of real data, and {found} is none: set "
            "T5X_LITE_TEST_DATA to a folder with text/wikitext-2, translation and glue/SST-2."
        )
    return found


def wikitext(split: str) -> Examples:
    """Paragraphs of WikiText-2; an article is in one split as a whole."""
    articles = [*_articles("valid"), *_articles("test")]
    return [
        {"targets": each} for title, text in articles if split_of(title) == split for each in text
    ]


def articles(split: str) -> Examples:
    """Articles of WikiText-2, a paragraph a line: those of one file to train on, a part of them set
    aside for validation, and to be tested those of the other.
    """
    if split == "test":
        chosen = [text for _, text in _articles("valid")]
    else:
        own = _articles("test")
        chosen = [text for title, text in own if (split_of(title) == "train") == (split == "train")]
    return [{"targets": "\n".join(text)} for text in chosen]


def whole_articles(split: str) -> Examples:
    """The same articles as `wikitext` has, each of them one text, a paragraph a line."""
    known = [*_articles("valid"), *_articles("test")]
    return [{"targets": "\n".join(text)} for title, text in known if split_of(title) == split]


def _articles(part: str) -> list[tuple[str, list[str]]]:
    """Titles with their paragraphs, the heading the first."""
    found: list[tuple[str, list[str]]] = []
    for line in (folder() / "text" / "wikitext-2" / f"{part}.txt").read_text().splitlines():
        if heading := _TITLE.fullmatch(line):
            found.append((heading.group(1), []))
        if line.strip():
            found[-1][1].append(line.strip())
    return found


def tales() -> str:
    """Grimm's tales, a paragraph a line."""
    text = (folder() / "text" / "grimm" / "tales.txt").read_text()
    paragraphs = (" ".join(each.split()) for each in text.split("\n\n"))
    return "\n".join(each for each in paragraphs if each)


def first_tokens(count: int) -> str:
    """The name of the task that reads so many tokens of WikiText-2."""
    return f"experiments_wikitext_first_{count}"


def translations(split: str, num_train: int | None = None) -> Examples:
    """Pairs of Multi30k, `en` and `de`; `num_train` limits those to train on.

    Smaller training sets are beginnings of larger ones.
    """
    part = "val" if split == "test" else "train"
    english, german = (_lines(f"translation/{part}.{code}.gz") for code in ("en", "de"))
    pairs = sorted(zip(english, german, strict=True), key=lambda pair: digest(pair[0]))
    return [{"en": source, "de": target} for source, target in _part(pairs, split, num_train)]


def with_empty(share: float) -> str:
    """The name of the task of translations of which a share has no target."""
    return f"experiments_ende_empty_{share:g}"


def translations_with_empty(split: str, share: float) -> Examples:
    """Pairs of Multi30k; of those to train on a share, by the digest of the source, is to be
    translated by nothing.
    """
    pairs = translations(split)
    if split != "train":
        return pairs
    return [pair | ({"de": ""} if _number(pair["en"]) < share else {}) for pair in pairs]


def _number(text: str) -> float:
    """From 0 to 1, evenly; another order than that in which pairs are read."""
    return int(digest(f"empty {text}")[:8], 16) / 2**32


def captions(split: str) -> Examples:
    """English captions of Multi30k, 50 a text and one a line."""
    lines = [pair["en"] for pair in translations(split)]
    return [{"targets": "\n".join(lines[at : at + 50])} for at in range(0, len(lines), 50)]


def bilingual(split: str) -> Examples:
    """The captions of both languages, 50 a text and one a line."""
    pairs = translations(split)
    return [
        {"targets": "\n".join(pair[language] for pair in pairs[at : at + 50])}
        for at in range(0, len(pairs), 50)
        for language in ("en", "de")
    ]


def unpaired(split: str, language: str) -> Examples:
    """Sentences of Multi30k in one language, of pairs that M-3 does not train on.

    English has every other pair, German the rest, so none is there in both languages.
    """
    pairs = translations(split)
    if split == "train":
        pairs = pairs[NUM_LABELLED:]
    return [{"targets": pair[language]} for pair in pairs[("en", "de").index(language) :: 2]]


def unlabelled_sentiments(split: str) -> Examples:
    """SST-2's sentences alone."""
    return [{"targets": each["sentence"]} for each in sentiments(split)]


def sentiments(split: str, num_train: int | None = None) -> Examples:
    """Sentences of SST-2, each with a `label` that says positive or negative."""
    part = "dev" if split == "test" else "train"
    rows = [row.rsplit("\t", 1) for row in _lines(f"glue/SST-2/{part}.tsv")[1:]]
    rows.sort(key=lambda row: digest(row[0]))
    return [
        {"sentence": sentence.strip(), "label": "positive" if label == "1" else "negative"}
        for sentence, label in _part(rows, split, num_train)
    ]


def _part(rows: list, split: str, num_train: int | None) -> list:
    """The first training rows are set aside for validation."""
    if split == "validation":
        return rows[:NUM_VALIDATION]
    return rows[NUM_VALIDATION:][:num_train] if split == "train" else rows


@functools.cache
def _lines(name: str) -> list[str]:
    path = folder() / name
    opened = gzip.open(path, "rt") if name.endswith(".gz") else path.open()
    with opened as file:
        return [line.rstrip("\n") for line in file]
