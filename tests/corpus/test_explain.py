"""What a reader sees of a page and the rules: every line, and the rule that is to blame."""

import functools
import http.server
import threading

import pytest

from t5x_lite.corpus.config import CorpusConfig
from t5x_lite.corpus.explain import NOT_LOOKED_AT, as_page, as_text, explain, fetched
from t5x_lite.corpus.rules import KEPT
from t5x_lite.errors import UserError

PAGE = """<html><head><title>T</title><meta name=robots content="noai"><style>x { }</style></head>
<body><ul><li>Home</li></ul><p>This is the first sentence here. Here comes the second one now.</p>
<p>And that is the third <b>of them</b>.[1]</p><p>Read our privacy policy before you go on.</p>
<script>var a = {};</script><p>See <a rel=license href=/cc>the licence</a></p></body></html>"""


def config(tmp_path, **settings):
    (tmp_path / "words").write_text("naughty word\n")
    settings = {"bad_words": str(tmp_path / "words")} | settings
    return CorpusConfig(inputs=(), output="", **settings)


def lines(found):
    return {line: rule for line, rule in found.lines}


def test_each_line_has_its_rule(tmp_path):
    """Of a file of HTML; what is kept is shown as it is kept."""
    (tmp_path / "a.html").write_text(PAGE)
    found = explain(config(tmp_path), str(tmp_path / "a.html"))
    assert found.lines[0] == ("Home", "end_mark")
    assert lines(found) == {
        "Home": "end_mark",
        "This is the first sentence here. Here comes the second one now.": KEPT,
        "And that is the third of them.": KEPT,
        "Read our privacy policy before you go on.": "policy",
        "See the licence": "end_mark",
    }
    assert found.rule == KEPT and found.why.startswith("language en ")
    assert found.page.more == {"robots": "noai", "license": "/cc"}


KEPT_TEXT = "This is the first sentence here. Here comes the second. And that is the third one."


@pytest.mark.parametrize(
    ("text", "rule", "why"),
    [
        (f"{KEPT_TEXT}\nIt has a {{ in it.\nAnd one more line of it.", "curly_bracket", '"{"'),
        ("Only one sentence is here.", "sentences", "fewer than 3"),
        (f"{KEPT_TEXT} A naughty word it is.", "bad_words", "'naughty word'"),
        (
            "Das ist ein Satz. Das ist noch ein Satz.\nUnd das ist der dritte.",
            "language",
            "language de ",
        ),
        ("x" * 190_001, "page_length", "190,000"),
    ],
)
def test_a_page_that_is_dropped_has_a_rule_too(text, rule, why, tmp_path):
    """With what it found."""
    (tmp_path / "a.txt").write_text(text)
    found = explain(config(tmp_path), str(tmp_path / "a.txt"))
    assert found.rule == rule and why in found.why
    assert "\n".join(line for line, _ in found.lines) == text
    if rule == "curly_bracket":
        assert [each for _, each in found.lines] == [KEPT, "curly_bracket", NOT_LOOKED_AT]
    for shown in (as_text(found).plain, as_page(found)):
        assert rule in shown and f"dropped by {rule}" in shown


def test_a_page_of_many_is_chosen_by_its_number(tmp_path, test_data_dir):
    """Of real archives; one that is not there is an error."""
    path = str(test_data_dir / "web/cc_net/sample.warc.txt")
    corpus = config(tmp_path)
    assert explain(corpus, path).rule == KEPT
    assert explain(corpus, path, 3).page.url == "http://sample_russian.ru"
    with pytest.raises(UserError, match="has 3 pages; given is --page=9"):
        explain(corpus, path, 9)
    with pytest.raises(UserError, match="neither WARC nor jsonl"):
        explain(corpus, str(test_data_dir / "web/warcio/bad.arc"))
    with pytest.raises(UserError, match="there is no such file"):
        explain(corpus, str(tmp_path / "none"))


def test_a_page_cannot_write_to_the_terminal_or_into_html(tmp_path):
    """What a stranger wrote is shown as text."""
    (tmp_path / "a.txt").write_text(f"\x1b[31m<script>alert(1)</script> [red]x[/red]\n{KEPT_TEXT}")
    found = explain(config(tmp_path), str(tmp_path / "a.txt"))
    assert "\x1b" not in as_text(found).plain and "[red]x[/red]" in as_text(found).plain
    assert "<script>" not in as_page(found) and "&lt;script&gt;" in as_page(found)


@pytest.fixture
def site(tmp_path):
    """The address of a server of files."""
    (tmp_path / "site").mkdir()
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path / "site")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_page_of_the_web_is_fetched(site, tmp_path, capfd):
    """And read as one of a file; what is no page is refused."""
    (tmp_path / "site/a.html").write_text(PAGE)
    (tmp_path / "site/a.bin").write_bytes(b"\0")
    found = explain(config(tmp_path), f"{site}/a.html")
    assert found.page.url == f"{site}/a.html" and lines(found)["Home"] == "end_mark"
    with pytest.raises(UserError, match="application/octet-stream"):
        fetched(f"{site}/a.bin")
    with pytest.raises(OSError, match="404"):
        fetched(f"{site}/none")
    with pytest.raises(UserError, match="needed is a file, or a URL"):
        fetched("ftp://a.org")
