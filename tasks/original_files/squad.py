"""SQuAD 1.1's JSON: `train-v1.1.json`, `dev-v1.1.json`."""

from t5x_lite.tasks.original_files.examples import (
    INTEGERS,
    TEXT,
    TEXTS,
    Example,
    ExampleFiles,
)
from t5x_lite.tasks.original_files.folders import Folders, find
from t5x_lite.tasks.original_files.json_lines import need, need_list
from t5x_lite.text_files import read_json_object

_MAX_BYTES = 2**30  # the training set has 30 MB

_FILES = {"train": "train-v1.1.json", "validation": "dev-v1.1.json"}


def load(folders: Folders, split: str) -> list[Example]:
    """One example for each question.

    Raises:
        UserError: the file is not of the form data > paragraphs > qas.
    """
    columns = "the JSON object data > paragraphs {context, qas} > {id, question, answers}"
    path = find(folders, [_FILES[split]], within=("squad", "squad_v1.1"), columns=columns)
    content = read_json_object(path, most=_MAX_BYTES)
    where = f"{path} ({columns} is needed)"
    examples = []
    for article in need_list(content, "data", where):
        for paragraph in need_list(article, "paragraphs", where):
            for question in need_list(paragraph, "qas", where):
                name = need(question, "id", where)
                answers = need_list({"answers": [], **question}, "answers", where)
                examples.append(
                    {
                        "id": name,
                        "title": article.get("title", ""),
                        "context": need(paragraph, "context", where),
                        "question": need(question, "question", where),
                        "answers": {
                            "text": [need(answer, "text", where) for answer in answers],
                            "answer_start": [
                                need(answer, "answer_start", where) for answer in answers
                            ],
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
