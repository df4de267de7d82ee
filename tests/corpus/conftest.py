"""The release's own code, and the pages that rules are tried on."""

import collections
import gzip
import struct

import pytest

from t5x_lite.corpus.page import from_lines
from t5x_lite.corpus.sentences import parameters_of


class Release:
    """c4_utils with our counters in place of Beam's, and our Punkt in place of a download."""

    def __init__(self, module):
        self.utils = module
        self.counts = collections.Counter()

    def count(self, name, amount=1):
        self.counts[name] += amount

    def page(self, text, url="http://example.org/a", timestamp="2024-01-01T00:00:00Z"):
        normalized = self.utils.normalize_url(url)
        return self.utils.PageFeatures(
            url=url, normalized_url=normalized, text=text, timestamp=timestamp
        )


@pytest.fixture
def release(monkeypatch):
    """Beam is not installed: nothing but the counters of these functions asks for it. Sentences are
    nltk's own, by the model that we have.
    """
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from tensorflow_datasets.text import c4_utils

    found = Release(c4_utils)
    monkeypatch.setattr(
        c4_utils, "_SENTENCE_TOKENIZER", PunktSentenceTokenizer(parameters_of("english"))
    )
    monkeypatch.setattr(c4_utils, "get_counter_inc_fn", lambda namespace: found.count)
    return found


# One page for each rule, and for orders of rules that matter.
SENTENCES = "This is the first sentence here. Here comes the second one now. And this is the third."
_MADE_PAGES = [
    "",
    SENTENCES,
    f"{SENTENCES}\nHome\nAbout us and all of our friends",
    f"{SENTENCES}\nfour words are few.\nfive words are just enough.",
    f"{SENTENCES}\nThere is no end of this line...\nIs this the end of it all?",
    f"{SENTENCES}\nThis line is nothing but Lorem Ipsum dolor sit amet.",
    f"{SENTENCES}\nlorem ipsum dolor sit amet without an end",
    f"{SENTENCES}\nPlease enable JavaScript to see all of it.",
    f"{SENTENCES}\njavascript and {{ on one and the same line.",
    f"{SENTENCES}\nA line with a bracket {{ as code has it.",
    f"{SENTENCES}\nA bracket {{ without an end",
    f"{SENTENCES}\nRead our Privacy Policy before you go on.",
    f"{SENTENCES}\nAs was shown[1] by others [citation needed] before us[12].[edit]",
    f"{SENTENCES}\n[3] As was shown by others before. [1]",
    f"{SENTENCES}\nOne word is {'x' * 1001} and so it goes.\nOne is {'y' * 1000} and so it stays.",
    f'{SENTENCES}\nShe said "it is all right now"\nHe said “it is all right now”',
    "Mr. Smith of the U.S. went to Washington. He came back from there.",
    "Mr. Smith of the U.S. went to Washington.\nHe came back from there.\nWhat a day it was!",
    "WARC/1.0 is the name of a format.\nContent-Type is the name of a header.\n" + SENTENCES,
    "Zwölf Boxkämpfer jagen Viktor quer über den Sylter Deich. Das tun sie!\nUnd jeden Tag.",
    f"{SENTENCES}\x0bAnother line begins behind a vertical tab.\x85And one more behind that one.",
    f"{SENTENCES}\n\u2028\u2029 A line between separators of lines. \u3000",
    "word " * 50_000,
]


@pytest.fixture(scope="session")
def made_pages():
    """The last one is only long."""
    return _MADE_PAGES


def _records(path):
    data, start = path.read_bytes(), 0
    while start < len(data):
        (length,) = struct.unpack("<Q", data[start : start + 8])
        yield data[start + 12 : start + 12 + length]
        start += 16 + length


_FIELDS = ("url", "text", "timestamp")


@pytest.fixture(scope="session")
def c4_pages(test_data_dir):
    """(url, text, timestamp) of the first documents of C4 in the sample."""
    from tensorflow.core.example import example_pb2

    found = []
    folder = test_data_dir / "c4/tfds/c4/en/3.1.0"
    for path in sorted(folder.glob("*.tfrecord*"))[:4]:
        for record in _records(path):
            features = example_pb2.Example.FromString(record).features.feature
            found.append(tuple(features[name].bytes_list.value[0].decode() for name in _FIELDS))
    return found


@pytest.fixture(scope="session")
def real_pages(test_data_dir, c4_pages):
    """Texts of C4 documents and of pages as they were crawled."""
    wet = gzip.decompress((test_data_dir / "web/whirlwind/whirlwind.warc.wet.gz").read_bytes())
    crawled = (test_data_dir / "web/cc_net/sample.warc.txt").read_text()
    texts = [text for _, text, _ in c4_pages[:300]]
    return [from_lines(text) for text in (*texts, wet.decode(), crawled)]


def _record(kind, headers, content):
    lines = ["WARC/1.0", f"WARC-Type: {kind}", *headers, f"Content-Length: {len(content)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content + b"\r\n\r\n"


@pytest.fixture(scope="session")
def wet_records():
    """(url, text, timestamp)s -> the records of a WET file, each a member of gzip."""

    def records(pages, *, compress=True):
        found = [
            _record("warcinfo", ["Content-Type: application/warc-fields"], b"robots: none\r\n")
        ]
        for url, text, timestamp in pages:
            headers = [f"WARC-Target-URI: {url}", f"WARC-Date: {timestamp}"]
            headers.append("Content-Type: text/plain")
            found.append(_record("conversion", headers, text.encode()))
        return [gzip.compress(each, 1, mtime=0) if compress else each for each in found]

    return records
