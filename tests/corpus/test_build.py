"""A corpus is the release's, whoever builds it and however often they are killed."""

import collections
import contextlib
import gzip
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from t5x_lite.corpus import stages
from t5x_lite.corpus.build import build
from t5x_lite.corpus.config import CorpusConfig, Dedup, Wording
from t5x_lite.corpus.page import from_lines, num_bytes
from t5x_lite.errors import UserError

BAD_WORDS = ["killtest", "credit card"]


@pytest.fixture(scope="module")
def crawl(tmp_path_factory, wet_records, c4_pages):
    """Three files of C4 documents among crawled lines, with pages, lines and URLs that recur."""
    folder = tmp_path_factory.mktemp("crawl")
    pages = []
    for number, (url, text, timestamp) in enumerate(c4_pages[:120]):
        lines = ["Home", *text.split("\n"), "Please enable javascript to go on with this.", "Next"]
        if number % 5 == 0:
            lines += c4_pages[number + 1][1].split("\n")[:2]
        if number % 7 == 0:
            lines[1] = "This line is on many of the pages here."
        pages.append((url, from_lines("\n".join(lines)), timestamp))
    pages += [
        (f"{url}?utm_source=x", f"{text}\nIt is newer than that.", "2030")
        for url, text, _ in pages[:9]
    ]
    pages += [
        ("http://de.org/a", "Das ist ein Satz. Das ist noch ein Satz. Und das ist einer.", "2020")
    ]
    pages += [("http://e.org", "", "2020"), ("http://f.org", "x y z w v. " * 20_000, "2020")]
    for number in range(3):
        records = wet_records(pages[number::3])
        (folder / f"{number}.warc.wet.gz").write_bytes(b"".join(records))
    (folder / "bad_words").write_text("\n".join(BAD_WORDS))
    return folder


def config(crawl, output, **settings):
    settings = {"bad_words": str(crawl / "bad_words")} | settings
    return CorpusConfig(inputs=(f"{crawl}/*.wet.gz",), output=str(output), **settings)


def documents(output):
    """{split: documents}"""
    found = collections.defaultdict(list)
    for path in sorted(pathlib.Path(output).glob("*.jsonl.gz")):
        with gzip.open(path, "rt") as file:
            found[path.name.partition("-")[0]] += [json.loads(line) for line in file]
    return found


def content(output):
    return {path.name: path.read_bytes() for path in pathlib.Path(output).glob("*.jsonl.gz")}


@pytest.fixture(scope="module")
def built(crawl, tmp_path_factory):
    """(folder, report) in the default wording."""
    output = tmp_path_factory.mktemp("built") / "corpus"
    return output, build(config(crawl, output), workers=1)


def released(release, crawl):
    """{url: text} by c4_utils; its joins are made here, in place of Beam's."""
    utils = release.utils
    newest = {}
    for path in sorted(map(str, crawl.glob("*.wet.gz"))):
        for page in filter(utils.is_valid_length, utils.split_wet_file(path, release.count)):
            newest.setdefault(page.normalized_url, []).append(page)
    newest = [utils.select_newest_page(pages) for pages in newest.values()]
    clean = utils.get_clean_page_fn()
    pages = [kept for page in newest for kept in clean(page, counter_inc_fn=release.count)]
    of_line = collections.defaultdict(list)
    for page in pages:
        for line, url in utils._emit_url_to_lines(page):
            of_line[line].append(url)
    lines = collections.defaultdict(list)
    for line, found in of_line.items():
        lines[min(found, key=utils._hash_text)].append(line)
    once = [
        kept
        for page in pages
        for kept in utils._remove_lines_from_text(
            (page.url, {"pages": [page], "lines": lines[page.url]}), release.count, 3
        )
    ]
    english = [kept for page in once for kept in utils.detect_english(page)]
    is_clean = utils.get_badwords_filter_fn({"en": BAD_WORDS})
    return {page.url: page.text for page in english if is_clean(page)}


def test_a_corpus_by_lines_is_that_of_the_release(release, crawl, tmp_path):
    """Every page, by all rules in their order, and the split of each."""
    build(config(crawl, tmp_path / "corpus", dedup=Dedup.LINE), workers=1)
    theirs = released(release, crawl)
    ours = documents(tmp_path / "corpus")
    found = {each["url"]: each["text"] for split in ours.values() for each in split}
    assert found == theirs and len(found) > 80
    chosen = release.utils.get_hashed_url_filter_fn(lambda number: number % 1000 == 0)
    for split, pages in ours.items():
        assert all(
            chosen(release.page("", each["url"])) == (split == "validation") for each in pages
        )


def test_c4_s_own_documents_stay_and_keep_their_split(
    wet_records, c4_pages, test_data_dir, tmp_path
):
    """The fixed point: what was cleaned is not changed but for spans that recur."""
    (tmp_path / "a.gz").write_bytes(b"".join(wet_records(c4_pages)))
    settings = {"inputs": (str(tmp_path / "a.gz"),), "without": ("bad_words",)}
    report = build(CorpusConfig(output=str(tmp_path / "one"), **settings), workers=1)
    effective = {name for name, each in report["rules"].items() if each["bytes_dropped"]}
    assert effective <= {"duplicates", "blanks"}
    assert report["kept"]["pages"] == report["read"]["pages"] == len(c4_pages)
    assert report["kept"]["changed"] < 0.02 * len(c4_pages)
    # The sample's first files are of the training split.
    assert report["splits"] == {"train": len(c4_pages)}


@pytest.mark.parametrize("dedup", list(Dedup))
def test_building_twice_is_building_once(dedup, crawl, tmp_path):
    """A corpus that is read again is itself."""
    build(config(crawl, tmp_path / "one", dedup=dedup), workers=1)
    again = CorpusConfig(
        inputs=(f"{tmp_path}/one/*.jsonl.gz",),
        output=str(tmp_path / "two"),
        bad_words=str(crawl / "bad_words"),
        dedup=dedup,
    )
    build(again, workers=1)
    texts = [
        {
            each["id"]: each["text"]
            for split in documents(tmp_path / name).values()
            for each in split
        }
        for name in ("one", "two")
    ]
    assert texts[0] == texts[1]


def test_what_was_read_is_what_is_kept_and_dropped(built, crawl):
    """In pages and in bytes, to the last one."""
    output, report = built
    rules = report["rules"].values()
    dropped = sum(rule["pages_dropped"] for rule in rules)
    assert report["read"]["pages"] == report["kept"]["pages"] + dropped
    size = sum(rule["bytes_dropped"] for rule in rules)
    assert report["read"]["bytes"] == report["kept"]["bytes"] + size
    texts = [each["text"] for split in documents(output).values() for each in split]
    assert report["kept"]["bytes"] == sum(map(num_bytes, texts))
    assert report["kept"]["pages"] == len(texts) == sum(report["splits"].values())
    expected = {"no_content": 1, "page_length": 1, "one_page_per_url": 9, "language": 1}
    for name, count in expected.items():
        assert report["rules"][name]["pages_dropped"] == count, name
    assert report["rules"]["javascript"]["lines_dropped"] >= 100
    assert report["rules"]["duplicates"]["pages_changed"] > 10
    assert sum(report["languages_dropped"].values()) == 1


def test_the_report_is_a_page_too(built):
    output, _ = built
    page = (output / "report.html").read_text()
    assert "javascript" in page and "no . ? !" in page and "http" not in page.partition("<body>")[0]


def test_a_document_has_its_fields(crawl, tmp_path):
    """Those of the release, an id that stays, and what came with it."""
    rows = [{"text": "One.\nTwo.", "license": "CC0", "robots": "noai", "n": 3, "id": "mine"}]
    rows += [{"text": "Three.", "url": "http://a.org/?utm_x"}, {"text": "Four.", "url": None}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "book.txt").write_text("A book. It is short.")
    corpus = CorpusConfig(
        inputs=(str(tmp_path / "a.jsonl"), str(tmp_path / "*.txt")),
        output=str(tmp_path / "corpus"),
        variant="documents",
    )
    build(corpus, workers=1)
    found = documents(tmp_path / "corpus")["train"]
    assert found[0] == {**rows[0], "url": "", "timestamp": ""}
    assert [each["text"] for each in found[1:]] == ["Three.", "Four.", "A book. It is short."]
    assert len({each["id"] for each in found}) == 4 and found[3]["id"] == "book.txt"


NEWS = '{"a.org": ["", "news"], "b.org": true}'
LISTS = {
    "realnews": ("domains", NEWS, ["a.org", "news.a.org", "x.b.org"]),
    "webtext": ("urls", "https://www.a.org/\nhttp://en.wikipedia.org/wiki/A\n", ["a.org"]),
}


@pytest.mark.parametrize("variant", LISTS)
def test_variants_by_lists(variant, tmp_path):
    """The pages of a list, and of WebText none of Wikipedia's."""
    flag, listed, expected = LISTS[variant]
    hosts = ["a.org", "news.a.org", "games.a.org", "x.b.org", "c.org", "en.wikipedia.org/wiki/A"]
    rows = [
        {"url": f"http://{host}", "text": f"This is {host} here. And that is it. So it is now."}
        for host in hosts
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "list").write_text(listed)
    corpus = CorpusConfig(
        inputs=(str(tmp_path / "a.jsonl"),),
        output=str(tmp_path / "corpus"),
        variant=variant,
        without=("bad_words", "language"),
        **{flag: str(tmp_path / "list")},
    )
    report = build(corpus, workers=1)
    found = [each["url"] for split in documents(tmp_path / "corpus").values() for each in split]
    assert found == [f"http://{host}" for host in expected]
    assert report["read"]["pages"] == 6


def test_the_paper_s_wording_is_another_corpus(built, crawl, tmp_path):
    report = build(config(crawl, tmp_path / "corpus", wording=Wording.PAPER), workers=1)
    assert "one_page_per_url" not in report["rules"]
    assert report["kept"]["bytes"] != built[1]["kept"]["bytes"]


@pytest.mark.parametrize("workers", [2, 4])
def test_the_number_of_workers_changes_no_byte(workers, built, crawl, tmp_path):
    build(config(crawl, tmp_path / "corpus"), workers=workers)
    assert content(tmp_path / "corpus") == content(built[0])


def command(crawl, output, *more):
    words = ["corpus", "build", f"--input={crawl}/*.wet.gz", f"--bad_words={crawl}/bad_words"]
    return [sys.executable, "-m", "t5x_lite", *words, f"--output={output}", *more]


@pytest.mark.parametrize("kills", [2, pytest.param(25, marks=pytest.mark.slow)])
def test_kills_change_no_byte(kills, built, crawl, tmp_path):
    """Of the whole group of processes, at any moment; what was done is not done again."""
    output = tmp_path / "corpus"
    words, killed = command(crawl, output, "--workers=2"), 0
    for number in range(20 * kills):
        running = subprocess.Popen(
            words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        try:
            # Sometimes before it begins, sometimes when it is almost done.
            running.wait(timeout=0.3 + 0.37 * (number % 11))
        except subprocess.TimeoutExpired:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
            killed += 1
        if killed == kills:
            break
        if (output / "report.json").exists():
            assert content(output) == content(built[0])
            for path in output.iterdir():
                path.unlink()
    assert killed == kills
    subprocess.run(words, check=True, capture_output=True)
    assert content(output) == content(built[0])
    assert sorted(path.name for path in output.iterdir() if path.suffix != ".gz") == [
        "report.html",
        "report.json",
    ]


def test_workers_end_with_their_parent(crawl, tmp_path):
    """Killed alone, it leaves none behind that waits for ever or goes on writing."""
    words = command(crawl, tmp_path / "corpus", "--workers=2")
    running = subprocess.Popen(
        words, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )

    def others():
        found = []
        for path in pathlib.Path("/proc").glob("[0-9]*/stat"):
            with contextlib.suppress(OSError):  # it has just ended
                # Behind the name, which may hold anything: state, parent, group, session.
                session = path.read_text().rpartition(")")[2].split()[3]
                found += [path.parent.name] * (session == str(running.pid))
        return set(found) - {str(running.pid)}

    until = time.monotonic() + 60
    while len(others()) < 3 and running.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    running.kill()
    running.wait()
    while others() and time.monotonic() < until + 30:
        time.sleep(0.1)
    assert not others()


def test_a_killed_worker_is_an_error_and_the_next_run_goes_on(built, crawl, tmp_path, monkeypatch):
    """Not a wait for ever."""
    corpus = config(crawl, tmp_path / "corpus")
    bad_part = "1.warc.wet.gz"
    program = (
        "import os, signal, sys; from t5x_lite.corpus import readers; from t5x_lite import cli;"
        "import t5x_lite.corpus.stages as stages; whole = stages.clean\n"
        "def clean(plan, part):\n"
        "    if plan.inputs[part].endswith('"
        + bad_part
        + "'): os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return whole(plan, part)\n"
        "stages.clean = clean\n"
        "if __name__ == '__main__': sys.exit(cli.main())\n"
    )
    (tmp_path / "program.py").write_text(program)
    words = [sys.executable, str(tmp_path / "program.py"), *command(crawl, corpus.output)[3:]]
    started = time.monotonic()
    done = subprocess.run([*words, "--workers=2"], capture_output=True, text=True, check=False)
    assert done.returncode == 2 and "a worker was killed" in done.stderr, done.stderr
    assert time.monotonic() - started < 120 and not list((tmp_path / "corpus").glob("*.gz"))
    again = []
    whole = stages.clean
    monkeypatch.setattr(stages, "clean", lambda plan, part: again.append(part) or whole(plan, part))
    build(corpus, workers=1)
    assert 1 in again and content(corpus.output) == content(built[0])


PEAK = """
import pathlib, sys
from t5x_lite.corpus import plan
from t5x_lite.corpus.build import build
from t5x_lite.corpus.config import CorpusConfig
plan._BYTES_A_BUCKET = 1 << 20  # so that there are as many as of a crawl
inputs, output = sys.argv[1:]
build(CorpusConfig((inputs,), output, without=("bad_words", "language")), workers=1)
print(int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]))
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_input(wet_records, c4_pages, tmp_path):
    """Eight times as many files, each of other pages, take as much of it as one. Languages are left
    out: what they remember of words has an end, which so little text does not reach.
    """
    peaks = []
    for number in range(8):
        pages = [
            (f"{url}/{number}/{copy}", text.replace(" the ", f" the {number}x{copy} "), timestamp)
            for copy in range(3)
            for url, text, timestamp in c4_pages
        ]
        (tmp_path / f"{number}.gz").write_bytes(b"".join(wet_records(pages)))
    for name in ("0.gz", "*.gz"):
        words = [sys.executable, "-c", PEAK, str(tmp_path / name), str(tmp_path / f"c{len(peaks)}")]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] < 1.1 * peaks[0], peaks


def test_another_corpus_is_never_overwritten(built, crawl, tmp_path):
    """Nor is a folder with anything else; the same one is there at once."""
    output, report = built
    assert build(config(crawl, output), workers=1)["kept"] == report["kept"]
    with pytest.raises(UserError, match="dedup span, here line"):
        build(config(crawl, output, dedup=Dedup.LINE), workers=1)
    with pytest.raises(
        UserError, match="has a corpus of other settings: without none, here javascript"
    ):
        build(config(crawl, output, without=("javascript",)), workers=1)
    (tmp_path / "mine").write_text("x")
    with pytest.raises(UserError, match=r"is not empty \(mine"):
        build(config(crawl, tmp_path), workers=1)
    with pytest.raises(UserError, match="there is no such file"):
        build(
            CorpusConfig((f"{tmp_path}/none*",), f"{tmp_path}/c", without=("bad_words",)), workers=1
        )


def test_damage_is_in_the_report(crawl, tmp_path):
    """With its file and offset."""
    whole = (crawl / "0.warc.wet.gz").read_bytes()
    middle = len(whole) // 2
    broken = whole[:middle] + bytes(50) + whole[middle + 50 :]
    (tmp_path / "a.gz").write_bytes(broken)
    corpus = CorpusConfig((f"{tmp_path}/a.gz",), f"{tmp_path}/c", without=("bad_words",))
    report = build(corpus, workers=1)
    assert (
        report["damaged"]["count"] == 1
        and f"{tmp_path}/a.gz, byte " in report["damaged"]["first"][0]
    )
    assert 35 < report["read"]["pages"] < 44
