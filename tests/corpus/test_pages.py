"""Rules that look at an address, a language or words: those of the code that made C4."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from t5x_lite.corpus import config, urls
from t5x_lite.corpus.bad_words import BadWords
from t5x_lite.corpus.config import CorpusConfig, Detector, Wording, check_rules
from t5x_lite.corpus.language import UNKNOWN, Language, check_language, detector
from t5x_lite.corpus.sentences import check_model, name_of, parameters_of, punkt
from t5x_lite.errors import UserError

SENTENCES = "This is the first sentence here. Here comes the second one now. And this is the third."

ADDRESSES = [
    "http://example.org",
    "https://www.example.org/",
    "https://example.org/a/?utm_source=x&b=2",
    "http://example.org/a?ref=home",
    "http://example.org/a?feed=rss//",
    "http://example.org/a?b=1&utm_source=x",
    "HTTP://WWW.Example.org/A",
    "https://example.org/?u=http://www.other.org/",
    "ftp://example.org///",
    "an.example.org/ä b",
    "",
]
WORDS = ["ass", "big black", "f*ck", "$ex", "naughty", "xx-x", "été", "two girls"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_those_of_the_release(release, address):
    """And so is the split that a page belongs to."""
    assert urls.normalized(address) == release.utils.normalize_url(address)
    chosen = release.utils.get_hashed_url_filter_fn(lambda number: number % 1000 == 0)
    assert urls.is_validation(urls.normalized(address)) == chosen(release.page("", address))


def test_one_page_of_a_thousand_is_for_validation():
    """Within three standard errors."""
    count = sum(urls.is_validation(f"example.org/{number}") for number in range(100_000))
    assert abs(count - 100) < 30


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://www.nytimes.com/a", True),
        ("http://edition.cnn.com/x?y", True),
        ("http://games.cnn.com/", False),
        ("http://cnn.com:8080/", True),
        ("http://notcnn.com/", False),
        ("http://news.bbc.co.uk/1", True),
        ("http://user@edition.cnn.com/", True),
        ("http://[broken/", False),
    ],
)
def test_a_domain_is_listed_with_what_may_stand_before_it(url, expected):
    """As the list of RealNews has it."""
    domains = {"nytimes.com": None, "cnn.com": ["", "edition"], "bbc.co.uk": ["news"]}
    assert urls.is_in_domains(url, domains) is expected


def test_wikipedia_is_known_in_every_language():
    assert urls.is_wikipedia("https://an.wikipedia.org/wiki/Escopete")
    assert not urls.is_wikipedia("https://notwikipedia.org/")


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([*WORDS, *map(str.upper, WORDS), " ", "_", ".", "\n", "a", "1", "é", "İ"]),
        max_size=12,
    ),
    st.sampled_from(["en", "de", "ja", "zh"]),
)
def test_bad_words_are_found_as_the_release_finds_them(pieces, language):
    """By its own expression; also those with other characters than letters, and inside of words."""
    import re

    text = "".join(pieces)
    # As c4_utils builds it.
    either = "|".join(map(re.escape, WORDS))
    plain = language in ("ja", "zh")
    expression = re.compile(either if plain else rf"(?:\W|^)({either})(?:\W|$)")
    expected = expression.search(text.lower()) is not None
    assert bool(BadWords(WORDS, language).found(text)) == expected


def test_pages_with_bad_words_are_those_of_the_release(release, real_pages):
    """On real pages, with words that are frequent."""
    words = ["house", "new york", "credit card", "u.s.", "sql", "e-mail"]
    theirs = release.utils.get_badwords_filter_fn({"en": words})
    ours = BadWords(words)
    found = []
    for text in real_pages:
        page = release.page(text)
        page.language = "en"
        found.append(bool(ours.found(text)))
        assert found[-1] != theirs(page)
    assert 10 < sum(found) < len(found) - 10


def theirs_of(text):
    import langdetect

    langdetect.DetectorFactory.seed = 0
    try:
        found = langdetect.detect_langs(text)
    except langdetect.LangDetectException:
        return UNKNOWN
    return Language(found[0].lang, found[0].prob) if found else UNKNOWN


OTHER_TEXTS = [
    *(
        "你好世界 这是一个测试",
        "これは日本語のテストです。",
        "Việt Nam là một quốc gia",
        "привет мир hello",
    ),
    *(
        "한국어 테스트 입니다",
        "ABC DEF GHI",
        "MIXEDCaseTEXT oNe",
        "İstanbul şţ șț ȘȚ ề ố",
        "a  b   c",
    ),
    *(
        "see http://x.y/z and a@b.cd for more",
        "1234",
        "",
        " ",
        "ｆｕｌｌ　width",
        "e" * 20_000,
        "A",
    ),
]


def test_languages_have_langdetect_s_numbers_to_the_last_digit(release, made_pages, real_pages):
    """And a page is kept or dropped as by the release."""
    ours = detector(Detector.LANGDETECT)
    for text in (*made_pages, *OTHER_TEXTS, *real_pages[::3]):
        found = ours.best(text)
        assert found == theirs_of(text), text[:100]
        kept = list(release.utils.detect_english(release.page(text)))
        assert bool(kept) == (found.code == "en" and found.probability >= 0.99)


@settings(deadline=None)
@given(st.text(max_size=60) | st.text(st.sampled_from("aZé яß中あア한ữ.İ "), max_size=60))
def test_any_text_has_langdetect_s_numbers(text):
    """Of any script, cut anywhere."""
    assert detector(Detector.LANGDETECT).best(text) == theirs_of(text)


def test_the_fast_detector_tells_languages_apart():
    """Its numbers are its own; nothing is downloaded."""
    fast = detector(Detector.FASTTEXT)
    assert fast.best(SENTENCES).code == "en" and fast.best(SENTENCES).probability > 0.9
    assert fast.best("Das ist ein deutscher Satz,\nund noch einer.").code == "de"
    assert fast.best("").probability < 0.5


def test_a_language_that_is_none_is_an_error():
    with pytest.raises(UserError, match="did you mean"):
        check_language("eng", Detector.LANGDETECT)


def test_sentences_of_the_model_are_plausible(c4_pages):
    """On C4: most begin with a capital and end with a mark; abbreviations end none. The model was
    not compared with nltk's own download.
    """
    model = punkt(name_of("en"))
    assert (
        len(model.spans("Mr. Smith of the U.S. Army paid $3.50. He left at 5 p.m. on Monday.")) == 2
    )
    found = [
        line[start:end]
        for _, text, _ in c4_pages[:200]
        for line in text.split("\n")
        for start, end in model.spans(line)
    ]
    assert 2 < len(found) / sum(text.count("\n") + 1 for _, text, _ in c4_pages[:200]) < 6
    assert sum(each[-1] in '.?!"”’)' for each in found) > 0.97 * len(found)
    assert sum(not each[0].islower() for each in found) > 0.97 * len(found)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_sentences_are_those_of_nltk_s_own_code(c4_pages, data):
    """Whose expressions another engine matches."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer

    theirs = PunktSentenceTokenizer(parameters_of("english"))
    text = data.draw(st.sampled_from([text for _, text, _ in c4_pages[:60]]))[:1500]
    pieces = st.sampled_from(
        [". ", "...", "! ", '." ', "U.S. ", ".) ", "\n", " -- ", "\xa0", "é. ", "3. "]
    )
    for place, piece in data.draw(
        st.lists(st.tuples(st.integers(0, len(text)), pieces), max_size=8)
    ):
        text = text[:place] + piece + text[place:]
    assert punkt("english").spans(text) == list(theirs.span_tokenize(text))


def test_counting_sentences_ends_early_and_is_right(c4_pages):
    """As many as there are, each line by itself."""
    model = punkt("english")
    for _, text, _ in c4_pages[:50]:
        lines = text.split("\n")[:2]
        number = sum(len(model.spans(line)) for line in lines)
        for least in (1, 2, 3, 5, number, number + 1):
            assert model.has_sentences(lines, least) == (number >= least)


def test_a_model_s_name_is_no_folder(tmp_path, monkeypatch):
    """A corpus may well be called german."""
    (tmp_path / "german").mkdir()
    monkeypatch.chdir(tmp_path)
    check_model("german")


def test_a_model_may_be_a_folder_of_nltk(tmp_path):
    """What nltk's punkt_tab has, and what is missing of it."""
    for name, content in {
        "abbrev_types.txt": "abbr\n",
        "collocations.tab": "a\tb\n",
        "ortho_context.tab": "word\t34\n",
    }.items():
        (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match="sent_starters.txt is missing"):
        check_model(str(tmp_path))
    (tmp_path / "sent_starters.txt").write_text("however\n")
    punkt.cache_clear()
    assert len(punkt(str(tmp_path)).spans("It is abbr. This and that.")) == 1
    punkt.cache_clear()
    assert len(punkt("english").spans("It is abbr. This and that.")) == 2
    with pytest.raises(UserError, match="did you mean english"):
        check_model("englich")


def corpus(**settings):
    return CorpusConfig(inputs=("x",), output="y", **settings)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, "bad_words needs --bad_words=FILE"),
        ({"variant": "realnews", "bad_words": "x"}, "domains needs --domains=FILE"),
        ({"variant": "webtext", "bad_words": "x"}, "url_list needs --urls=FILE"),
        ({"variant": "webtex"}, "did you mean webtext"),
        ({"without": ("bad_word",)}, "did you mean bad_words"),
    ],
)
def test_a_rule_without_its_list_is_an_error(settings, expected):
    """It is never skipped; what to do is said."""
    with pytest.raises(UserError, match=expected):
        check_rules(corpus(**settings))


def test_a_variant_is_a_set_of_rules():
    """Those of B.3.2; the paper's wording has fewer of them."""
    check_rules(corpus(without=("bad_words",)))
    check_rules(corpus(variant="unfiltered"))
    check_rules(corpus(variant="documents"))
    assert corpus(variant="unfiltered").rules == {
        *("no_content", "page_length", "one_page_per_url", "language")
    }
    assert corpus(variant="documents").rules == {"no_content"}
    assert corpus().rules == set(config.RULES) - {"domains", "wikipedia", "url_list"}
    assert "sentences_again" not in corpus(without=("duplicates",)).rules
    assert corpus().rules - corpus(wording=Wording.PAPER).rules == {
        *("page_length", "one_page_per_url", "header_lines", "word_length")
    }
