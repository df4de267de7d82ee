"""Short invented files in the layouts in which the data sets are published."""

import gzip
import json

import pytest

NLI = [{"premise": "It rains.", "hypothesis": "It is wet.", "label": "entailment", "idx": 3}]
CELLS = {
    "CoLA/train.tsv": [["gj04", "1", "", "It rains."], ["gj04", "0", "*", "Rains it."]],
    "CoLA/test.tsv": [["index", "sentence"], ["0", "It rains."]],
    "SST-2/train.tsv": [["sentence", "label"], ["a fine film ", "1"], ['"dull', "0"]],
    "SST-2/test.tsv": [["index", "sentence"], ["0", "a fine film"]],
    "MRPC/msr_paraphrase_train.txt": [
        ["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
        ["1", "11", "12", 'He said " it rains " .', "It rains , he said ."],
        ["0", "21", "22", "It rains .", "It snows ."],
    ],
    "MRPC/msr_paraphrase_test.txt": [
        ["\ufeffQuality", "#1 ID", "#2 ID", "#1 String", "#2 String"],
        ["1", "31", "32", "It rains .", "It is raining ."],
    ],
    "MRPC/dev_ids.tsv": [["21", "22"]],
    "QQP/train.tsv": [
        ["id", "qid1", "qid2", "question1", "question2", "is_duplicate"],
        ["5", "1", "2", "Does it rain?", "Is it raining?", "1"],
        ["6", "3", "4", "This question"],
        ["is on two lines?", "Why?", "0"],
        ["7", "5", "6", "Why?", "When?", "0"],
    ],
    "QQP/test.tsv": [["id", "question1", "question2"], ["0", "Why?", "When?"]],
    "STS-B/train.tsv": [
        ["index", "genre", "sentence1", "sentence2", "score"],
        ["0", "news", "It rains.", "It is wet.", "3.250"],
    ],
    "STS-B/test.tsv": [["index", "sentence1", "sentence2"], ["0", "It rains.", "It is wet."]],
    "MNLI/train.tsv": [
        ["index", "sentence1", "sentence2", "label1", "gold_label"],
        ["0", "It rains.", "It is wet.", "neutral", "entailment"],
    ],
    "MNLI/dev_matched.tsv": [
        ["index", "sentence1", "sentence2", "label1", "gold_label"],
        ["0", "It rains.", "It snows.", "neutral", "contradiction"],
    ],
    "MNLI/dev_mismatched.tsv": [
        ["index", "sentence1", "sentence2", "label1", "gold_label"],
        ["0", "It rains.", "I sleep.", "neutral", "neutral"],
    ],
    "MNLI/test_mismatched.tsv": [["index", "sentence1", "sentence2"], ["0", "It rains.", "Oh."]],
    "QNLI/dev.tsv": [
        ["index", "question", "sentence", "label"],
        ["0", "Is it wet?", "It rains.", "not_entailment"],
    ],
    "RTE/train.tsv": [
        ["index", "sentence1", "sentence2", "label"],
        ["0", "It rains.", "It is wet.", "entailment"],
    ],
    "WNLI/dev.tsv": [
        ["index", "sentence1", "sentence2", "label"],
        ["0", "The fish ate the worm. It was tasty.", "The worm was tasty.", "1"],
    ],
    "diagnostic/diagnostic.tsv": [["index", "sentence1", "sentence2"], ["0", "It rains.", "Wet."]],
}
OBJECTS = {
    "BoolQ/train.jsonl": [
        {"question": "is it wet", "passage": "It rains.", "idx": 3, "label": True},
        {"question": "does it snow", "passage": "It rains\u2028.", "idx": 4, "label": False},
    ],
    "BoolQ/test.jsonl": [{"question": "is it wet", "passage": "It rains.", "idx": 3}],
    "CB/train.jsonl": [{**NLI[0], "label": "neutral"}],
    "COPA/train.jsonl": [
        {
            "premise": "It is wet.",
            "choice1": "I slept.",
            "choice2": "It rained.",
            "question": "cause",
            "label": 1,
            "idx": 0,
        }
    ],
    "MultiRC/train.jsonl": [
        {
            "idx": 6,
            "version": 1.1,
            "passage": {
                "text": "It rained.",
                "questions": [
                    {
                        "question": "Was it wet?",
                        "idx": 56,
                        "answers": [
                            {"text": "Yes", "idx": 331, "label": 1},
                            {"text": "No", "idx": 332, "label": 0},
                            {"text": "Perhaps", "idx": 333},
                        ],
                    }
                ],
            },
        }
    ],
    "ReCoRD/train.jsonl": [
        {
            "idx": 8,
            "source": "none",
            "passage": {
                "text": "Bob met Ann.",
                "entities": [{"start": 8, "end": 10}, {"start": 0, "end": 2}],
            },
            "qas": [
                {
                    "idx": 9,
                    "query": "@placeholder met her",
                    "answers": [{"start": 0, "end": 2, "text": "Bob"}],
                }
            ],
        }
    ],
    "RTE/train.jsonl": NLI,
    "WiC/train.jsonl": [
        {
            "word": "rain",
            "sentence1": "It may rain.",
            "sentence2": "A rain of blows.",
            "idx": 3,
            "label": False,
            "start1": 7,
            "end1": 11,
            "start2": 2,
            "end2": 6,
            "version": 1.1,
        }
    ],
    "WSC/train.jsonl": [
        {
            "text": "The fish ate the worm, but it was bad.",
            "target": {
                "span1_index": 0,
                "span1_text": "the fish.",
                "span2_index": 6,
                "span2_text": "it",
            },
            "idx": 3,
            "label": True,
        },
        {
            "text": "The fish ate the worm, but it was bad.",
            "target": {
                "span1_index": 3,
                "span1_text": "The worm.",
                "span2_index": 6,
                "span2_text": "it",
            },
            "idx": 4,
            "label": False,
        },
    ],
    "AX-b/AX-b.jsonl": [
        {"sentence1": "It rains.", "sentence2": "It is wet.", "idx": 3, "label": "entailment"}
    ],
    "AX-g/AX-g.jsonl": NLI,
}
SQUAD = {
    "version": "1.1",
    "data": [
        {
            "title": "Rain",
            "paragraphs": [
                {
                    "context": "It rained.",
                    "qas": [
                        {
                            "id": "a1",
                            "question": "What did it do?",
                            "answers": [
                                {"answer_start": 3, "text": "rained"},
                                {"answer_start": 0, "text": "It rained"},
                            ],
                        }
                    ],
                }
            ],
        }
    ],
}
DPR = (
    "Ann met Bob, because he asked.\nhe\nAnn,Bob\nBob\n\nAnn fell; she cried.\nshe\nAnn,Bob\nAnn\n"
)
CSV = (
    'id,article,highlights\na1,"It rained, ""a lot"".\nThen not.",Rain fell .\na2,Snow.,It fell .\n'
)


@pytest.fixture
def files(tmp_path):
    """The folder that holds all of them."""
    for name, rows in CELLS.items():
        _write(tmp_path / "glue" / name, "\n".join("\t".join(row) for row in rows) + "\n")
    for name, objects in OBJECTS.items():
        _write(tmp_path / "SuperGLUE" / name, "".join(json.dumps(each) + "\n" for each in objects))
    _write(tmp_path / "squad" / "train-v1.1.json", json.dumps(SQUAD))
    _write(tmp_path / "DPR" / "train.c.txt", DPR)
    _write(tmp_path / "cnn_dm" / "train.csv", CSV)
    _write(tmp_path / "translation" / "train.en", "It rains.\nIt snows.\n\nOh.\n")
    _write(tmp_path / "translation" / "train.de", "Es regnet sehr.\nEs schneit sehr.\nLeer.\n\n")
    for code, text in (("en", "It rains.\n"), ("fr", "Il pleut.\n")):
        with gzip.open(tmp_path / "translation" / f"test_2016.{code}.gz", "wt") as file:
            file.write(text)
    _write(tmp_path / "translation" / "ro-en" / "train.tsv", "Plou\u0103.\tIt rains.\tsomeone\n")
    return tmp_path


def _write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
