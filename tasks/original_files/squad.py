"""SQuAD 1.1's JSON: `train-v1.1.json`, `dev-v1.1.json`."""

import json

from t5x_lite.errors import UserError
from t5x_lite.tasks.original_files.examples import (
    INTEGERS,
    TEXT,
    TEXTS,
    Example,
    ExampleFiles,
)
from t5x_lite.tasks.original_files.folders import Folders, find
from t5x_lite.tasks.original_files.json_lines import need

_FILES = {"train": "train-v1.1.json", "validation": "dev-v1.1.json"}


def load(folders: Folders, split: str) -> list[Example]:
    """One example for each question.

    Raises:
        UserError: the file is not of the form data > paragraphs > qas.
    """
    columns = "the JSON object data > paragraphs {context, qas} > {id, question, answers}"
    path = find(folders, [_FILES[split]], within=("squad", "squad_v1.1"), columns=columns)
    try:
        content = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is no JSON ({error}); needed is {columns}") from error
    where = f"{path} ({columns} is needed)"
    examples = []
    for article in need(content, "data", where):
        for paragraph in need(article, "paragraphs", where):
            for question in need(paragraph, "qas", where):
                answers = question.get("answers", [])
                examples.append(
                    {
                        "id": need(question, "id", where),
                        "title": article.get("title", ""),
                        "context": need(paragraph, "context", where),
                        "question": need(question, "question", where),
                        "answers": {
                            "text": [answer["text"] for answer in answers],
                            "answer_start": [answer["answer_start"] for answer in answers],
                        },
                    }
                )
    return examples


SQUAD_FILES = ExampleFiles(
    {
        **dict.fromkeys(("id", "title", "context", "question"), TEXT),
        "answers": {"text": TEXTS, "answer_start": INTEGERS},
    },
    load,
)
