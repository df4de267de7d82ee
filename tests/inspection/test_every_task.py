"""`inspect` shows a real example of every downstream task whose data is here, in its golden text.

The golden text is made here from the files, by the paper's formats and nothing of ours.
"""

import csv
import gzip
import io
import json
import re
import string

import pytest
import seqio
from rich.console import Console

from t5x_lite.data import task_files
from t5x_lite.data.examples import find_task
from t5x_lite.inspection.gather import gather
from t5x_lite.inspection.terminal import print_findings
from t5x_lite.tasks import (  # noqa: F401, for what they register
    cnn_dailymail,
    glue,
    squad,
    super_glue,
    translation,
)
from t5x_lite.text import default_vocabulary

LENGTHS = {"inputs": 4096, "targets": 4096}
ENTAILMENT = ("entailment", "not_entailment")


def cells(path, header=True):
    """Rows of a tsv file, by name or by place."""
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    rows = [line.split("\t") for line in lines]
    return [dict(zip(rows[0], row, strict=False)) for row in rows[1:]] if header else rows


def objects(path):
    return [json.loads(line) for line in path.read_text().split("\n") if line]


def lines(path):
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return file.read().split("\n")


def named(name, each, fields):
    return " ".join([name, *(f"{field}: {each[field]}" for field in fields)])


def cola(folder):
    for row in cells(folder / "glue/CoLA/dev.tsv", header=False):
        yield f"cola sentence: {row[3]}", ("unacceptable", "acceptable")[int(row[1])]


def sst2(folder):
    for row in cells(folder / "glue/SST-2/dev.tsv"):
        yield f"sst2 sentence: {row['sentence']}", ("negative", "positive")[int(row["label"])]


def mrpc(folder):
    for row in cells(folder / "glue/MRPC/msr_paraphrase_train.txt"):
        label = ("not_equivalent", "equivalent")[int(row["Quality"])]
        yield f"mrpc sentence1: {row['#1 String']} sentence2: {row['#2 String']}", label


def stsb(folder):
    for row in cells(folder / "glue/STS-B/dev.tsv"):
        target = f"{round(float(row['score']) * 5) / 5:.1f}"
        yield named("stsb", row, ("sentence1", "sentence2")), target


def rte(folder):
    for row in cells(folder / "glue/RTE/dev.tsv"):
        yield named("rte", row, ("sentence1", "sentence2")), row["label"]


def wnli(folder):
    for row in cells(folder / "glue/WNLI/dev.tsv"):
        for found in re.finditer(
            r"\b(he|she|they|it|her|his|their|them|him)\b", row["sentence1"], re.I
        ):
            text = row["sentence1"]
            starred = f"{text[: found.start()]}*{found[0]}*{text[found.end() :]}"
            yield f"wsc: {starred}", None


def few(task, fields, label=str):
    def goldens(folder):
        for row in objects(folder / f"superglue/FewGLUE/{task}/train.jsonl"):
            yield named(task.lower(), row, fields), label(row["label"])

    return goldens


def multirc(folder):
    for row in objects(folder / "superglue/FewGLUE/MultiRC/train.jsonl"):
        text = re.sub("<br>", " ", row["passage"]["text"])
        paragraph = re.sub("</?b>", "", text)
        for question in row["passage"]["questions"]:
            for answer in question["answers"]:
                texts = question["question"], answer["text"]
                yield (
                    "multirc question: {} answer: {} paragraph: {}".format(*texts, paragraph),
                    str(bool(answer.get("label"))),
                )


def record(folder):
    for row in objects(folder / "superglue/FewGLUE/ReCoRD/train.jsonl"):
        text = row["passage"]["text"]
        ends = (".", "?", "!", '"', "'")
        passage = text.split("\n@highlight\n")
        joined = "".join(f"{p} " if p.endswith(ends) else f"{p}. " for p in passage[:-1])
        spans = [text[e["start"] : e["end"] + 1] for e in row["passage"]["entities"]]
        entities = ", ".join(sorted(set(spans)))
        for question in row["qas"]:
            query = f"record query: {question['query']} entities: {entities}"
            for answer in question["answers"]:
                yield f"{query} passage: {joined}{passage[-1]}", answer["text"]


def wsc(path):
    def goldens(folder):
        for row in objects(folder / path):
            words = row["text"].split()
            words[row["target"]["span2_index"]] = f"*{row['target']['span2_text']}*"
            yield f"wsc: {' '.join(words)}", row["target"]["span1_text"]

    return goldens


def dpr(folder):
    entries = (folder / "superglue/DPR/train.c.txt").read_text().split("\n\n")
    for sentence, pronoun, _, answer, *_ in (
        entry.strip().split("\n") for entry in entries if entry.strip()
    ):
        starred = re.sub(rf" {re.escape(pronoun)}([ .,])", rf" *{pronoun}*\1", sentence, count=1)
        yield f"wsc: {starred}", answer


def squad_text(text):
    spaced = re.sub(f"([{re.escape(string.punctuation)}])", r" \1 ", text)
    return " ".join(spaced.split())


def questions(folder):
    data = json.loads((folder / "squad/dev-v1.1.json").read_text())["data"]
    for paragraph in data[0]["paragraphs"]:
        for each in paragraph["qas"]:
            question, context = squad_text(each["question"]), squad_text(paragraph["context"])
            answer = squad_text(each["answers"][0]["text"])
            yield f"question: {question} context: {context}", answer


def articles(folder):
    with open(folder / "summarization/cnn_dailymail_100.csv", newline="") as file:
        for row in csv.DictReader(file):
            yield f"summarize: {row['article']}", row["highlights"]


def tatoeba(folder):
    for line in lines(folder / "translation/tatoeba_en_ro/train.tsv"):
        english, romanian, *_ = [*line.split("\t"), ""]
        yield f"translate English to Romanian: {english}", romanian


def multi30k(code, language):
    def goldens(folder):
        folder = folder / "translation"
        for source, target in zip(lines(folder / "val.en.gz"), lines(folder / f"val.{code}.gz")):
            yield f"translate English to {language}: {source}", target

    return goldens


# Task: the split that is read, and its golden texts.
REAL = {
    "glue_cola_v002": ("validation", cola),
    "glue_sst2_v002": ("validation", sst2),
    "glue_mrpc_v002": ("validation", mrpc),
    "glue_stsb_v002": ("validation", stsb),
    "glue_rte_v002": ("validation", rte),
    "glue_wnli_v002_simple_eval": ("validation", wnli),
    "super_glue_boolq_v102": ("train", few("BoolQ", ("passage", "question"))),
    "super_glue_cb_v102": ("train", few("CB", ("hypothesis", "premise"))),
    "super_glue_copa_v102": (
        "train",
        few(
            "COPA",
            ("choice1", "choice2", "premise", "question"),
            lambda label: ("choice1", "choice2")[label],
        ),
    ),
    "super_glue_multirc_v102": ("train", multirc),
    "super_glue_record_v102": ("train", record),
    "super_glue_rte_v102": ("train", few("RTE", ("hypothesis", "premise"))),
    "super_glue_wic_v102": ("train", few("WiC", ("sentence1", "sentence2", "word"))),
    "super_glue_wsc_v102_simple_train": ("train", wsc("superglue/FewGLUE/WSC/train.jsonl")),
    "super_glue_wsc_v102_simple_eval": ("validation", wsc("superglue/WSC/val.jsonl")),
    "dpr_v001_simple": ("train", dpr),
    "squad_v010_allanswers": ("validation", questions),
    "cnn_dailymail_v002": ("train", articles),
    "wmt_t2t_ende_v003": ("validation", multi30k("de", "German")),
    "wmt15_enfr_v003": ("validation", multi30k("fr", "French")),
    "wmt16_enro_v003": ("train", tatoeba),
}


def registered():
    """The downstream tasks that there are."""
    prefixes = ("glue_", "super_glue_", "dpr_", "squad_", "cnn_", "wmt")
    return {name for name in seqio.TaskRegistry.names() if name.startswith(prefixes)}


WITHOUT_REAL_DATA = {
    *(f"glue_{name}_v002" for name in ("qqp", "qnli", "mnli", "ax")),
    *(f"glue_mnli_{name}_v002" for name in ("matched", "mismatched")),
    "super_glue_axb_v102",
    "super_glue_axg_v102",
}


@pytest.fixture
def folders(test_data_dir, monkeypatch):
    """Tasks read original files, those of FewGLUE first, with T5's own vocabulary."""
    few_glue = test_data_dir / "superglue" / "FewGLUE"
    monkeypatch.setattr(task_files, "_folders", ())
    task_files.set_task_files(f"{few_glue},{test_data_dir},{test_data_dir / 'translation'}")
    vocabulary = test_data_dir / "vocab" / "t5_sentencepiece.model"
    monkeypatch.setattr(default_vocabulary, "_path", None)
    default_vocabulary.set_default_vocabulary(vocabulary)
    return test_data_dir


@pytest.mark.test_data
@pytest.mark.parametrize("name", REAL)
def test_the_first_example_is_a_golden_text(folders, name):
    """Ids of inputs and targets are those of a row in the files, and this text is printed."""
    split, goldens = REAL[name]
    encode = seqio.get_mixture_or_task(name).output_features["targets"].vocabulary.encode
    found = gather(name, split=split, lengths=LENGTHS, num_examples=1, max_sample=0)
    ((shown,),) = [task.examples for task in found.tasks]
    inputs, targets = (list(shown.features[side].ids) for side in ("inputs", "targets"))
    matching = [golden for golden in goldens(folders) if [*encode(golden[0]), 1] == inputs]
    assert matching
    assert any(target is None or [*encode(target), 1] == targets for _, target in matching)

    output = io.StringIO()
    print_findings(found, Console(file=output, width=20_000))
    for feature in shown.features.values():
        for piece in feature.pieces:
            assert " ".join(piece.text.split()) in " ".join(output.getvalue().split())


# One of each kind: a text, a pair, a number, a span.
SHOWN_TWINS = (
    "glue_sst2_v002",
    "glue_mrpc_v002",
    "glue_stsb_v002",
    "super_glue_copa_v102",
    "squad_v010_allanswers",
)


@pytest.mark.test_data
@pytest.mark.parametrize("name", [each for each in REAL if f"{each}_encoder" in registered()])
def test_its_twin_for_encoders_shows_the_same_example(folders, name):
    """With word pieces, its label by name; the numbers of STS-B are not rounded to fifths."""
    split, _ = REAL[name]
    text = find_task(name).examples(split=split, task_feature_lengths=None, num_examples=1)[0]
    vocabulary = folders / "vocab" / "bert_uncased_vocab.txt"
    default_vocabulary.set_default_vocabulary(vocabulary)
    twin = find_task(f"{name}_encoder")
    (example,) = twin.examples(split=split, task_feature_lengths=None, num_examples=1)
    told, wanted = twin.target_text(example), str(text["targets_pretokenized"])
    if "stsb" in name:
        told, wanted = float(told), pytest.approx(float(wanted), abs=0.1)
    assert (told, example.get("idx")) == (wanted, text.get("idx"))

    if name not in SHOWN_TWINS:
        return
    lengths = {"inputs": 512, "token_types": 512, twin.told.feature: 2 if "squad" in name else 1}
    found = gather(f"{name}_encoder", split=split, lengths=lengths, num_examples=1, max_sample=3)
    output = io.StringIO()
    print_findings(found, Console(file=output, width=20_000))
    for shown in ("[CLS]", "[SEP]", *([] if twin.told.feature != "classes" else [wanted])):
        assert shown in output.getvalue()


def test_no_task_is_forgotten():
    """Those without data here have their golden text in tests/tasks, as all for encoders do."""
    of_text = {name for name in registered() if not name.endswith("_encoder")}
    assert of_text == REAL.keys() | WITHOUT_REAL_DATA
