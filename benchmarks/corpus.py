"""Building a corpus beside c4_utils: pages a second on one core, and whether texts are the same.

    python -m benchmarks.corpus --c4=../shared/data/c4/tfds/c4/en/3.1.0 --megabytes=20
    python -m benchmarks.corpus --c4=... --megabytes=200 --output=build/corpus

Pages are C4's documents as WET files, repeated and mutated up to the size: words swapped, marks and
lines lost, lines of other documents and of menus put in. Both sides clean them with --dedup=line in
one process each, one after the other; what is counted are seconds of the processor, without the
import of libraries. c4_utils runs its own functions, its joins made in memory in place of Beam,
which costs it nothing.
"""

import argparse
import collections
import gzip
import json
import pathlib
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

_MENU = (
    "Home",
    "About us",
    "Contact",
    "Log in",
    "Next page",
    "Share this",
    "Posted in News",
    "1 2 3",
)
_LOST = (
    "Please enable javascript to see this page as it is meant.",
    "By using this site you agree to our terms of use.",
    "Read more about it in our next story...",
)
_BAD_WORDS = ("casino", "credit card")
_PAGES_A_FILE = 4000
_ARMS = ("c4_utils", "line", "span", "fasttext")


def documents(folder: pathlib.Path) -> list[str]:
    """The texts of TFDS's files of C4."""
    import struct

    from tensorflow.core.example import example_pb2

    found = []
    for path in sorted(folder.glob("*.tfrecord*")):
        data, start = path.read_bytes(), 0
        while start < len(data):
            (length,) = struct.unpack("<Q", data[start : start + 8])
            example = example_pb2.Example.FromString(data[start + 12 : start + 12 + length])
            found.append(example.features.feature["text"].bytes_list.value[0].decode())
            start += 16 + length
    return found


def mutated(texts: Sequence[str], generator: random.Random) -> str:
    """One document among what stands around documents."""
    lines = generator.choices(_MENU, k=generator.randrange(20))
    for line in generator.choice(texts).split("\n"):
        words = line.split(" ")
        for _ in range(generator.randrange(4)):
            first, second = generator.randrange(len(words)), generator.randrange(len(words))
            words[first], words[second] = words[second], words[first]
        line = " ".join(words)
        lines.append(line[:-1] if generator.random() < 0.1 else line)
        if generator.random() < 0.1:
            lines.append(generator.choice(_LOST))
    if generator.random() < 0.3:
        lines += generator.choice(texts).split("\n")[:2]
    if generator.random() < 0.02:
        lines.append("A line of code such as { x } is here.")
    return "\n".join([*lines, *generator.choices(_MENU, k=generator.randrange(20))])


def write_pages(texts: Sequence[str], folder: pathlib.Path, num_bytes: int) -> int:
    """Writes WET files of so many bytes of text; the number of pages."""
    generator, size, count = random.Random(0), 0, 0
    folder.mkdir(parents=True)
    while size < num_bytes:
        with open(folder / f"{count // _PAGES_A_FILE:04d}.warc.wet.gz", "wb") as file:
            for _ in range(_PAGES_A_FILE):
                content = mutated(texts, generator).encode()
                number = generator.randrange(20 * count + 9)  # now and then one that was there
                url = f"http://site{number % 999}.org/{number}"
                head = f"WARC/1.0\r\nWARC-Type: conversion\r\nWARC-Target-URI: {url}\r\nWARC-Date: "
                head += f"2024-05-18T{count % 86400:06d}Z\r\nContent-Length: {len(content)}\r\n\r\n"
                file.write(gzip.compress(head.encode() + content + b"\r\n\r\n", 6, mtime=0))
                size, count = size + len(content), count + 1
                if size >= num_bytes:
                    break
    return count


def with_c4_utils(folder: pathlib.Path) -> Callable[[], dict[str, str]]:
    """{url: text} by the release's functions."""
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from tensorflow_datasets.text import c4_utils

    from t5x_lite.corpus.sentences import parameters_of

    c4_utils._SENTENCE_TOKENIZER = PunktSentenceTokenizer(parameters_of("english"))
    counts: collections.Counter[str] = collections.Counter()
    count = lambda name, amount=1: counts.update({name: amount})  # noqa: E731
    c4_utils.get_counter_inc_fn = lambda namespace: count
    is_clean = c4_utils.get_badwords_filter_fn({"en": _BAD_WORDS})
    list(c4_utils.detect_english(c4_utils.PageFeatures(text="Profiles are read once.")))

    def clean() -> dict[str, str]:
        of_url = collections.defaultdict(list)
        for path in sorted(folder.glob("*.gz")):
            for page in filter(c4_utils.is_valid_length, c4_utils.split_wet_file(str(path), count)):
                of_url[page.normalized_url].append(page)
        cleaner = c4_utils.get_clean_page_fn()
        newest = map(c4_utils.select_newest_page, of_url.values())
        pages = [kept for page in newest for kept in cleaner(page, counter_inc_fn=count)]
        of_line: dict[str, tuple[str, str]] = {}
        for page in pages:
            for line, url in c4_utils._emit_url_to_lines(page):
                found = (c4_utils._hash_text(url), url)
                of_line[line] = min(of_line.get(line, found), found)
        lines = collections.defaultdict(list)
        for line, (_, url) in of_line.items():
            lines[url].append(line)
        kept = {}
        for page in pages:
            joined = (page.url, {"pages": [page], "lines": lines[page.url]})
            for once in c4_utils._remove_lines_from_text(joined, count, 3):
                for each in filter(is_clean, c4_utils.detect_english(once)):
                    kept[each.url] = each.text
        return kept

    return clean


def with_ours(folder: pathlib.Path, arm: str) -> Callable[[], dict[str, str]]:
    """{url: text} by `corpus build` in one process."""
    from t5x_lite.corpus import stages  # noqa: F401
    from t5x_lite.corpus.build import build
    from t5x_lite.corpus.config import CorpusConfig, Dedup, Detector
    from t5x_lite.corpus.language import detector
    from t5x_lite.corpus.sentences import punkt

    words = folder.parent / "bad_words"
    words.write_text("\n".join(_BAD_WORDS))
    output = folder.parent / arm
    config = CorpusConfig(
        inputs=(f"{folder}/*.gz",),
        output=str(output),
        bad_words=str(words),
        dedup=Dedup.SPAN if arm == "span" else Dedup.LINE,
        detector=Detector.FASTTEXT if arm == "fasttext" else Detector.LANGDETECT,
    )
    punkt("english")
    detector(config.detector).best("Profiles are read once.")

    def clean() -> dict[str, str]:
        build(config, workers=1)
        return {}

    return clean


def texts_of(output: pathlib.Path) -> Iterator[tuple[str, str]]:
    """(url, text) of the documents of a corpus."""
    for path in sorted(output.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for line in file:
                document = json.loads(line)
                yield document["url"], document["text"]


def measure(arm: str, folder: pathlib.Path) -> None:
    """In a process of its own: prints seconds, megabytes and a hash of the texts."""
    import hashlib

    clean = with_c4_utils(folder) if arm == "c4_utils" else with_ours(folder, arm)
    before = peak_megabytes()
    began = time.process_time()
    kept = clean()
    seconds = time.process_time() - began
    peak = peak_megabytes()
    found = sorted(kept.items() if arm == "c4_utils" else texts_of(folder.parent / arm))
    digest = hashlib.sha256(json.dumps(found).encode()).hexdigest()
    size = {"megabytes": peak, "megabytes_before": before}
    print(json.dumps({"arm": arm, "seconds": seconds, "kept": len(found), "hash": digest} | size))


def peak_megabytes() -> int:
    """Of this process; Linux alone tells it without that of the one that started it."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1000


def main() -> None:
    """Writes pages, measures all arms, prints a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.corpus")
    parser.add_argument("--c4", type=pathlib.Path, required=True, metavar="DIR")
    parser.add_argument("--megabytes", type=int, default=20)
    parser.add_argument("--output", type=pathlib.Path, default=pathlib.Path("build/corpus"))
    parser.add_argument("--arm", choices=_ARMS, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    folder = asked.output / f"{asked.megabytes}" / "pages"
    if asked.arm:
        measure(asked.arm, folder)
        return
    count = write_pages(documents(asked.c4), folder, asked.megabytes * 10**6)
    found: dict[str, dict[str, Any]] = {}
    for arm in _ARMS:
        words = [sys.executable, "-m", "benchmarks.corpus", f"--c4={asked.c4}", f"--arm={arm}"]
        words += [f"--megabytes={asked.megabytes}", f"--output={asked.output}"]
        done = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True)
        found[arm] = json.loads(done.stdout.splitlines()[-1])
        rate = count / found[arm]["seconds"]
        times = found["c4_utils"]["seconds"] / found[arm]["seconds"]
        print(
            f"{arm:9} {count:,} pages, {found[arm]['kept']:,} kept  {rate:8.1f} pages/s a core"
            f"  {times:5.2f} x  {found[arm]['megabytes']:,} MB"
            f" ({found[arm]['megabytes_before']:,} before)",
            flush=True,
        )
    same = found["c4_utils"]["hash"] == found["line"]["hash"]
    print(f"texts of c4_utils and line: {'the same' if same else 'NOT the same'}")


if __name__ == "__main__":
    main()
