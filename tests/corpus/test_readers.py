"""Files are read to their ends; what is damaged is told of, and the rest is there."""

import gzip
import json

import pytest
import zstandard

from t5x_lite.corpus.html import html_fields
from t5x_lite.corpus.page import Page
from t5x_lite.corpus.readers import pages
from t5x_lite.corpus.warc import Damage
from t5x_lite.errors import UserError

PAGES = [
    (
        f"http://example.org/{number}",
        f"Page {number}.\nIt has lines of its own.",
        f"2024-01-0{number}",
    )
    for number in range(1, 7)
]


def read(path, **settings):
    """(pages, what is damaged)"""
    found = list(pages(str(path), **settings))
    good = [each for each in found if isinstance(each, Page)]
    return good, [each for each in found if isinstance(each, Damage)]


def test_a_wet_file_has_the_pages_of_the_release(release, wet_records, c4_pages, tmp_path):
    """Addresses, dates and lines; those that the release takes for headers go by a rule here."""
    made = [
        *c4_pages[:50],
        ("https://www.example.org/?utm_x", " a \r\n\r\nWARC-like line.\nb\x0bc\r", "2024"),
    ]
    path = tmp_path / "a.warc.wet.gz"
    path.write_bytes(b"".join(wet_records(made)))
    theirs = list(release.utils.split_wet_file(str(path), release.count))
    ours, damage = read(path)
    assert not damage and len(ours) == 51
    for mine, page in zip(ours, theirs, strict=True):
        lines = [line for line in mine.text.split("\n") if not line.startswith("WARC")]
        assert (mine.url, mine.timestamp, mine.key) == (
            page.url,
            page.timestamp,
            page.normalized_url,
        )
        assert "\n".join(lines) == page.text


@pytest.mark.parametrize("name", ["plain", "gzip", "whole", "zstd"])
def test_a_compression_is_known_by_its_first_bytes(name, wet_records, tmp_path):
    plain = b"".join(wet_records(PAGES, compress=False))
    path = tmp_path / "any_name"
    path.write_bytes(
        {
            "plain": plain,
            "gzip": b"".join(wet_records(PAGES)),
            "whole": gzip.compress(plain),
            "zstd": zstandard.ZstdCompressor().compress(plain),
        }[name]
    )
    good, damage = read(path)
    assert [page.url for page in good] == [url for url, _, _ in PAGES] and not damage


def damaged(records, how):
    """The bytes of a file whose fourth record is damaged, and where that is told of."""
    before, bad, after = records[:3], records[3], records[4:]
    start = len(b"".join(before))
    middle = len(bad) // 2
    broken = {
        "flipped": bad[:middle] + bytes([bad[middle] ^ 0xFF]) + bad[middle + 1 :],
        "zeros": bad[: middle - 20] + bytes(40) + bad[middle + 20 :],
        "lost": bad[middle:],
        "garbage": b"garbage" + bad,
    }[how]
    return b"".join([*before, broken, *after]), start


@pytest.mark.parametrize("how", ["flipped", "zeros", "lost", "garbage"])
def test_pages_behind_damage_are_read(how, wet_records, tmp_path):
    """One page is missing at most, and the offset is its."""
    content, start = damaged(wet_records(PAGES), how)
    path = tmp_path / "a.gz"
    path.write_bytes(content)
    good, (damage,) = read(path)
    missing = {url for url, _, _ in PAGES} - {page.url for page in good}
    assert missing == (set() if how == "garbage" else {PAGES[2][0]})
    assert start <= damage.offset <= start + len(wet_records(PAGES)[3])


@pytest.mark.parametrize("compress", [True, False])
def test_a_file_that_was_cut_off_has_its_whole_pages(compress, wet_records, tmp_path):
    """Wherever it was; each page is read or told of."""
    records = wet_records(PAGES, compress=compress)
    content = b"".join(records)
    ends = [len(b"".join(records[: number + 1])) for number in range(len(records))]
    path = tmp_path / "a"
    for size in range(20, len(content), 61):
        path.write_bytes(content[:size])
        good, damage = read(path)
        whole = sum(end <= size for end in ends[1:])
        # The blank lines behind a record may be missing.
        assert len(good) in (whole, whole + 1), size
        assert len(damage) <= 1
        assert damage or len(good) > whole or size - ends[max(len(good), 0)] < 20, size


REAL = {
    "warcio/example.warc": 1,
    "warcio/example.warc.gz": 1,
    "warcio/example-trunc.warc": 1,
    "warcio/example-iana.org-chunked.warc": 1,
    "warcio/example-wrong-chunks.warc.gz": 1,
    "warcio/example-bad-non-chunked.warc.gz": 1,
    "warcio/example-resource.warc.gz": 1,
    "warcio/post-test.warc.gz": 0,
    "warcio/example.arc": 0,
    "warcio/bad.arc": 0,
    "resiliparse/clueweb-quirk.warc.gz": 29,
    "resiliparse/warcfile.warc.gz": 16,
    "resiliparse/warcfile.warc": 16,
    "whirlwind/whirlwind.warc.gz": 1,
    "whirlwind/whirlwind.warc.wet.gz": 1,
    "whirlwind/whirlwind.warc.wat.gz": 0,
    "cc_net/sample.warc.txt": 3,
}
DAMAGED = {
    "warcio/example-trunc.warc": ["digest", "Invalid WARC header"],
    "warcio/example-wrong-chunks.warc.gz": ["digest"],
    "warcio/example.arc": ["neither WARC nor jsonl"],
    "warcio/bad.arc": ["neither WARC nor jsonl"],
}


@pytest.mark.parametrize("name", REAL)
def test_real_archives(name, test_data_dir):
    """Chunked, compressed, with wrong lengths and digests, of 2009, edited, and no WARC."""
    good, damage = read(test_data_dir / "web" / name)
    assert len(good) == REAL[name]
    assert len(damage) == len(DAMAGED.get(name, []))
    for each, words in zip(damage, DAMAGED.get(name, []), strict=True):
        assert words in str(each) and name in str(each)
    for page in good:
        assert "<html" not in page.text and page.timestamp and len(page.text) > 20


def test_text_of_html_is_that_of_the_crawl(test_data_dir):
    """Most lines of Common Crawl's WET of a page are those that are made of its WARC; the page's
    license comes along.
    """
    folder = test_data_dir / "web/whirlwind"
    (ours,), _ = read(folder / "whirlwind.warc.gz")
    (theirs,), _ = read(folder / "whirlwind.warc.wet.gz")
    mine, wanted = set(ours.text.split()), set(theirs.text.split())
    assert len(mine & wanted) > 0.9 * len(wanted)
    assert ours.more["license"] == "https://creativecommons.org/licenses/by-sa/4.0/deed.an"
    assert ours.more["robots"] == "max-image-preview:standard"


def test_what_a_page_says_to_robots():
    html = '<head><meta content="noindex, noai" name="robots"><a rel="nofollow license" href=/cc>'
    assert html_fields(html) == {"robots": "noindex, noai", "license": "/cc"}


ROWS = [
    json.dumps({"text": " a \n b", "url": "http://a.org", "license": "CC0", "id": 7}).encode(),
    b"{",
    b'{"text": 1}',
    b"\xff{}",
    b"",
    b"[1]",
    b'{"text": "\\ud800"}',
    json.dumps({"text": "c", "id": "mine"}).encode(),
]


@pytest.mark.parametrize("compress", [bytes, gzip.compress, zstandard.ZstdCompressor().compress])
def test_rows_of_jsonl(compress, tmp_path):
    """Bad ones by their lines; other fields come along."""
    path = tmp_path / "rows"
    path.write_bytes(compress(b"\xef\xbb\xbf" + b"\n".join(ROWS)))
    good, damage = read(path)
    assert good == [
        Page("a\nb", url="http://a.org", id="7", more={"license": "CC0"}),
        Page("c", id="mine"),
    ]
    assert [each.offset for each in damage] == [2, 3, 4, 6, 7]
    assert "line 4: byte 0xff is no UTF-8" in str(damage[2])


def test_rows_without_the_field_are_an_error(tmp_path):
    """Its names are told."""
    path = tmp_path / "rows"
    path.write_text('{"content": "x", "b": 1}\n')
    with pytest.raises(UserError, match="the first has content, b. --field=NAME"):
        read(path)
    assert read(path, field="content")[0][0].text == "x"


def test_a_cut_off_compressed_file_has_its_first_rows(tmp_path):
    row = json.dumps({"text": "word " * 1000}) + "\n"
    for name, content in {
        "a.gz": gzip.compress(row.encode() * 500, 0),
        "a.zst": zstandard.ZstdCompressor().compress(row.encode() * 500),
    }.items():
        (tmp_path / name).write_bytes(content[: len(content) * 2 // 3])
        good, damage = read(tmp_path / name)
        assert len(damage) == 1, name
        assert 0 < len(good) < 500 or name == "a.zst"


def test_a_text_is_a_document(tmp_path):
    (tmp_path / "book.txt").write_text("A line.\n\n Another line.\n")
    assert read(tmp_path / "book.txt") == ([Page("A line.\nAnother line.", id="book.txt")], [])
    (tmp_path / "empty").write_text("")
    assert read(tmp_path / "empty") == ([], [])
