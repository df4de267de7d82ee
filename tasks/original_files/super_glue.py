"""SuperGLUE's JSON lines, as in its zip archives: `BoolQ/train.jsonl`, `AX-b/AX-b.jsonl`.

Copies under other names are read too (`cb_validation.jsonl`), with labels as names, truth values or
numbers, and with the nested parts of MultiRC, ReCoRD and WSC flattened as TFDS flattens them.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from t5x_lite.tasks.original_files.examples import (
    INTEGER,
    LABEL,
    TEXT,
    TEXTS,
    Example,
    ExampleFiles,
    Features,
    label_index,
)
from t5x_lite.tasks.original_files.folders import Folders, find
from t5x_lite.tasks.original_files.json_lines import need, read_objects

WITHIN = ("superglue", "superglue_data")
_FILES = {"train": "train", "validation": "val", "test": "test"}

Row = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class SuperGlueTask:
    """One folder of SuperGLUE.

    `features` are those with a value of the same name in each object; `expand` makes the objects of
    examples from one of the file where they are nested.
    """

    folder: str
    features: Features
    labels: Sequence[str]
    expand: Callable[[Row, str], Iterator[Row]] | None = None
    # A diagnostic set is a single file.
    is_diagnostic: bool = False

    def files(self) -> ExampleFiles:
        """The examples with TFDS's features."""
        features: dict[str, Any] = {"idx": INTEGER, "label": LABEL, **self.features}
        return ExampleFiles(features, self.load)

    def load(self, folders: Folders, split: str) -> list[Example]:
        """The examples of a split's file."""
        path = find(folders, self._names(split), within=WITHIN, columns=self._listed())
        return [
            self._example(row, where)
            for where, object_ in read_objects(path)
            for row in (self.expand(object_, where) if self.expand else [object_])
        ]

    def _names(self, split: str) -> list[str]:
        if self.is_diagnostic:
            return [f"{self.folder}/{self.folder}.jsonl", f"{self.folder}.jsonl"]
        copies = [f"{split}.jsonl", f"{self.folder.lower()}_{split}.jsonl"]
        return [f"{self.folder}/{name}" for name in (f"{_FILES[split]}.jsonl", *copies)]

    def _listed(self) -> str:
        return f"a JSON object in each line that has {', '.join([*self.features, 'label'])}"

    def _example(self, row: Row, where: str) -> Example:
        found = {name: need(row, name, where) for name in ("idx", *self.features)}
        return {**found, "label": label_index(row.get("label"), self.labels, where)}


def answers_of_questions(row: Row, where: str) -> Iterator[Row]:
    """MultiRC: a passage has questions, which have answers."""
    if "questions" not in row.get("passage", ()):
        yield row
        return
    for question in row["passage"]["questions"]:
        for answer in need(question, "answers", where):
            yield {
                "paragraph": need(row["passage"], "text", where),
                "question": need(question, "question", where),
                "answer": need(answer, "text", where),
                "idx": {
                    "paragraph": need(row, "idx", where),
                    "question": need(question, "idx", where),
                    "answer": need(answer, "idx", where),
                },
                "label": answer.get("label"),
            }


def spans(row: Row, where: str) -> Iterator[Row]:
    """WSC: the two spans, mended where they are not as in the text; those of TFDS's `wsc.fixed`."""
    found = {**row, **row.get("target", {})}
    text = need(found, "text", where)
    for span in ("span1", "span2"):
        span_text, index = need(found, f"{span}_text", where), need(found, f"{span}_index", where)
        if "theyscold" in span_text:
            # Two words became one when the span was noted.
            found["span2_index"] = index = 10
        found[f"{span}_text"] = _as_in_text(span_text, text, text.split()[index])
    yield found


def _as_in_text(span: str, text: str, first_word: str) -> str:
    if span in text:
        return span
    mended = (span[0].lower() if first_word[0].islower() else span[0].upper()) + span[1:]
    mended = mended.rstrip(".").replace("\n", " ")
    # Two spans are of words that are not beside each other: they stay as they are.
    return mended if mended in text else span


def _load_record(folders: Folders, split: str) -> list[Example]:
    names = (f"{_FILES[split]}.jsonl", f"{split}.jsonl", f"record_{split}.jsonl")
    path = find(
        folders,
        [f"ReCoRD/{name}" for name in names],
        within=WITHIN,
        columns="a JSON object in each line that has idx, passage {text, entities}, qas",
    )
    return [each for where, row in read_objects(path) for each in _queries(row, where)]


def _queries(row: Row, where: str) -> Iterator[Example]:
    if "qas" not in row:
        yield {
            name: need(row, name, where)
            for name in ("passage", "query", "entities", "answers", "idx")
        }
        return
    passage = need(row, "passage", where)
    text = need(passage, "text", where)
    # The end of an entity is its last character.
    entities = {text[e["start"] : e["end"] + 1] for e in need(passage, "entities", where)}
    for query in row["qas"]:
        yield {
            "passage": text,
            "query": need(query, "query", where),
            "entities": sorted(entities),
            "answers": sorted({answer["text"] for answer in query.get("answers", ())}),
            "idx": {"passage": need(row, "idx", where), "query": need(query, "idx", where)},
        }


# A passage has queries, which have answers among the entities of the passage.
RECORD_FILES = ExampleFiles(
    {
        **{"passage": TEXT, "query": TEXT, "entities": TEXTS, "answers": TEXTS},
        "idx": {"passage": INTEGER, "query": INTEGER},
    },
    _load_record,
)
