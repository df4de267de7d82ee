"""The commands of corpora: flags -> a config, and their mistakes in one line."""

import json
import subprocess
import sys

import pytest

from t5x_lite import cli
from t5x_lite.corpus.config import CorpusConfig, Dedup, Detector, Wording

BUILD = ["corpus", "build", "--input=a", "--input=b*", "--output=out"]


@pytest.fixture
def built(monkeypatch):
    """(config, settings) of each call."""
    calls = []
    from t5x_lite.corpus import build, report

    monkeypatch.setattr(build, "build", lambda config, **how: calls.append((config, how)) or {})
    monkeypatch.setattr(report, "as_text", lambda made: "")
    return calls


def test_flags_are_the_config(built):
    """Each has its place."""
    flags = {
        "variant": "webtext",
        "rules": "paper",
        "dedup": "line",
        "without": "policy,citations",
        "bad_words": "words",
        "domains": "d",
        "urls": "u",
        "language": "de",
        "detector": "fasttext",
        "min_probability": "0.5",
        "punkt": "german",
        "field": "body",
        "workers": "3",
    }
    words = [*BUILD, *(f"--{name}={value}" for name, value in flags.items()), "--without=language"]
    assert cli.main(words) == 0
    assert built == [
        (
            CorpusConfig(
                inputs=("a", "b*"),
                output="out",
                variant="webtext",
                wording=Wording.PAPER,
                dedup=Dedup.LINE,
                without=("policy", "citations", "language"),
                language="de",
                detector=Detector.FASTTEXT,
                min_probability=0.5,
                bad_words="words",
                domains="d",
                urls="u",
                punkt="german",
                field="body",
            ),
            {"workers": 3},
        )
    ]
    cli.main(BUILD)
    assert built[1][0] == CorpusConfig(inputs=("a", "b*"), output="out")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["corpus"], "ACTION"),
        (["corpus", "bild"], "invalid choice: 'bild'"),
        (["corpus", "build"], "required: --input, --output"),
        ([*BUILD, "--worker=2"], "corpus build does not know --worker=2; did you mean --workers?"),
        ([*BUILD, "--workers=0"], "needed is a number from 1 to 1,024"),
        ([*BUILD, "--variant=c5"], "invalid choice: 'c5'"),
        (BUILD, "the rule bad_words needs --bad_words=FILE"),
        ([*BUILD, "--without=bad_words"], "--input=a: there is no such file"),
        ([*BUILD, "--without=badwords"], "no rule has this name"),
        ([*BUILD, "--bad_words=/none"], "/none"),
        ([*BUILD, "--without=bad_words", "--language=xx"], "langdetect knows af, ar"),
        ([*BUILD, "--without=bad_words", "--punkt=klingon"], "nltk's punkt_tab, or one of czech"),
        (["corpus", "build", "--input=gs://x", "--output=o", "--without=bad_words"], "local disks"),
    ],
)
def test_a_mistake_is_one_line(words, expected, error_of):
    assert expected in error_of(words)


def test_a_corpus_loads_neither_jax_nor_tensorflow(tmp_path):
    """Nor does the help; what a line of documents looks like."""
    text = "This is one sentence here. That is another one of them. And here is the last one."
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text, "url": "http://a.org"}))
    words = ["corpus", "build", "--input=a.jsonl", "--output=c", "--without=bad_words"]
    program = (
        "import sys; from t5x_lite import cli\n"
        "early = sys.modules.keys() & {'numpy', 'nltk', 'fastwarc', 'langdetect', 'zstandard'}\n"
        f"cli.main({[*words, '--workers=1']})\n"
        "print(sorted(early), sorted(sys.modules.keys() & {'jax', 'tensorflow', 'torch'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "[] []", done.stdout
    assert "read 1 pages" in done.stdout and "kept 1 documents" in done.stdout


def test_explain_prints_a_page_and_writes_it(tmp_path, capsys):
    """In colour only where there is a terminal."""
    (tmp_path / "a.txt").write_text("Home\nThis is a line of the page.")
    words = ["corpus", "explain", str(tmp_path / "a.txt"), "--without=bad_words,sentences"]
    assert cli.main([*words, "--without=language", f"--html={tmp_path}/a.html"]) == 0
    shown = capsys.readouterr().out
    assert "end_mark        Home\n" in shown and "kept            This is a line" in shown
    assert "kept, 1 of 2 lines" in shown and "\x1b" not in shown
    assert "end_mark" in (tmp_path / "a.html").read_text()
